"""Whether the row log has every row of the database: what it lacks would be lost together with the database."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from operator import itemgetter
from typing import cast

import apsw

from starfish_storage.interface.inspection import RowFault
from starfish_storage.keys import ROW_LOG_FILE
from starfish_storage.metadata.queries import Queries, sqlite_queries
from starfish_storage.metadata.sqlite.driver import Connection, Row
from starfish_storage.metadata.sqlite.log_lines import row_log_lines
from starfish_storage.metadata.sqlite.migrate import migrate
from starfish_storage.metadata.sqlite.plain_log import NotPlainError, RecordLines
from starfish_storage.metadata.sqlite.rebuild import Rebuilding
from starfish_storage.metadata.sqlite.row_changes import ALL_ROWS
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_LOOKS = 3
_MOST_AT_ONCE = 500_000  # rows of which hashes are held
_OPEN = ("pending", "running")
_TELLING = {
    "save_project": ("project_id",),
    "insert_master_job": ("master_job_id", "project_id", "status"),
    "save_execution_job": ("job_id", "master_job_id", "run_config_hash", "status"),
    "save_record": ("record_uid", "job_id", "master_job_id", "status", "output_ref"),
    "save_attempt": ("job_id", "number"),
    "save_step": ("job_id", "name", "request_key", "call", "reply"),
    "save_segment": ("master_job_id", "number"),
    "save_version": ("record_uid", "number", "output_ref"),
    "save_annotation": ("annotation_id", "record_uid"),
    "save_action": ("action_id",),
}
"""By the change that makes a row: what is compared of it. Claims are not logged, nor counts, which follow from rows."""

_LATEST = {
    "insert_master_job": "get_master_job",
    "save_execution_job": "get_execution_job",
    "save_record": "get_record",
}
"""By the change that makes a row: the query that returns such a row of the log."""

REBUILT = frozenset({"database_damaged", "row_without_parent", "row_unreadable"})
"""Faults for which a database is rebuilt from its log."""

ReadRows = Callable[[str], Iterator[Row]]

_Lacking = dict[tuple[str, int], object]
"""By the change that makes a row and the hash of the row: its id."""


def is_of_use(faults: Iterable[RowFault]) -> bool:
    """Return whether the row log is worth comparing: not with rows that will be made of it anew."""
    return not any(fault.kind in REBUILT for fault in faults)


def faults_of_log(rows: ReadRows, directory: str) -> Iterator[RowFault]:
    """Yield what is wrong with the row log. Blocks; changes nothing.

    The log may be newer than the database, as in a backup of a store that was in use: what it says of a row later
    counts. The store may be in use: what is committed between two looks is taken for missing by one of them, and not by
    both.

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
    if _is_plain_and_whole(rows, path):
        return {}
    with _scratch(path) as replayed:
        made = _replayed(replayed, row_log_lines(path))
        return _Comparison(rows, replayed, made).lacking()


def _is_plain_and_whole(rows: ReadRows, path: str) -> bool:
    """Return whether all is well, as can be seen without replaying the records: false if that cannot tell."""
    with _scratch(path) as replayed:
        records = RecordLines(replayed)
        try:
            made = _replayed(replayed, records.left_over(row_log_lines(path)))
        except NotPlainError:
            return False
        return records.are(rows) and not _Comparison(rows, replayed, made, but="save_record").lacking()


@contextmanager
def _scratch(path: str) -> Generator[Connection]:
    """Give an empty database to replay a log into."""
    queries = _scratch_queries()
    with closing(cast("Connection", apsw.Connection(""))) as empty:  # a temporary file, once it is large
        for pragma, value in (("journal_mode", "off"), ("synchronous", "off"), ("foreign_keys", "on")):
            empty.pragma(pragma, value)
        migrate(empty, path, alone=True)
        for name in queries.names():
            empty.execute(queries[name])
        yield empty


def _replayed(empty: Connection, lines: Iterable[bytes]) -> Rebuilding:
    made = Rebuilding(empty)
    empty.execute(sqlite_queries()["begin"])
    made.replay(lines)
    empty.execute(sqlite_queries()["commit"])
    return made


class _Comparison:
    """Compares a database with what the row log gives.

    Args:
        rows: returns the rows of a named query over the database.
        replayed: what the log gives.
        made: has replayed it.
        but: rows of this change are not compared.
    """

    def __init__(self, rows: ReadRows, replayed: Connection, made: Rebuilding, but: str | None = None) -> None:
        self._rows = rows
        self._but = but
        self._replayed = replayed
        self._deleted = made.ever_deleted
        self._gone: set[object] = set()  # execution jobs that were deleted later
        self._parts = 1 + made.logged // _MOST_AT_ONCE
        self._queries = sqlite_queries()

    def lacking(self) -> _Lacking:
        """Return the rows that the log lacks."""
        lacking: _Lacking = {}
        for query, change in ALL_ROWS:
            names, wanted = self._queries.parameters(change), _TELLING.get(change)
            if wanted is None or change == self._but:
                continue
            told = _telling(wanted, names)
            for part in range(self._parts):
                of_part = {
                    found
                    for row in self._replayed.execute(self._queries[query])
                    if (found := hash(told(row))) % self._parts == part
                }
                for row in self._rows(query):
                    found = hash(told(row))
                    if found % self._parts != part or found in of_part:
                        continue
                    given = dict(zip(names, row, strict=True))
                    if not self._is_later(change, given, names):
                        lacking[change, found] = given[wanted[0]]
        return lacking

    def _is_later(self, change: str, given: dict[str, object], names: tuple[str, ...]) -> bool:
        """Return whether the log knows something of a row that came after what the database has."""
        if not self._deleted.isdisjoint(given.items()) or given.get("job_id") in self._gone:
            if change == "save_execution_job":
                self._gone.add(given["job_id"])
            return True
        query = _LATEST.get(change)
        if query is None:
            return False
        row_id = given[_TELLING[change][0]]
        there = self._replayed.execute(self._queries[query], (row_id,)).fetchone()
        if there is None:
            return False
        changed = dict(zip(names, there, strict=True))["last_update_time"]
        return str(changed) > str(given["last_update_time"])


def _telling(wanted: tuple[str, ...], names: tuple[str, ...]) -> Callable[[Row], Row]:
    """Return what takes from a row what counts. Of two inputs that have not ended, neither says more than the other."""
    take = cast("Callable[[Row], Row]", itemgetter(*map(names.index, wanted)))
    if len(wanted) == 1:
        return lambda row: (take(row),)
    if "status" not in wanted:
        return take
    at = wanted.index("status")

    def told(row: Row) -> Row:
        found = take(row)
        return (*found[:at], "open", *found[at + 1 :]) if found[at] in _OPEN else found

    return told


@cache
def _scratch_queries() -> Queries:
    return Queries("sqlite", "scratch/log.sql")
