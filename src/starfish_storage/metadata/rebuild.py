"""A new database from the row log and from what SQLite can recover of a damaged one."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import apsw
import apsw.sqlite_extra

from starfish_storage.codec import content_digest
from starfish_storage.errors import StorageError
from starfish_storage.identifiers import fold
from starfish_storage.metadata.connection import DATA_ELSEWHERE, open_for_writing
from starfish_storage.metadata.driver import Connection, Row
from starfish_storage.metadata.driver_errors import translate
from starfish_storage.metadata.migrate import latest_version, migrate
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row_changes import CHANGES
from starfish_storage.metadata.row_writer import owner_uid

logger = logging.getLogger(__name__)

_RECOVERED = "recovered.db"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)

# Of each table: how to list its rows, look one up and save it, and where the time of its last change stands.
_TABLES = (
    ("every_project", "get_project", "save_project", 4),
    ("every_master_job", "get_master_job", "insert_master_job", 17),
    ("every_execution_job", "get_execution_job", "save_execution_job", 14),
    ("every_record", "get_record", "save_record", 7),
)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuilt database was made of.

    Attributes:
        logged: changes taken from the row log.
        recovered: rows that only the damaged database had, or had newer.
        refused: changes that could not be applied, for lack of what they belong to.
    """

    logged: int
    recovered: int
    refused: int


def rebuild(path: str, row_log: Iterable[bytes], damaged: str | None, *, data_elsewhere: bool) -> Rebuilt:
    """Make a new database.

    Args:
        path: where it is made; there must be nothing.
        row_log: the lines of the row log, in order; torn ones are passed over.
        damaged: a copy of the damaged database, with its log beside it, in a directory that may be written.
        data_elsewhere: the data lies in another directory than the database.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        connection = open_for_writing(path, "power")
        try:
            migrate(connection, path, alone=True)
            made = _Rebuilding(connection)
            connection.execute(sqlite_queries()["begin"])
            made.replay(row_log)
            recovered = None if damaged is None else _recover(damaged)
            if recovered is not None:
                made.merge(recovered)
            made.claim_mixed_case_ids()
            connection.execute(sqlite_queries()["save_setting"], (DATA_ELSEWHERE, "yes" if data_elsewhere else "no"))
            connection.execute(sqlite_queries()["commit"])
            connection.pragma("journal_mode", "delete")  # nothing beside it, so that it can be renamed
        finally:
            connection.close()
    except apsw.Error as error:
        raise translate(error, path) from error
    return Rebuilt(made.logged, made.recovered, made.refused)


class _Rebuilding:
    """Fills an empty database, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queries = sqlite_queries()
        self._deleted: set[str] = set()
        self.logged = 0
        self.recovered = 0
        self.refused = 0

    def replay(self, lines: Iterable[bytes]) -> None:
        """Apply the changes of the row log."""
        columns: dict[str, list[str]] = {}
        for line in lines:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue  # torn by a power cut
            if isinstance(found, dict):
                columns = cast("dict[str, dict[str, list[str]]]", found).get("columns", {})
                continue
            name, *values = cast("list[Any]", found)
            if name not in CHANGES or name not in columns:
                continue
            given = dict(zip(columns[name], values, strict=False))
            row = tuple(given.get(parameter) for parameter in self._queries.parameters(name))
            if name in ("delete_master_job", "delete_project"):
                self._deleted.add(str(row[0]))
            elif name in ("insert_master_job", "save_project"):
                self._deleted.discard(row[0])
            self.logged += self._apply(name, row)

    def merge(self, path: str) -> None:
        """Add rows of a recovered database that the row log does not have, or has of an earlier time."""
        recovered = cast("Connection", apsw.Connection(path))
        try:
            if recovered.pragma("user_version") < latest_version():
                migrate(recovered, path, alone=True)
            for every, get, save, changed in _TABLES:
                for row in _readable_rows(lambda every=every: recovered.execute(self._queries[every])):
                    self._merge_row(row, get, save, changed)
            for key, payload in _readable_rows(lambda: recovered.execute(self._queries["every_journal_entry"])):
                self._merge_journaled(key, payload)
        except apsw.Error as error:
            logger.warning("of the damaged database not all could be recovered: %s", type(error).__name__)
        finally:
            recovered.close()

    def claim_mixed_case_ids(self) -> None:
        """Note the ids that are not their own lower case."""
        for kind, every in (("master_job_id", "every_master_job"), ("record_uid", "every_record")):
            odd = [row[0] for row in self._connection.execute(self._queries[every]) if fold(row[0]) != row[0]]
            for given in odd:
                self._connection.execute(self._queries["save_mixed_case_id"], (kind, fold(given), given))

    def _merge_row(self, row: Row, get: str, save: str, changed: int) -> None:
        there = self._connection.execute(self._queries[get], (row[0],)).fetchone()
        if _TIME.fullmatch(str(row[changed])) is None:
            return  # damaged: it must not win for looking late
        if row[0] in self._deleted or (there is not None and there[changed] >= row[changed]):
            return
        if there is None or save != "insert_master_job":
            self.recovered += self._apply(save, row)
            return
        # Newer than its line in the log, which is its end at most: inserting it again is not possible.
        end = (row[3], row[18], row[16], row[17], *row[10:14], row[0])
        self.recovered += self._apply("end_master_job", end)

    def _merge_journaled(self, key: str, payload: bytes) -> None:
        """Keep data that was committed and may not have reached its file, if a row of today means just that."""
        rows = self._connection.execute(self._queries["get_data_digest"], (owner_uid(key), key, key)).fetchall()
        if any(digest == content_digest(payload) for _, digest in rows):
            self._connection.execute(self._queries["journal_data"], (key, payload))

    def _apply(self, name: str, row: Row) -> bool:
        try:
            self._connection.execute(self._queries[name], row)
        except (apsw.ConstraintError, apsw.MismatchError):
            self.refused += 1
            return False
        return True


def _recover(damaged: str) -> str | None:
    """Let SQLite recover what it can of a database into another beside it; None if that is nothing."""
    target = f"{os.path.dirname(damaged)}/{_RECOVERED}"
    shell = apsw.sqlite_extra.path("sqlite3_shell")
    # Without what stands on free pages: those are rows that were deleted.
    script = subprocess.run(  # noqa: S603 (the driver's own program, on a path of ours)
        [shell, damaged, ".recover --ignore-freelist"], capture_output=True, check=False
    ).stdout
    if not script.strip():
        return None
    loaded = subprocess.run([shell, target], input=script, capture_output=True, check=False)  # noqa: S603 (as above)
    if loaded.returncode != 0:
        logger.warning("of the damaged database not all could be recovered")
    return target if os.path.exists(target) else None


def _readable_rows(begin: Callable[[], Iterable[Row]]) -> Iterable[Row]:
    try:
        yield from begin()
    except (apsw.Error, UnicodeDecodeError) as error:
        logger.warning("of a table not all could be recovered: %s", type(error).__name__)


def row_log_lines(path: str) -> Iterable[bytes]:
    """Yield the lines of a row log; nothing if there is none."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as log:
            yield from log
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"the row log {path!r} cannot be read: {error.strerror}.") from error
