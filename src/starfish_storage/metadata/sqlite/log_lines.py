"""The lines of a row log, read: what is torn or strange among them is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import StorageError
from starfish_storage.files.descriptors import NO_LINK_NO_WAIT
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.driver import Row
from starfish_storage.metadata.sqlite.row_changes import CHANGES

_VALUES = frozenset({str, int, float, bool, type(None)})
_MOST_TOGETHER = 64
_MANY = "save_record"
"""What most lines are, and what one statement can make of several rows."""


class _Shape:
    """Takes the values of one change from its lines, in the order of its query's parameters."""

    def __init__(self, columns: Sequence[object], parameters: Sequence[str]) -> None:
        at = {column: number for number, column in enumerate(columns, start=1) if isinstance(column, str)}
        self._length = 1 + len(columns)
        self._positions = [at.get(parameter, 0) for parameter in parameters]
        whole = len(self._positions) > 1 and all(self._positions)
        self._take = itemgetter(*self._positions) if whole else None

    def row(self, line: list[Any]) -> Row:
        """Return the values; None for those that the line has not."""
        if self._take is not None and len(line) == self._length:
            return cast("Row", self._take(line))
        return tuple(line[at] if 0 < at < len(line) else None for at in self._positions)


def logged_changes(lines: Iterable[bytes]) -> Iterator[tuple[str, Row]]:
    """Yield the changes that lines of a row log hold: the name of each, and its values."""
    shapes: dict[str, _Shape] = {}
    for line in lines:
        try:
            found = decode(line)
        except (ValueError, RecursionError):
            continue  # torn by a power cut
        if isinstance(found, dict):
            shapes = _shapes(cast("dict[str, Any]", found))
        elif isinstance(found, list) and found and _VALUES.issuperset(map(type, cast("list[Any]", found))):
            values = cast("list[Any]", found)
            shape = shapes.get(values[0])
            if shape is not None:
                yield values[0], shape.row(values)


def together(changes: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, list[Row]]]:
    """Yield changes in their order, those together that follow each other and that one statement can make."""
    rows: list[Row] = []
    for name, row in changes:
        if name == _MANY:
            rows.append(row)
            if len(rows) == _MOST_TOGETHER:
                yield _MANY, rows
                rows = []
            continue
        if rows:
            yield _MANY, rows
            rows = []
        yield name, [row]
    if rows:
        yield _MANY, rows


def _shapes(header: dict[str, Any]) -> dict[str, _Shape]:
    """Return what a header of the row log says of each change; nothing if it is damaged."""
    columns = header.get("columns")
    if not isinstance(columns, dict):
        return {}
    parameters = sqlite_queries().parameters
    return {
        name: _Shape(cast("list[object]", names), parameters(name))
        for name, names in cast("dict[str, Any]", columns).items()
        if isinstance(names, list) and name in CHANGES
    }


def row_log_lines(path: str) -> Iterable[bytes]:
    """Yield the lines of a row log; nothing if there is none."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | NO_LINK_NO_WAIT), "rb") as log:
            yield from log
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"the row log {path!r} cannot be read: {error.strerror}.") from error
