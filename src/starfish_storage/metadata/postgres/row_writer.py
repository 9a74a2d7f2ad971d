"""The row changes of the write path in PostgreSQL.

Other processes write at the same time. What a change reads and then relies on is locked: by a row lock where there is
a row, and by having the store alone (`NeedsStoreAloneError`) where the check is for something that must *not* be there.

Data is immutable and lies under a key with a version before its row is written. A row says which version is current;
`loose_data` does for data that has no row. What is replaced or deleted is removed after the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import asyncpg

from starfish_storage.codec import content_digest
from starfish_storage.errors import (
    AlreadyExistsError,
    DataNotFoundError,
    InvalidIdError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.interface.rows import MasterJobRow, RecordRow
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.keys import owner_uid, packed_at, record_key, request_config_key, version_key
from starfish_storage.metadata.earlier import EarlierOutcomeError
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.errors import CONSTRAINT_ERRORS
from starfish_storage.metadata.postgres.removing import RemovingRowWriter
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Change, Row


class NeedsStoreAloneError(StorageError):
    """The change has to be made while no other group is written: never reaches a caller."""


class NeedsSavepointError(StorageError):
    """A change of a group was refused, and which one is not known: never reaches a caller."""


class PostgresRowWriter(RemovingRowWriter):
    """See `RowWriter`.

    Args:
        connection: the writing connection, inside a transaction whenever a method is called.
        queries: the named queries.
        data: where the data lies.
    """

    constraint_errors: ClassVar[tuple[type[Exception], ...]] = CONSTRAINT_ERRORS
    most_rows: ClassVar[int] = 512

    def __init__(self, connection: PostgresConnection, queries: Queries, data: DataHandler) -> None:
        super().__init__(connection, queries)
        self._writing = connection
        self._data = data
        self._versions: dict[str, str] = {}
        self._removals: dict[str, tuple[str, str | None]] = {}  # what an object is: its key and version
        self._noted: dict[str, tuple[str, str | None]] = {}
        self._kept: set[str] = set()  # objects that a version has now
        self._kept_before: set[str] = set()
        self._alone = False
        self._has_savepoint = False
        self.deletes = False

    def begin_group(self, versions: dict[str, str], *, alone: bool) -> None:
        """Begin a group in a new transaction.

        Args:
            versions: of the data that the group writes, by key.
            alone: no other group is written meanwhile.
        """
        self._claimed.clear()
        self._removals.clear()
        self._kept.clear()
        self._versions = versions
        self._alone = alone
        self._has_savepoint = self.deletes = False

    def begin_operation(self) -> None:
        """Begin an operation that can be taken back alone."""
        self.execute("begin_operation")
        self._has_savepoint = True
        self._noted, self._kept_before = dict(self._removals), set(self._kept)

    def end_operation(self) -> None:
        """End an operation that stands."""
        self.execute("end_operation")
        self._has_savepoint = False

    def undo_operation(self) -> None:
        """Take an operation back."""
        self.execute("undo_operation")
        self.execute("end_operation")
        self._has_savepoint = False
        self._removals, self._kept = self._noted, self._kept_before

    def end_group(self) -> None:
        """Note what is to be removed after the commit."""
        if self._removals:
            removals = [(name, owner_uid(of[0]), *of, *of) for name, of in sorted(self._removals.items())]
            self._writing.execute_many(self._queries["note_removal"], removals)

    @property
    def removes(self) -> bool:
        """Whether the group leaves objects to be removed."""
        return bool(self._removals) or self.deletes

    def now(self) -> datetime:
        """See `RowWriter.now`: the server's."""
        now: datetime = self.first_value("get_now")
        return now

    def change(self, name: str, row: Row) -> None:
        """See `RowWriter.change`."""
        self.execute(name, row)

    def change_repeated(self, name: str, rows: Sequence[Row]) -> int:
        """See `RowWriter.change_repeated`."""
        changed = 0
        for start in range(0, len(rows), self.most_rows):
            part = rows[start : start + self.most_rows]
            self.execute_repeated(name, len(part), tuple(value for row in part for value in row))
            changed += self._connection.changes()
        return changed

    def change_each(self, name: str, rows: Sequence[Row]) -> None:
        """See `RowWriter.change_each`; all are sent together."""
        if rows:
            self._writing.execute_many(self._queries[name], rows)

    # --- master jobs ----------------------------------------------------------------------------------------------

    def insert_master_job(self, row: MasterJobRow) -> None:
        """See `RowWriter.insert_master_job`; another process may insert the same one at this moment."""
        try:
            super().insert_master_job(row)
        except asyncpg.UniqueViolationError:
            reason = "give a new id, or update the existing one's status instead"
            raise AlreadyExistsError("master job", row.master_job_id, reason) from None
        except asyncpg.ForeignKeyViolationError:
            raise ParentNotFoundError("project", row.project_id, "save it before its master jobs") from None

    # --- records --------------------------------------------------------------------------------------------------

    def save_record(self, row: RecordRow) -> None:
        """See `RowWriter.save_record`."""
        uid, key = row.record_uid, row.output_ref
        self.claim_id("record_uid", uid)
        before = self.data_of(uid)
        version = digest = None
        if key is not None and owner_uid(key) != uid:
            self._need_borrowable(key)
        elif before is not None and before.key == key:
            _, version, digest = before
        elif key is not None:
            version, digest = self._take_loose(key)
        if before is not None and before.key not in (None, key) and owner_uid(before.key) == uid:
            self.execute("save_loose_data", (before.key, *before))  # nothing refers to it now, and it stays
        try:
            self.change("save_record", (*row._replace(data_sha256=digest), version))
        except self.constraint_errors as error:
            raise self._explained(error, job_id=row.job_id, master_job_id=row.master_job_id) from None

    def update_record(self, row: RecordRow) -> None:
        """See `RowWriter.update_record`."""
        names = self._queries.parameters("update_record")
        self.change("update_record", tuple(getattr(row, name) for name in names))

    def save_records(self, rows: Sequence[RecordRow]) -> list[list[Change]]:
        """See `RowWriter.save_records`. Nothing has to be taken back: the data lies there before the rows do."""
        if not rows:
            return []
        uids, keys = [row.record_uid for row in rows], [row.output_ref for row in rows if row.output_ref is not None]
        folded = list(map(fold, uids))
        if folded != uids:
            for uid in uids:
                self.claim_id("record_uid", uid)
        versions = [self._versions.get(row.output_ref or "") for row in rows]
        columns = [*map(list, zip(*rows, strict=True)), versions]
        try:
            found = self.execute("save_records", (*columns, uids, keys, folded)).fetchall()
        except self.constraint_errors as error:
            raise self._explained_of_many(error, rows) from None
        for kind, name, key, version, digest in found:
            if kind == "mixed":
                self.check_mixed(name, uids)
            elif key is None:
                continue
            elif kind == "loose" or (key in keys and owner_uid(key) == name):
                self.remove(key, version)
            elif owner_uid(key) == name and (version_key(key, version) not in self._kept or self.is_borrowed(key)):
                self.execute("save_loose_data", (key, key, version, digest))
        return [[] for _ in rows]

    def keep_version(self, row: RecordVersionRow, *, is_new: bool) -> Change:
        """See `RowWriter.keep_version`. Its data stays where it lies."""
        key, version = row.output_ref, None
        if key is not None:
            before = None if is_new else self.data_of(row.record_uid)
            version = self._versions.get(key) if before is None else before.version
            self._kept.add(version_key(key, version))
        self.drop_versions([row])  # there is one if two copy it at a time
        self.execute("save_version", (*row, version))
        return ("delete_version", row.id)

    def drop_versions(self, rows: Sequence[RecordVersionRow]) -> list[Change]:
        """See `RowWriter.drop_versions`."""
        for row in rows:
            for key, version in self.execute("take_version", row.id).fetchall():
                if key is not None:
                    self.remove(key, version)
        return []

    def save_restored(self, row: RecordRow, number: int) -> list[Change]:
        """See `RowWriter.save_restored`. Its data stays where it lies."""
        self.claim_id("record_uid", row.record_uid)
        found = self.first("get_version_of_data", (row.record_uid, number))
        if found is None:
            raise EarlierOutcomeError("the version is gone.")
        self.execute("save_record", (*row, *found))
        loose = None if row.output_ref is None else self.first("take_loose_data", (row.output_ref,))
        if row.output_ref is not None and loose is not None and loose[0] != found[0]:
            self.remove(row.output_ref, loose[0])
        return []

    def note_data(self, kind: str, id: str, write: DataWrite) -> list[Change]:
        """See `RowWriter.note_data`."""
        self.claim_id(kind, id)
        if kind != "record_uid":
            self.execute("forget_removal", (write.key,))
            return []
        version, digest = self._versions[write.key], content_digest(write.payload or b"")
        before = self.data_of(id)
        if before is not None and before.key == write.key:
            self.change("set_data_version", (version, digest, id))
            self.remove(write.key, before.version)
        else:
            for replaced in self.values("save_loose_data", (write.key, write.key, version, digest)):
                self.remove(write.key, replaced)
        return []

    def recount(self) -> None:
        """See `RowWriter.recount`."""
        self.need_store_alone()
        for name in ("forget_record_counts", "recount_records", "recount_jobs", "forget_run_totals", "recount_totals"):
            self.execute(name)

    def claim_id(self, kind: str, value: str) -> None:
        """See `RowWriter.claim_id`. An id in mixed case is checked against what others might be writing."""
        if fold(value) != value:
            self.need_store_alone()
        super().claim_id(kind, value)

    def version_of(self, key: str) -> str | None:
        """Return under which version the group has put the data of a key."""
        return self._versions.get(key)

    def check_mixed(self, mixed: str, uids: Sequence[str]) -> None:
        """Refuse record uids of which one differs in case alone from an id in mixed case that is in use."""
        if mixed not in uids:
            self.claim_id("record_uid", next(uid for uid in uids if fold(uid) == fold(mixed)))

    def show_worker(self, worker_id: str) -> None:
        """See `RowWriter.show_worker`."""
        self._writing.show_worker(worker_id)

    def need_store_alone(self) -> None:
        """See `RowWriter.need_store_alone`."""
        if not self._alone:
            raise NeedsStoreAloneError("to be made alone")

    def _take_loose(self, key: str) -> tuple[str | None, str | None]:
        """Return the version and the digest of data that gets a row of its own."""
        loose = self.first("take_loose_data", (key,))
        if loose is not None:
            version, digest = loose
            return version, digest
        if not self._data.exists(key):
            raise DataNotFoundError("data", self._data.to_reference(key), "save it with save_record_data first")
        return None, content_digest(self._data.read(key))

    def _need_borrowable(self, key: str) -> None:
        """Refuse a reference to another record's data that is not there, and let nobody replace it meanwhile."""
        self.data_of(owner_uid(key))
        found = self.first("locate_data", ([key], [owner_uid(key)], [key]))
        if found is None and not self._data.exists(key):
            raise DataNotFoundError("data", self._data.to_reference(key), "save it with save_record_data first")

    def remove(self, key: str, version: str | None) -> None:
        """See `RemovingRowWriter.remove`."""
        if packed_at(version) is not None:
            return
        if version is None or version != self._versions.get(key):  # what was put twice in one call is current
            self._removals[version_key(key, version)] = key, version

    def data_is_there(self, kind: str, value: str) -> bool:
        """See `RowWriter.data_is_there`."""
        data = self._data
        try:
            if kind != "record_uid":
                return data.exists(request_config_key(value))
            key = record_key(value)
        except InvalidIdError:
            return False  # the fold of an id may be too long to be one
        return self.first("locate_data", ([key], [value], [key])) is not None or data.exists(key)

    def _breaks_reference(self, error: Exception) -> bool:
        return isinstance(error, asyncpg.ForeignKeyViolationError)

    def _explained(self, error: Exception, job_id: str | None, master_job_id: str) -> StorageError:
        self._recover()
        return super()._explained(error, job_id, master_job_id)

    def _reason(self, error: Exception) -> str:
        return f"it breaks a rule of the schema, SQLSTATE {getattr(error, 'sqlstate', None)}"  # its text quotes the row

    def _explained_of_many(self, error: Exception, rows: Sequence[RecordRow]) -> StorageError:
        self._recover()
        orphan = next((row for row in rows if self._lacks_parent(row)), rows[0])
        return super()._explained(error, job_id=orphan.job_id, master_job_id=orphan.master_job_id)

    def _recover(self) -> None:
        """Make the transaction usable again after an error: no question is answered before."""
        if not self._has_savepoint:
            raise NeedsSavepointError("to be made with a savepoint") from None
        self.execute("undo_operation")
