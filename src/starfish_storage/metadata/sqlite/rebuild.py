"""A new database from the row log and from what can still be read of a damaged one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, cast

import apsw

from starfish_storage.codec import content_digest, decode
from starfish_storage.identifiers import fold
from starfish_storage.interface.action_rows import ActionRow
from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.rows import (
    AttemptRow,
    ExecutionJobEndRow,
    ExecutionJobRow,
    MasterJobEndRow,
    MasterJobRow,
    ProjectRow,
    RecordRow,
    SegmentRow,
    StepRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow, StandingOutcomeRow
from starfish_storage.keys import named_request_config, owner_uid
from starfish_storage.metadata.annotation_rows import said
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.connection import DATA_ELSEWHERE, keep_undo_in_memory, open_for_writing
from starfish_storage.metadata.sqlite.driver import Connection, Row
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.line_places import NO_PACKS, FoundPacks, LinePlaces
from starfish_storage.metadata.sqlite.log_lines import logged_changes, together
from starfish_storage.metadata.sqlite.migrate import migrate
from starfish_storage.metadata.sqlite.salvage import salvaged
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_UNKNOWN_TIME = "1970-01-01T00:00:00.000000Z"
_TIMES = frozenset({"created_when", "updated_when", "creation_time", "start_time", "end_time", "last_update_time"})
_TIMES_JOBS_MAY_LACK = frozenset({"start_time", "end_time"})
_JSON = frozenset({"output_schema", "summary", "run_config", "counts"})  # all but the first may be NULL
_MAKING = frozenset({"insert_master_job", "put_master_job", "save_project"})
_REFUSED = (apsw.ConstraintError, apsw.MismatchError, OverflowError, UnicodeEncodeError)
_RECOVERED = "recovered"  # name of what is made for rows whose parent is lost


class _Table(NamedTuple):
    """How rows of a table are named, read from a damaged database, looked up and saved."""

    kind: type[ProjectRow | MasterJobRow | ExecutionJobRow | RecordRow]
    salvage: str
    get: str
    save: str


_TABLES = (
    _Table(ProjectRow, "salvage_projects", "get_project", "save_project"),
    _Table(MasterJobRow, "salvage_master_jobs", "get_master_job", "insert_master_job"),
    _Table(ExecutionJobRow, "salvage_execution_jobs", "get_execution_job", "save_execution_job"),
    _Table(RecordRow, "salvage_records", "get_record", "save_record"),
)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuilt database was made of.

    Attributes:
        logged: changes taken from the row log.
        recovered: rows that only the damaged database had, or had newer.
        refused: changes that could not be applied, for lack of what they belong to.
        made: projects and jobs that were made for what belongs to them, because their own rows are lost.
    """

    logged: int
    recovered: int
    refused: int
    made: int


