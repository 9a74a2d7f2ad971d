"""The row changes of the write path, each within the transaction of its group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import apsw

from starfish_storage.codec import content_digest
from starfish_storage.errors import (
    AlreadyExistsError,
    DataNotFoundError,
    IdCollisionError,
    InvalidInputError,
    NotEmptyError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
    shorten,
)
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.metadata.data_in_place import DataInPlace
from starfish_storage.metadata.driver import Connection, Cursor, Row
from starfish_storage.metadata.queries import Queries

Item = TypeVar("Item")
Change = tuple[str, Row]
"""A named query and its parameters."""

_MOST_ROWS = 64


class RowWriter:
    """Applies row changes on the writing connection; used by the writer's thread only.

    Args:
        connection: the writing connection, inside a transaction whenever a method is called.
        queries: the named queries.
        data: where the data lies.
        in_place: knows what data is there.
    """

    def __init__(self, connection: Connection, queries: Queries, data: DataHandler, in_place: DataInPlace) -> None:
        self._connection = connection
        self._queries = queries
        self._data = data
        self._in_place = in_place
        self._group_deletes = False
        self._claimed: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str] = {}
        self._digests_before: list[tuple[str, str | None]] = []
        self._changes: list[Change] = []
        self._operation_start = 0

    def begin_group(self) -> None:
        """Forget what the group before this one did, whose data is in place by now."""
        self._group_deletes = False
        self._claimed.clear()
        self._digests.clear()
        self._changes.clear()

    def begin_operation(self) -> None:
        """Note where an operation begins, so that it can be forgotten."""
        self._operation_start = len(self._changes)
        self._digests_before.clear()

    def undo_operation(self) -> None:
        """Forget what the operation did: the savepoint is rolled back."""
        del self._changes[self._operation_start :]
        for key, digest in reversed(self._digests_before):
            if digest is None:
                del self._digests[key]
            else:
                self._digests[key] = digest

    def changes(self) -> Sequence[Change]:
        """Return the row changes of the group so far, in order."""
        return self._changes

    def change(self, name: str, row: Row) -> None:
        """Run a named query that changes rows, and note it."""
        self.execute(name, row)
        self._changes.append((name, row))

    def change_repeated(self, name: str, rows: Sequence[Row]) -> int:
        """Run a named query that changes rows over several rows, note it, and return how many rows it changed."""
        changed = 0
        for part in portions(rows):
            self.execute_repeated(name, len(part), tuple(chain.from_iterable(part)))
            if self._connection.changes():
                changed += self._connection.changes()
                self._changes += [(name, row) for row in part]
        return changed

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

    def save_project(self, row: Row) -> None:
        """Upsert a project."""
        self.change("save_project", row)

    def insert_master_job(self, row: Row) -> None:
        """Insert a master job."""
        master_job_id, project_id = row[0], row[1]
        if self.first("get_master_job", (master_job_id,)) is not None:
            raise AlreadyExistsError(
                "master job", master_job_id, "give a new id, or update the existing one's status instead"
            )
        self.claim_id("master_job_id", master_job_id)
        if self.first("get_project", (project_id,)) is None:
            raise ParentNotFoundError("project", project_id, "save it before its master jobs")
        self.change("insert_master_job", row)

    def end_master_job(self, row: Row) -> None:
        """Set how a master job ended; the id comes last."""
        self.change("end_master_job", row)
        self._need_change("master job", row[-1], "start it with log_master_job_start first")

    def update_master_job_status(self, row: Row) -> None:
        """Set a master job's status; the id comes last."""
        self.change("update_master_job_status", row)
        self._need_change("master job", row[-1], "start it with log_master_job_start first")

    def save_execution_job(self, row: Row) -> None:
        """Upsert an execution job."""
        try:
            self.change("save_execution_job", row)
        except apsw.ConstraintError as error:
            raise self._explained(error, job_id=None, master_job_id=row[1]) from error

    def end_execution_job(self, row: Row) -> None:
        """Set how an execution job ended; the id comes last."""
        self.change("end_execution_job", row)
        self._need_change("execution job", row[-1], "start it with log_execution_job_start first")

    def save_record(self, row: Row) -> None:
        """Upsert a record whose data, if it has any, was saved before."""
        self.claim_id("record_uid", row[0])
        self._need_data(row[4])
        try:
            self.change("save_record", (*row[:-1], self._digest_of(row[4])))
        except apsw.ConstraintError as error:
            raise self._explained(error, job_id=row[1], master_job_id=row[2]) from error

    def save_records(self, rows: Sequence[Row]) -> list[list[Change]]:
        """Upsert records of distinct uids, many in a statement, and return of each what takes it back."""
        undo: list[list[Change]] = []
        for part in portions(rows):
            uids = tuple(row[0] for row in part)
            self._claim_record_uids(uids)
            before = {row[0]: row for row in self.execute_repeated("get_record", len(part), uids)}
            undo += [[("save_record", before[uid]) if uid in before else ("delete_record", (uid,))] for uid in uids]
            try:
                self.execute_repeated("save_record", len(part), tuple(chain.from_iterable(part)))
                self._changes += [("save_record", row) for row in part]
            except apsw.ConstraintError as error:
                orphan = next((row for row in part if self._lacks_parent(row)), part[0])
                raise self._explained(error, job_id=orphan[1], master_job_id=orphan[2]) from error
            told = self._tell_borrowers({row[4]: row[-1] for row in part if row[4] is not None})
            for of_row, row in zip(undo[-len(part) :], part, strict=True):
                of_row.extend(told.get(row[4], ()))
        return undo

    def note_data(self, kind: str, id: str, write: DataWrite) -> list[Change]:
        """Claim the id of data that is written without a row, and note its digest in the rows that refer to it.

        Returns what takes the latter back.
        """
        self.claim_id(kind, id)
        if kind != "record_uid":
            return []
        digest = content_digest(write.payload or b"")
        self._note_digest(write.key, digest)
        undo = self._tell_borrowers({write.key: digest}).get(write.key, [])
        row = self.first("get_record", (id,))
        if row is not None and row[4] == write.key and row[-1] != digest:
            self.change("set_data_digest", (digest, id))
            undo.append(("set_data_digest", (row[-1], id)))
        return undo

    def journal(self, writes: Sequence[DataWrite]) -> list[int]:
        """Journal data, and return the numbers of the entries."""
        numbers: list[int] = []
        for part in portions(writes):
            self.execute_repeated(
                "journal_data", len(part), tuple(value for write in part for value in (write.key, write.payload))
            )
            last = self._connection.last_insert_rowid()
            numbers += range(last - len(part) + 1, last + 1)
        return numbers

    def delete_master_job(self, master_job_id: str) -> None:
        """Delete a master job and all that belongs to it, and journal the removal of the data."""
        key = (master_job_id,)
        self._group_deletes = True
        self._release_record_uids(master_job_id)
        self.execute("journal_removal_of_records", key)
        for (reference,) in self.execute("list_borrowed_data", key).fetchall():
            self._journal_removal_of_borrowed(reference, master_job_id)
        job = self.first("get_master_job", key)
        self.execute("journal_removal_of_request_config", key)
        removed = job[4] if job is not None and self._connection.changes() else None
        self.change("delete_master_job", key)
        self._need_change("master job", master_job_id, "it may have been deleted before")
        own = self._data.request_config_key(master_job_id)
        if removed == own or not self._in_place.exists(own):
            self.execute("delete_mixed_case_id", ("master_job_id", master_job_id))

    def delete_project(self, project_id: str, cascade: bool) -> None:
        """Delete a project and, with ``cascade``, its master jobs."""
        jobs = [row[0] for row in self.execute("list_master_job_ids_of_project", (project_id,))]
        if jobs and not cascade:
            raise NotEmptyError(
                project_id, f"it has {len(jobs)} master jobs; delete them first, or say cascade=True to delete them too"
            )
        for master_job_id in jobs:
            self.delete_master_job(master_job_id)
        self.change("delete_project", (project_id,))
        self._need_change("project", project_id, "it may have been deleted before")

    def recount(self) -> None:
        """Set every count that is kept of records, and of attempts, to what these say."""
        for name in ("recount_records", "recount_stale", "recount_jobs", "recount_totals"):
            self.execute(name)

    def claim_id(self, kind: str, value: str) -> None:
        """Refuse an id that differs only in case from one in use: many file systems have one file for both.

        Ids that are their own lower case, as UUIDs are, cost one look-up in a table that is nearly always empty.
        """
        folded = fold(value)
        if self._claimed.setdefault((kind, folded), value) != value:
            raise _collision(kind, value, self._claimed[kind, folded])
        found = self.first("get_mixed_case_id", (kind, folded))
        if found is not None and found[0] != value:
            raise _collision(kind, value, found[0])
        if folded == value or found is not None:
            return
        query = "get_record" if kind == "record_uid" else "get_master_job"
        if self.first(query, (folded,)) is not None or self._in_place.exists_for(kind, folded):
            raise _collision(kind, value, folded)
        self.execute("save_mixed_case_id", (kind, folded, value))

    def _tell_borrowers(self, digests: dict[str, str]) -> dict[str, list[Change]]:
        """Note digests of data in the rows that refer to it under another uid; return, by key, what takes that back."""
        undo: dict[str, list[Change]] = {}
        for part in portions(tuple(digests)):
            keys = tuple(part)
            for uid, before, key in self.execute_repeated("list_borrowers", len(keys), keys).fetchall():
                self.change("set_data_digest", (digests[key], uid))
                undo.setdefault(key, []).append(("set_data_digest", (before, uid)))
        for key, digest in digests.items():
            self._note_digest(key, digest)
        return undo

    def _note_digest(self, key: str, digest: str) -> None:
        self._digests_before.append((key, self._digests.get(key)))
        self._digests[key] = digest

    def _digest_of(self, key: str | None) -> str | None:
        """Return the digest of data that is there: noted in this group, or in a row, or else taken from the file.

        A row keeps what it has: a change of its status must not declare damaged data whole.
        """
        if key is None or key in self._digests:
            return None if key is None else self._digests[key]
        for _, digest in self.execute("get_data_digest", (owner_uid(key), key, key)).fetchall():
            if digest is not None:
                return digest
        return content_digest(self._in_place.read(key))

    def _claim_record_uids(self, uids: tuple[str, ...]) -> None:
        folded = tuple(map(fold, uids))
        if folded != uids or self.execute_repeated("get_mixed_case_id", len(uids), ("record_uid", *folded)).fetchone():
            for uid in uids:
                self.claim_id("record_uid", uid)

    def _release_record_uids(self, master_job_id: str) -> None:
        """Give up the claims of records that are deleted, except where data of that name is left behind."""
        self.execute("delete_mixed_case_ids_of_records", (master_job_id,))
        for (uid,) in self.execute("get_mixed_case_ids_of_records", (master_job_id,)).fetchall():
            if not self._in_place.exists_for("record_uid", uid):
                self.execute("delete_mixed_case_id", ("record_uid", uid))

    def _journal_removal_of_borrowed(self, reference: str, master_job_id: str) -> None:
        owner = self.first("get_record", (owner_uid(reference),))
        if owner is not None and owner[4] == reference:
            return  # its owner remains, or is deleted with this master job and journaled already
        if self.first("is_borrowed_elsewhere", (reference, master_job_id)) is None:
            self.execute("journal_data", (reference, None))

    def _need_change(self, kind: str, value: str, remedy: str) -> None:
        if self._connection.changes() == 0:
            raise NotFoundError(kind, value, remedy)

    def _need_data(self, key: str | None) -> None:
        """Refuse a reference to data that is not there, or is removed when this group is committed."""
        if key is None:
            return
        journaled = self.first("get_journaled_data", (key,)) if self._group_deletes else None
        if not self._in_place.exists(key) or (journaled is not None and journaled[0] is None):
            raise DataNotFoundError("data", self._data.to_reference(key), "save it with save_record_data first")

    def _lacks_parent(self, row: Row) -> bool:
        job = self.first("get_execution_job", (row[1],))
        return job is None or job[1] != row[2]

    def _explained(self, error: apsw.ConstraintError, job_id: str | None, master_job_id: str) -> StorageError:
        """Say which parent is missing: SQLite says only that one is."""
        if _extended_code(error) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
            if self.first("get_master_job", (master_job_id,)) is None:
                return ParentNotFoundError("master job", master_job_id, "start it with log_master_job_start first")
            job = None if job_id is None else self.first("get_execution_job", (job_id,))
            if job_id is not None and job is None:
                return ParentNotFoundError("execution job", job_id, "start it with log_execution_job_start first")
            if job is not None:
                return InvalidInputError(
                    f"execution job {shorten(job_id)} belongs to master job {shorten(job[1])}, not to "
                    f"{shorten(master_job_id)}: give its records the master job it has."
                )
            return InvalidInputError(
                f"the execution job has records of another master job than {shorten(master_job_id)}: give it a new id."
            )
        return InvalidInputError(f"the database refused the row: {error}; nothing was written.")


def owner_uid(key: str) -> str:
    """Return the uid of the record whose own data lies under a key."""
    return key.rpartition("/")[2].removesuffix(".json")


def portions(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Split items into portions of 64, 32, ... 1: few sizes, so that the statements for them stay prepared."""
    start, size = 0, _MOST_ROWS
    while start < len(items):
        while size > len(items) - start:
            size //= 2
        yield items[start : start + size]
        start += size


def _extended_code(error: apsw.Error) -> int:
    return getattr(error, "extendedresult", 0)  # not in the driver's stubs


def _collision(kind: str, value: str, other: Any) -> IdCollisionError:
    return IdCollisionError(
        kind, value, f"{other!a} is in use, and many file systems cannot tell the two apart (case alone differs)"
    )
