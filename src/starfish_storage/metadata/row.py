"""Rows, row changes, and the connection that makes them, whatever the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

Row = tuple[Any, ...]


Change = tuple[str, Row]
"""A named query and its parameters."""


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
