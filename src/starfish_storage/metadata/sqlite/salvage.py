"""Rows of a damaged database that can still be read."""

from __future__ import annotations

import os
from collections.abc import Iterator

import apsw

from starfish_storage.metadata.sqlite.driver import Connection, Row

_SMALLEST_ROW = 40  # in bytes: no table has more rows than the file would hold of these
_LARGEST_STEP = 16
_UNREADABLE = (apsw.CorruptError, apsw.IOError, UnicodeDecodeError)


def salvaged(connection: Connection, query: str) -> Iterator[Row]:
    """Yield the rows of a table that can be read, in the order of their numbers, which each row ends with.

    The table itself is read and no index. Where a page cannot be read, the next numbers are tried, in growing steps,
    and then those that the last step left out.
    """
    number, step = 0, 1
    most = os.path.getsize(connection.filename) // _SMALLEST_ROW
    while number < most:
        try:
            for *row, found in connection.execute(query, (number,)):
                yield tuple(row)
                number, step = found + 1, 1
        except _UNREADABLE:
            before = number
            number += step
            step = min(2 * step, _LARGEST_STEP)
            while number - before > 1 and _can_be_read(connection, query, number):
                middle = (before + number) // 2
                if _can_be_read(connection, query, middle):
                    number = middle
                else:
                    before = middle
        else:
            return


def _can_be_read(connection: Connection, query: str, number: int) -> bool:
    try:
        connection.execute(query, (number,)).fetchone()
    except _UNREADABLE:
        return False
    return True
