"""The contract of a change feed: which records changed since somebody last asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from starfish_storage.interface.rows import RecordRow

if TYPE_CHECKING:
    from starfish_storage.models import Record


class ChangedRecords(NamedTuple):
    """Records that may have changed.

    Attributes:
        stamps: by uid, a text that changes with the record's data: see `stamp_of`.
        cursor: where to go on, to be kept as it is.
        is_last: everything that was committed before the call has been handed out.
    """

    stamps: dict[str, str]
    cursor: str
    is_last: bool


class RunSize(NamedTuple):
    """How many records a master job has."""

    master_job_id: str
    project_id: str
    records: int


class CurrentRecord(NamedTuple):
    """A record as it is.

    Attributes:
        record: the record.
        row: the same, as it is stored.
        place: the key under which the data handler has its data; None if it has none.
    """

    record: Record
    row: RecordRow
    place: str | None

    @property
    def stamp(self) -> str:
        """Its stamp: see `stamp_of`."""
        return stamp_of(self.row)


def stamp_of(row: RecordRow) -> str:
    """Return what changes with a record's data, or with its run.

    That is the digest; where it is not known, when the record was changed.
    """
    return f"{row.data_sha256 or row.last_update_time} {row.output_ref or ''} {row.master_job_id}"


class ChangeFeed(ABC):
    """Tells what changed in a store. It asks nothing of those who write: no column, trigger or index is kept for it."""

    @abstractmethod
    async def list_changed(self, cursor: str | None) -> ChangedRecords:
        """Return some records that may have changed since a cursor.

        Who follows the cursor, call after call, is handed every record whose insertion or change was committed before
        a call that returned ``is_last``. Records that did not change may be among them. What was deleted is not:
        compare `list_sizes`.

        Args:
            cursor: of the call before; None begins with all records. One of another store, or of a store that was
                replaced, is treated as None.

        Raises nothing of its own.
        """

    @abstractmethod
    async def list_sizes(self) -> list[RunSize]:
        """Return how many records every master job has, those without records too. Raises nothing of its own."""

    @abstractmethod
    async def get_current(self, record_uids: Sequence[str]) -> list[CurrentRecord]:
        """Return those of these records that exist, in any order. Raises nothing of its own."""