def rebuild(
    path: str, row_log: Iterable[bytes], damaged: str | None, *, data_elsewhere: bool, packs: FoundPacks = NO_PACKS
) -> Rebuilt:
    """Make a new database.

    Args:
        path: where it is made; there must be nothing.
        row_log: the lines of the row log, in order; torn ones are passed over.
        damaged: a copy of the damaged database, with its log beside it, in a directory that may be written.
        data_elsewhere: the data lies in another directory than the database.
        packs: what lies in packs.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        connection = open_for_writing(path, "power")
        try:
            migrate(connection, path, alone=True)
            made = Rebuilding(connection)
            keep_undo_in_memory(connection, "off")  # nor what is wanted of packs
            connection.execute(sqlite_queries()["begin"])
            made.replay(row_log)
            if damaged is not None:
                made.merge(damaged)
            LinePlaces(connection, packs).place(damaged)
            made.claim_mixed_case_ids()
            connection.execute(sqlite_queries()["save_setting"], (DATA_ELSEWHERE, "yes" if data_elsewhere else "no"))
            connection.execute(sqlite_queries()["commit"])
            connection.pragma("journal_mode", "delete")  # nothing beside it, so that it can be renamed
        finally:
            connection.close()
    except apsw.Error as error:
        raise translate(error, path) from error
    return Rebuilt(made.logged, made.recovered, made.refused, made.made)


class Rebuilding:
    """Fills an empty database, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queries = sqlite_queries()
        self._deleted: set[tuple[str, object]] = set()  # columns and ids of projects and master jobs
        self._merged: dict[str, set[str]] = {table.save: set() for table in _TABLES}
        self.ever_deleted: set[tuple[str, object]] = set()
        self.logged = self.recovered = self.refused = self.made = 0

    def replay(self, lines: Iterable[bytes]) -> None:
        """Apply the changes of the row log."""
        for name, rows in together(logged_changes(lines)):
            if name.startswith("delete_") or name in _MAKING:
                self._note_deleted(name, *rows)
            self.logged += self._apply_all(name, rows)

    def merge(self, path: str) -> None:
        """Add rows of a damaged database that the row log does not have, or has of an earlier time."""
        damaged = cast("Connection", apsw.Connection(path))
        damaged.config(apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1)  # or SQLite reads nothing of one that was cut short
        try:
            if damaged.pragma("user_version") < latest_version():
                migrate(damaged, path, alone=True)
            for table in _TABLES:
                for row in salvaged(damaged, self._queries[table.salvage]):
                    self._merge_row(table.kind._make(row), table)
            for row in salvaged(damaged, self._queries["salvage_execution_job_ends"]):
                end = ExecutionJobEndRow._make(row)
                if end.job_id in self._merged["save_execution_job"]:
                    self._apply("end_execution_job", self._mended("end_execution_job", end))
            self._merge_runs(damaged)
            self._merge_attempts(damaged)
            self._merge_versions(damaged)
            self._merge_annotations(damaged)
            self._merge_actions(damaged)
            for key, payload in salvaged(damaged, self._queries["salvage_journal"]):
                self._merge_journaled(key, payload)
        except apsw.Error as error:
            logger.warning("of the damaged database not all could be read: %s", type(error).__name__)
        finally:
            damaged.close()

    def claim_mixed_case_ids(self) -> None:
        """Note the ids that are not their own lower case."""
        for kind, every in (("master_job_id", "every_master_job"), ("record_uid", "every_record")):
            odd = [own_id for own_id, *_ in self._connection.execute(self._queries[every]) if fold(own_id) != own_id]
            for given in odd:
                self._connection.execute(self._queries["save_mixed_case_id"], (kind, fold(given), given))

    def _merge_row(self, row: ProjectRow | MasterJobRow | ExecutionJobRow | RecordRow, table: _Table) -> None:
        own_id, *_ = row
        found = self._connection.execute(self._queries[table.get], (own_id,)).fetchone()
        there = None if found is None else table.kind._make(found)
        # One whose time is damaged must not win for looking late; alone, it is better than none.
        if there is not None and (not _is_time(_changed(row)) or _changed(there) >= _changed(row)):
            return
        if not self._deleted.isdisjoint(zip(self._queries.parameters(table.save), row, strict=True)):
            return
        mended = table.kind._make(self._mended(table.save, row))
        if there is not None and isinstance(mended, MasterJobRow):
            # Newer than its line in the log, which is its end at most: inserting it again is not possible.
            end = MasterJobEndRow._make(getattr(mended, name) for name in MasterJobEndRow._fields)
            self.recovered += self._apply("end_master_job", end)
            return
        if there is None:
            self._make_parents(table.save, mended)
        self.recovered += self._apply(table.save, mended)
        self._merged[table.save].add(own_id)

    def _merge_runs(self, damaged: Connection) -> None:
        """Add what makes master jobs and execution jobs, which are there by now, a run and its inputs."""
        for master_job_id, registered, complete in salvaged(damaged, self._queries["salvage_runs"]):
            if self._belongs("get_master_job", master_job_id):
                self._recover("start_run", (master_job_id,))
                self._apply("note_registered", (registered, master_job_id))
                if complete:
                    self._apply("complete_inputs", (master_job_id,))
        for segment in map(SegmentRow._make, salvaged(damaged, self._queries["salvage_segments"])):
            is_lost = self._connection.execute(self._queries["get_segment"], segment.id).fetchone() is None
            if is_lost and _is_time(segment.start_time) and self._belongs("whole_run", segment.master_job_id):
                self._recover("save_segment", segment)
        for position, job_id in salvaged(damaged, self._queries["salvage_positions"]):
            if job_id in self._merged["save_execution_job"]:
                self._apply("place_input", (position, job_id))
        for key, uid in salvaged(damaged, self._queries["salvage_unique_keys"]):
            if uid in self._merged["save_record"]:
                self._apply("set_unique_key", (key, uid))

    def _merge_attempts(self, damaged: Connection) -> None:
        for attempt in map(AttemptRow._make, salvaged(damaged, self._queries["salvage_attempts"])):
            is_whole = _is_time(attempt.start_time) and _is_time(attempt.end_time)
            if is_whole and self._belongs("get_execution_job", attempt.job_id):
                self._recover("save_attempt", attempt)
        for step in map(StepRow._make, salvaged(damaged, self._queries["salvage_steps"])):
            is_lost = self._connection.execute(self._queries["get_step"], step.id).fetchone() is None
            if is_lost and self._belongs("get_execution_job", step.job_id) and _is_time(step.saved_when):
                self._recover("save_step", step)

    def _merge_versions(self, damaged: Connection) -> None:
        """Add what stands of inputs that run again, and the versions of records."""
        for stands in map(StandingOutcomeRow._make, salvaged(damaged, self._queries["salvage_standing"])):
            if stands.job_id in self._merged["save_execution_job"]:
                self._apply("save_standing", stands)
        for *numbers, uid in salvaged(damaged, self._queries["salvage_record_attempts"]):
            if uid in self._merged["save_record"]:
                self._apply("set_record_attempt", (*numbers, uid))
        for version in map(RecordVersionRow._make, salvaged(damaged, self._queries["salvage_versions"])):
            is_lost = self._connection.execute(self._queries["get_version"], version.id).fetchone() is None
            is_whole = all(map(_is_time, (version.start_time, version.end_time, version.replaced_when)))
            if is_lost and is_whole and self._belongs("get_execution_job", version.job_id):
                self._recover("save_version", version)

    def _merge_annotations(self, damaged: Connection) -> None:
        for annotation in map(AnnotationRow._make, salvaged(damaged, self._queries["salvage_annotations"])):
            is_whole = _is_time(annotation.time) and (annotation.withdrawn is None or _is_time(annotation.withdrawn))
            if is_whole and _is_value(annotation) and self._belongs("get_record", annotation.record_uid):
                self._recover("save_annotation", annotation)

    def _merge_actions(self, damaged: Connection) -> None:
        for action in map(ActionRow._make, salvaged(damaged, self._queries["salvage_actions"])):
            if _is_time(action.time):
                self._recover("save_action", action)

    def _belongs(self, get: str, parent: str) -> bool:
        return self._connection.execute(self._queries[get], (parent,)).fetchone() is not None

    def _recover(self, name: str, row: Row) -> None:
        """Apply a change that does nothing to what is there, and count it if it did something."""
        self.recovered += self._apply(name, row) and self._connection.changes() > 0

    def _merge_journaled(self, key: str, payload: bytes) -> None:
        """Keep data that was committed and may not have reached its file, if a row of today means just that."""
        rows = self._connection.execute(self._queries["get_data_digest"], (owner_uid(key), key, key, key)).fetchall()
        if any(digest == content_digest(payload) for _, digest in rows):
            self._connection.execute(self._queries["journal_data"], (key, payload))

    def _note_deleted(self, name: str, row: Row) -> None:
        """Note what a change deletes or makes again."""
        named_id = next(zip(self._queries.parameters(name), row, strict=True))
        if name.startswith("delete_"):
            self.ever_deleted.add(named_id)
        if name in ("delete_master_job", "delete_project"):
            self._deleted.add(named_id)
        elif name in _MAKING:
            self._deleted.discard(named_id)

    def _apply_all(self, name: str, rows: Sequence[Row]) -> int:
        """Apply a change with each of several rows, and return how many of them fit."""
        if len(rows) > 1:
            try:
                self._connection.execute(self._queries.repeated(name, len(rows)), tuple(chain.from_iterable(rows)))
            except _REFUSED:
                pass  # one of them: each for itself
            else:
                return len(rows)
        return sum(self._apply(name, row) for row in rows)

    def _apply(self, name: str, row: Row) -> bool:
        try:
            self._connection.execute(self._queries[name], row)
        except _REFUSED:
            self.refused += 1
            return False
        return True

    def _mended(self, name: str, row: Row) -> Row:
        """Return a row of a damaged database with something readable in place of invalid times and JSON."""
        return tuple(
            value if _is_readable(column, value) else _instead(name, column)
            for column, value in zip(self._queries.parameters(name), row, strict=True)
        )

    def _make_parents(self, name: str, row: Row) -> None:
        """Make the lost parents of a row: without them, the row would be lost too."""
        given = dict(zip(self._queries.parameters(name), row, strict=True))
        if name == "insert_master_job":
            self._make("get_project", "save_project", given["project_id"], given)
        elif name in ("save_execution_job", "save_record"):
            if self._lacks("get_master_job", given["master_job_id"]):
                self._make("get_project", "save_project", _RECOVERED, given)
                self._make("get_master_job", "insert_master_job", given["master_job_id"], given)
            if name == "save_record":
                self._make("get_execution_job", "save_execution_job", given["job_id"], given)

    def _make(self, get: str, save: str, id: str, child: dict[str, Any]) -> None:
        if not self._lacks(get, id):
            return
        when = child.get("creation_time") or child["start_time"]
        own = (
            {"project_id": id if get == "get_project" else _RECOVERED, "master_job_id": id, "name": _RECOVERED}
            | {"status": "failed", "error_message": "repair: its row was lost", "output_schema": "{}"}
            | {"storage_uri": ".", "request_config_ref": named_request_config(id)}
            | dict.fromkeys(("created_when", "updated_when", "creation_time", "last_update_time"), when)
        )
        if get == "get_execution_job":
            own |= {"job_id": id, "master_job_id": child["master_job_id"]}
        names = self._queries.parameters(save)
        zeros = {name: 0 for name in names if name.endswith("_count") or name == "attempted_generations"}
        self.made += self._apply(save, tuple((zeros | own).get(name) for name in names))

    def _lacks(self, get: str, id: str) -> bool:
        return self._connection.execute(self._queries[get], (id,)).fetchone() is None


def _changed(row: ProjectRow | MasterJobRow | ExecutionJobRow | RecordRow) -> str:
    """Return when a row was last changed."""
    return row.updated_when if isinstance(row, ProjectRow) else row.last_update_time


def _is_value(row: AnnotationRow) -> bool:
    try:
        said(row.value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_readable(column: str, value: object) -> bool:
    """Return whether a value of a damaged database can be what its column holds."""
    if column in _TIMES:
        return value is None or _is_time(value)
    if column not in _JSON or value is None:
        return True
    try:
        return isinstance(decode(str(value).encode()), dict)
    except (ValueError, RecursionError):
        return False


def _instead(name: str, column: str) -> str | None:
    """Return what stands for a value that cannot be read."""
    if column in _JSON:
        return "{}" if column == "output_schema" else None
    return None if column in _TIMES_JOBS_MAY_LACK and name != "save_record" else _UNKNOWN_TIME
