"""The contract of how large a store is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How much room a store takes.

    Attributes:
        rows: bytes of the database, with its logs and indexes.
        data: bytes of the data, as far as it was looked at.
        files: how many files or objects that is.
        is_complete: whether all data was looked at; what was not is not estimated.
        time: when it was measured (UTC).
        unused: bytes in packs that nothing refers to any more, before packs are compressed; `collect` frees most of
            them. None: that is not counted, as where rows lie in PostgreSQL.
    """

    rows: int
    data: int
    files: int
    is_complete: bool
    time: datetime
    unused: int | None = None

    @property
    def total(self) -> int:
        """Bytes of rows and data."""
        return self.rows + self.data


class SizeContract(ABC):
    """Measuring a store."""

    @abstractmethod
    async def measure_size(self, *, seconds: float | None = None) -> StoreSize:
        """Return how much room the store takes, found by looking at each file or object in another thread.

        Args:
            seconds: look at data for no longer than this; None for as long as it takes.

        Raises:
            InvalidInputError: ``seconds`` is negative.
        """
