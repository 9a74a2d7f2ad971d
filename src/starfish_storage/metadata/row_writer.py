"""The row changes of the write path that every engine makes alike, each within the transaction of its group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, TypeVar

from starfish_storage.errors import (
    AlreadyExistsError,
    IdCollisionError,
    InvalidInputError,
    NotEmptyError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
    shorten,
)
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataWrite
from starfish_storage.interface.rows import (
    ExecutionJobEndRow,
    ExecutionJobRow,
    MasterJobEndRow,
    MasterJobRow,
    ProjectRow,
    RecordRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Change, Cursor, Row, WritingConnection, only_value, only_values

Item = TypeVar("Item")
Named = TypeVar("Named", bound=NamedTuple)


class RowWriter(ABC):
    """Applies row changes on the writing connection; used by the writer's thread only.

    Args:
        connection: the writing connection, inside a transaction whenever a method is called.
        queries: the named queries.
    """

    constraint_errors: ClassVar[tuple[type[Exception], ...]]
    """What the driver raises where a row breaks a rule of the schema."""

    most_rows: ClassVar[int] = 64
    """The most rows in a common statement."""

    def __init__(self, connection: WritingConnection, queries: Queries) -> None:
        self._connection = connection
        self._queries = queries
        self._claimed: dict[tuple[str, str], str] = {}

    @abstractmethod
    def now(self) -> datetime:
        """Return the time by the clock that all who use the store share."""

    def need_store_alone(self) -> None:  # noqa: B027 (in SQLite one group is written after the other)
        """Go on only while no other group is written, by no process."""

    def show_worker(self, worker_id: str) -> None:  # noqa: B027 (nobody sees the connections of SQLite)
        """Have the server show which worker writes."""

    @abstractmethod
    def change(self, name: str, row: Row) -> None:
        """Run a named query that changes rows."""

    @abstractmethod
    def change_repeated(self, name: str, rows: Sequence[Row]) -> int:
        """Run a named query that changes rows over several rows, and return how many rows it changed."""

    @abstractmethod
    def change_each(self, name: str, rows: Sequence[Row]) -> None:
        """Run a named query that changes rows for each of several rows."""

    @abstractmethod
    def save_record(self, row: RecordRow) -> None:
        """Upsert a record whose data, if it has any, was saved before."""

    @abstractmethod
    def update_record(self, row: RecordRow) -> None:
        """Change the row of a record that is there, given as `save_records` takes it; its data stays."""

    @abstractmethod
    def save_records(self, rows: Sequence[RecordRow]) -> list[list[Change]]:
        """Upsert records of distinct uids with their data, and return of each what takes it back."""

    @abstractmethod
    def keep_version(self, row: RecordVersionRow, *, is_new: bool) -> Change:
        """Store an output as a version, and return what takes that back.

        Args:
            row: the version.
            is_new: its data was put in this group, under the key of the record's own; otherwise it is that of the
                current output, which is not current any more.
        """

    @abstractmethod
    def save_restored(self, row: RecordRow, number: int) -> list[Change]:
        """Upsert a record with the data of one of its versions, and return what takes that back.

        Args:
            row: the record, with the key of its own data.
            number: of the version, which is deleted afterwards.
        """

    @abstractmethod
    def drop_versions(self, rows: Sequence[RecordVersionRow]) -> list[Change]:
        """Delete those of some versions that are there, and return what takes that back.

        The removal of their data is noted; where files are written over, it is the caller's.
        """

    @abstractmethod
    def note_data(self, kind: str, id: str, write: DataWrite) -> list[Change]:
        """Note data that is written without a row, and return what takes that back."""

    @abstractmethod
    def delete_master_job(self, master_job_id: str) -> None:
        """Delete a master job and all that belongs to it, and note the removal of the data."""

    @abstractmethod
    def delete_records(self, uids: Sequence[str]) -> None:
        """Delete records with their versions, and note the removal of the data that no other record refers to."""

    @abstractmethod
    def delete_jobs_without_records(self, job_ids: Sequence[str]) -> None:
        """Delete those of some execution jobs that have no record, nor a version of one."""

    def lock_jobs(self, job_ids: Sequence[str]) -> None:  # noqa: B027 (in SQLite one group is written after the other)
        """Have whoever saves a record of one of these execution jobs wait, before any of their records is locked."""

    @abstractmethod
    def recount(self) -> None:
        """Set every count that is kept of records, and of attempts, to what these say."""

    @abstractmethod
    def data_is_there(self, kind: str, value: str) -> bool:
        """Return whether there is data of a kind (``record_uid``, ``master_job_id``) and id."""

    @abstractmethod
    def _breaks_reference(self, error: Exception) -> bool:
        """Return whether a constraint error says that a parent is missing."""

    def execute_merged(self, name: str, statuses: Sequence[str], each: Row) -> list[Row]:
        """Run a named list over statuses, the parameters ``each`` before every one, and return its rows."""
        parameters = tuple(value for status in statuses for value in (*each, status))
        return self._connection.execute(self._queries.merged(name, len(statuses)), parameters).fetchall()

    def execute(self, name: str, parameters: Row = ()) -> Cursor:
        """Run a named query."""
        return self._connection.execute(self._queries[name], parameters)

    def execute_repeated(self, name: str, rows: int, parameters: Row) -> Cursor:
        """Run a named query over several rows."""
        return self._connection.execute(self._queries.repeated(name, rows), parameters)

    def first(self, name: str, parameters: Row = ()) -> Row | None:
        """Run a named query and return its first row."""
        return self.execute(name, parameters).fetchone()

    def first_as(self, kind: type[Named], name: str, parameters: Row = ()) -> Named | None:
        """Run a named query and return its first row, named."""
        found = self.first(name, parameters)
        return None if found is None else kind._make(found)

    def first_value(self, name: str, parameters: Row = ()) -> Any:
        """Run a named query of one column and return its first value; None if there is no row."""
        return only_value(self.first(name, parameters))

    def values(self, name: str, parameters: Row = ()) -> list[Any]:
        """Run a named query of one column and return its values."""
        return only_values(self.execute(name, parameters).fetchall())

    def save_project(self, row: ProjectRow) -> None:
        """Upsert a project."""
        self.change("save_project", row)

    def insert_master_job(self, row: MasterJobRow) -> None:
        """Insert a master job."""
        master_job_id, project_id = row.master_job_id, row.project_id
        if self.first("get_master_job", (master_job_id,)) is not None:
            raise AlreadyExistsError(
                "master job", master_job_id, "give a new id, or update the existing one's status instead"
            )
        self.claim_id("master_job_id", master_job_id)
        if self.first("get_project", (project_id,)) is None:
            raise ParentNotFoundError("project", project_id, "save it before its master jobs")
        self.change("insert_master_job", row)

    def end_master_job(self, row: MasterJobEndRow) -> None:
        """Set how a master job ended."""
        self.change("end_master_job", row)
        self._need_change("master job", row.master_job_id, "start it with log_master_job_start first")

    def update_master_job_status(self, master_job_id: str, status: str, last_update_time: str) -> None:
        """Set a master job's status."""
        self.change("update_master_job_status", (status, last_update_time, master_job_id))
        self._need_change("master job", master_job_id, "start it with log_master_job_start first")

    def save_execution_job(self, row: ExecutionJobRow) -> None:
        """Upsert an execution job."""
        try:
            self.change("save_execution_job", row)
        except self.constraint_errors as error:
            raise self._explained(error, job_id=None, master_job_id=row.master_job_id) from error

    def end_execution_job(self, row: ExecutionJobEndRow) -> None:
        """Set how an execution job ended."""
        self.change("end_execution_job", row)
        self._need_change("execution job", row.job_id, "start it with log_execution_job_start first")

    def delete_project(self, project_id: str, cascade: bool) -> None:
        """Delete a project and, with ``cascade``, its master jobs."""
        jobs = self.values("list_master_job_ids_of_project", (project_id,))
        if jobs and not cascade:
            raise NotEmptyError(
                project_id, f"it has {len(jobs)} master jobs; delete them first, or say cascade=True to delete them too"
            )
        for master_job_id in jobs:
            self.delete_master_job(master_job_id)
        self.change("delete_project", (project_id,))
        self._need_change("project", project_id, "it may have been deleted before")

    def claim_id(self, kind: str, value: str) -> None:
        """Refuse an id that differs only in case from one in use: many file systems have one file for both.

        Ids that are their own lower case, as UUIDs are, cost one look-up in a table that is nearly always empty.
        """
        folded = fold(value)
        if self._claimed.setdefault((kind, folded), value) != value:
            raise _collision(kind, value, self._claimed[kind, folded])
        found = self.first_value("get_mixed_case_id", (kind, folded))
        if found is not None and found != value:
            raise _collision(kind, value, found)
        if folded == value or found is not None:
            return
        query = "get_record" if kind == "record_uid" else "get_master_job"
        if self.first(query, (folded,)) is not None or self.data_is_there(kind, folded):
            raise _collision(kind, value, folded)
        self.execute("save_mixed_case_id", (kind, folded, value))

    def _need_change(self, kind: str, value: str, remedy: str) -> None:
        if self._connection.changes() == 0:
            raise NotFoundError(kind, value, remedy)

    def _lacks_parent(self, row: RecordRow) -> bool:
        job = self._execution_job(row.job_id)
        return job is None or job.master_job_id != row.master_job_id

    def _execution_job(self, job_id: str) -> ExecutionJobRow | None:
        return self.first_as(ExecutionJobRow, "get_execution_job", (job_id,))

    def _explained(self, error: Exception, job_id: str | None, master_job_id: str) -> StorageError:
        """Say which parent is missing: SQLite says only that one is."""
        if self._breaks_reference(error):
            if self.first("get_master_job", (master_job_id,)) is None:
                return ParentNotFoundError("master job", master_job_id, "start it with log_master_job_start first")
            job = None if job_id is None else self._execution_job(job_id)
            if job_id is not None and job is None:
                return ParentNotFoundError("execution job", job_id, "start it with log_execution_job_start first")
            if job is not None:
                return InvalidInputError(
                    f"execution job {shorten(job_id)} belongs to master job {shorten(job.master_job_id)}, not to "
                    f"{shorten(master_job_id)}: give its records the master job it has."
                )
            return InvalidInputError(
                f"the execution job has records of another master job than {shorten(master_job_id)}: give it a new id."
            )
        return InvalidInputError(f"the database refused the row: {self._reason(error)}; nothing was written.")

    def _reason(self, error: Exception) -> str:
        return str(error)


def portions(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    """Split items into portions of ``most`` (a power of two), half of it, ... 1.

    Few sizes, so that the statements for them stay prepared.
    """
    start, size = 0, most
    while start < len(items):
        while size > len(items) - start:
            size //= 2
        yield items[start : start + size]
        start += size


def _collision(kind: str, value: str, other: Any) -> IdCollisionError:
    return IdCollisionError(
        kind, value, f"{other!a} is in use, and many file systems cannot tell the two apart (case alone differs)"
    )
