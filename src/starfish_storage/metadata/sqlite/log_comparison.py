"""Whether the row log has every row of the database: what it lacks would be lost together with the database."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import cast

import apsw

from starfish_storage.interface.inspection import RowFault
from starfish_storage.keys import ROW_LOG_FILE
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.driver import Connection, Row
from starfish_storage.metadata.sqlite.migrate import migrate
from starfish_storage.metadata.sqlite.rebuild import Rebuilding, row_log_lines
from starfish_storage.metadata.sqlite.row_changes import ALL_ROWS

logger = logging.getLogger(__name__)

_LOOKS = 3
_MOST_AT_ONCE = 500_000  # rows of which hashes are held
_OPEN = ("pending", "running")
_TELLING = {
    "save_project": ("project_id",),
    "insert_master_job": ("master_job_id", "project_id", "status"),
    "save_execution_job": ("job_id", "master_job_id", "run_config_hash", "status"),
    "end_execution_job": ("job_id",),
    "save_record": ("record_uid", "job_id", "master_job_id", "status", "output_ref"),
}
"""By the change that makes a row: the columns that count; of other changes, all do.

Claims are not logged, nor counts that a repair takes from the records; and what tells a row apart is enough.
"""

ReadRows = Callable[[str], Iterator[Row]]

_Lacking = dict[tuple[str, int], object]
"""By the change that makes a row and the hash of the row: its id."""


def faults_of_log(rows: ReadRows, directory: str) -> Iterator[RowFault]:
    """Yield what is wrong with the row log. Blocks; changes nothing.

    The store may be in use: what is committed between two looks is taken for missing by one of them, and not by both.

    Args:
        rows: returns the rows of a named query over the database.
        directory: where the log lies.
    """
    path = f"{directory}/{ROW_LOG_FILE}"
    if next(iter(row_log_lines(path)), None) is None:
        return  # another finding
    lacking: _Lacking = {}
    try:
        for look in range(_LOOKS):
            found = _lacking(rows, path)
            lacking = found if look == 0 else {key: lacking[key] for key in lacking.keys() & found.keys()}
            if not lacking:
                return
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError) as error:
        logger.warning("the row log was not compared with the database: there is no room for it (%s)", error)
        return
    (change, _), row_id = next(iter(lacking.items()))
    yield RowFault(
        "row_log_differs",
        ROW_LOG_FILE,
        f"{len(lacking):,} rows do not stand in it as they are, such as {change.partition('_')[2]} of {row_id!r}: they "
        "would be lost with the database",
    )


def _lacking(rows: ReadRows, path: str) -> _Lacking:
    """Return the rows of the database that the row log does not give."""
    lacking: _Lacking = {}
    queries = sqlite_queries()
    with closing(cast("Connection", apsw.Connection(""))) as replayed:  # a temporary file, once it is large
        for pragma, value in (("journal_mode", "off"), ("synchronous", "off"), ("foreign_keys", "on")):
            replayed.pragma(pragma, value)
        migrate(replayed, path, alone=True)
        made = Rebuilding(replayed)
        replayed.execute(queries["begin"])
        made.replay(row_log_lines(path))
        replayed.execute(queries["commit"])
        parts = 1 + made.logged // _MOST_AT_ONCE
        for (query, change), part in itertools.product(ALL_ROWS, range(parts)):
            names = queries.parameters(change)
            there = {
                found
                for row in replayed.execute(queries[query])
                if (found := hash(_compared(change, names, row))) % parts == part
            }
            for row in rows(query):
                found = hash(_compared(change, names, row))
                if found % parts == part and found not in there:
                    lacking[change, found] = dict(zip(names, row, strict=True)).get(_id_of(names))
    return lacking


def _compared(change: str, names: tuple[str, ...], row: Row) -> Row:
    """Return what counts of a row. Of two inputs that have not ended, neither says more than the other."""
    wanted = _TELLING.get(change)
    if wanted is None:
        return row
    given = dict(zip(names, row, strict=True))
    return tuple("open" if given[name] in _OPEN and name == "status" else given[name] for name in wanted)


def _id_of(names: tuple[str, ...]) -> str:
    return next(name for name in ("record_uid", "job_id", "master_job_id", "project_id") if name in names)
