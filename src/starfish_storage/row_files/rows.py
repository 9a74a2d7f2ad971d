"""The rows of a source, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidDataError

MAX_ROW_BYTES = 64 * 2**20
"""The longest row that is read, so that a file without line ends does not exhaust memory."""


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A row that can be read.

    Attributes:
        place: where it stands, such as ``"line 3 of 'answers.jsonl'"``.
        data: what it holds.
        failure: why what made it has failed; None if it did not.
        is_storable: a store is sure to accept what it holds, so that this need not be tried.
    """

    place: str
    data: dict[str, Any]
    failure: str | None = None
    is_storable: bool = False


@dataclass(frozen=True, slots=True)
class BadRow:
    """Stands in the place of a row that cannot be read.

    Attributes:
        reason: where it stands, and why, without a full stop; never what it holds.
    """

    reason: str


class Table(Protocol):
    """Rows that can be read more than once.

    Attributes:
        form: the name of its form.
        name: what people call it: a file name without its path.
    """

    form: str
    name: str

    @property
    def identity(self) -> str:
        """SHA-256, in hex, of all that its rows follow from. May block."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what is kept of the source with the master job: JSON."""
        ...

    def notes(self) -> list[str]:
        """Return what was found out about how it is to be read, in phrases for a report. May block."""
        ...

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """Read the rows from the first one on. May block.

        Raises:
            InvalidInputError: it cannot be read on.
        """
        ...

    def has_changed(self) -> bool:
        """Return whether the source is another than when it was opened. May block."""
        ...


def checked(rows: Iterator[GoodRow | BadRow]) -> Iterator[GoodRow | BadRow]:
    """Pass rows on; a row that no store accepts becomes a bad one."""
    for row in rows:
        if isinstance(row, GoodRow) and not row.is_storable:
            try:
                encode(row.data, row.place)
            except InvalidDataError as error:
                yield BadRow(str(error).rstrip("."))
                continue
        yield row
