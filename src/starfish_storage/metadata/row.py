"""Rows, row changes, and the connection that makes them, whatever the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

Row = tuple[Any, ...]
"""The values of a statement's row: unpacked, or made one of `interface.rows`; never read by position."""

Change = tuple[str, Row]
"""A named query and its parameters."""


def only_value(row: Row | None) -> Any:
    """Return the value of a row of one column; None if there is no row."""
    if row is None:
        return None
    (value,) = row
    return value


def only_values(rows: Iterable[Row]) -> list[Any]:
    """Return the values of rows of one column."""
    return [value for (value,) in rows]


class Cursor(Protocol):
    """The rows of a statement."""

    def fetchone(self) -> Row | None:
        """Return the next row."""
        ...

    def fetchall(self) -> list[Row]:
        """Return the remaining rows."""
        ...

    def __iter__(self) -> Iterator[Row]: ...


class WritingConnection(Protocol):
    """What the row changes need of a connection, whatever the engine."""

    def execute(self, statements: str, bindings: Row = ()) -> Cursor:
        """Run a statement."""
        ...

    def changes(self) -> int:
        """Return how many rows the last statement changed."""
        ...
