"""The row changes of the write path in SQLite, with the journal and the digests of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import ClassVar, cast

import apsw

from starfish_storage.codec import content_digest
from starfish_storage.errors import DataNotFoundError, InvalidIdError
from starfish_storage.identifiers import fold
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.interface.rows import MasterJobRow, RecordRow
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.keys import PackPlace, owner_uid, record_key, request_config_key
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter, portions
from starfish_storage.metadata.sqlite import removing
from starfish_storage.metadata.sqlite.data_in_place import DataInPlace
from starfish_storage.metadata.sqlite.driver import Connection, Row
from starfish_storage.times import utc_now

_MOST_NOTED = 4096  # digests that are remembered from one group to the next; a megabyte


class SQLiteRowWriter(RowWriter):
    """See `RowWriter`; it notes every change for the row log.

    Args:
        connection: the writing connection, inside a transaction whenever a method is called.
        queries: the named queries.
        data: where the data lies.
        in_place: knows what data is there.
    """

    constraint_errors: ClassVar[tuple[type[Exception], ...]] = (apsw.ConstraintError,)
    most_rows: ClassVar[int] = 128  # the driver prepares statements of more than 16 KB anew each time

    def __init__(self, connection: Connection, queries: Queries, data: DataHandler, in_place: DataInPlace) -> None:
        super().__init__(connection, queries)
        self._writing = connection
        self._data = data
        self._in_place = in_place
        self.removes_data = False
        self._digests: dict[str, str] = {}
        self._noted: dict[str, tuple[PackPlace, str]] = {}
        self._digests_before: list[tuple[str, str | None]] = []
        self._changes: list[Change] = []
        self._operation_start = 0

    def begin_group(self) -> None:
        """Forget what the group before this one did, whose data is in place by now."""
        self.removes_data = False
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

    def now(self) -> datetime:
        """See `RowWriter.now`: all who use the store are on this machine."""
        return utc_now()

    def change(self, name: str, row: Row) -> None:
        """Run a named query that changes rows, and note it."""
        self.execute(name, row)
        self._changes.append((name, row))

    def change_repeated(self, name: str, rows: Sequence[Row]) -> int:
        """Run a named query that changes rows over several rows, note it, and return how many rows it changed."""
        changed = 0
        for part in portions(rows, self.most_rows):
            self.execute_repeated(name, len(part), tuple(chain.from_iterable(part)))
            if self._connection.changes():
                changed += self._connection.changes()
                self._changes += [(name, row) for row in part]
        return changed

    def change_each(self, name: str, rows: Sequence[Row]) -> None:
        """See `RowWriter.change_each`."""
        self._writing.executemany(self._queries[name], rows)
        self._changes += [(name, row) for row in rows]

    def save_record(self, row: RecordRow) -> None:
        """Upsert a record whose data, if it has any, was saved before."""
        self.claim_id("record_uid", row.record_uid)
        self._need_data(row.output_ref)
        try:
            self.change("save_record", row._replace(data_sha256=self._digest_of(row.output_ref)))
        except self.constraint_errors as error:
            raise self._explained(error, job_id=row.job_id, master_job_id=row.master_job_id) from error

    def update_record(self, row: RecordRow) -> None:
        """See `RowWriter.update_record`."""
        self.change("save_record", row)

    def save_records(self, rows: Sequence[RecordRow], *, for_good: bool = False) -> list[list[Change]]:
        """Upsert records of distinct uids, many in a statement, and return of each what takes it back.

        Args:
            rows: the records.
            for_good: nothing will be taken back once it is committed, and nothing is looked up for that.
        """
        undo: list[list[Change]] = []
        for part in portions(rows, self.most_rows):
            uids = tuple(row.record_uid for row in part)
            self._claim_record_uids(uids)
            if not for_good:
                before = self._records(uids)
                for uid in uids:
                    row = before.get(uid)
                    undo.append([("delete_record", (uid,)) if row is None else ("save_record", row)])
            self._save_part(part)
            digests = {row.output_ref: row.data_sha256 for row in part if row.output_ref and row.data_sha256}
            told = self._tell_borrowers(digests)
            if told and not for_good:
                for of_row, row in zip(undo[-len(part) :], part, strict=True):
                    of_row.extend(told.get(row.output_ref or "", ()))
        return undo or [[] for _ in rows]

    def save_rows(self, rows: Sequence[RecordRow]) -> None:
        """Upsert records of distinct uids whose data, if they have any, was saved before, as `save_record` does."""
        for part in portions(rows, self.most_rows):
            self._claim_record_uids(tuple(row.record_uid for row in part))
            digests = self._digests_of([row.output_ref for row in part if row.output_ref is not None])
            self._save_part([row._replace(data_sha256=digests.get(row.output_ref or "")) for row in part])

    def _save_part(self, part: Sequence[RecordRow]) -> None:
        try:
            self.execute_repeated("save_record", len(part), tuple(chain.from_iterable(part)))
            self._changes += [("save_record", row) for row in part]
        except self.constraint_errors as error:
            orphan = next((row for row in part if self._lacks_parent(row)), part[0])
            raise self._explained(error, job_id=orphan.job_id, master_job_id=orphan.master_job_id) from error

    def keep_version(self, row: RecordVersionRow, *, is_new: bool) -> Change:  # noqa: ARG002 (copied beside it)
        """See `RowWriter.keep_version`. Its data is written under a key of its own, in the same group."""
        self.change("save_version", row)
        return ("delete_version", row.id)

    def drop_versions(self, rows: Sequence[RecordVersionRow]) -> list[Change]:
        """See `RowWriter.drop_versions`."""
        self.change_each("delete_version", [row.id for row in rows])
        return [("save_version", row) for row in rows]

    def save_restored(self, row: RecordRow, number: int) -> list[Change]:  # noqa: ARG002 (see below)
        """See `RowWriter.save_restored`. Its data is written under the record's own key, in the same group."""
        (undo,) = self.save_records([row])
        return undo

    def note_data(self, kind: str, id: str, write: DataWrite) -> list[Change]:
        """Claim the id of data that is written without a row, and note its digest in the rows that refer to it.

        Returns what takes the latter back.
        """
        self.claim_id(kind, id)
        return self.note_record_data([(id, write)])[0] if kind == "record_uid" else []

    def note_record_data(self, given: Sequence[tuple[str, DataWrite]]) -> list[list[Change]]:
        """Do what `note_data` does with the data of records of distinct uids, many in a statement."""
        undo: list[list[Change]] = []
        for part in portions(given, self.most_rows):
            uids = tuple(uid for uid, _ in part)
            self._claim_record_uids(uids)
            self._claimed.update((("record_uid", uid), uid) for uid in uids)  # there is no row yet to find it by
            digests = {write.key: content_digest(write.payload or b"") for _, write in part}
            told, rows = self._tell_borrowers(digests), self._records(uids)
            for uid, write in part:
                own, row, digest = told.get(write.key, []), rows.get(uid), digests[write.key]
                if row is not None and row.output_ref == write.key and row.data_sha256 != digest:
                    self.change("set_data_digest", (digest, uid))
                    own.append(("set_data_digest", (row.data_sha256, uid)))
                undo.append(own)
        return undo

    def remember(self, places: Mapping[str, PackPlace]) -> None:
        """Note the digests of data that was committed without a row: most likely, its row comes next.

        With its place, which is never written over once it is committed: whoever replaces the data puts it elsewhere.
        """
        if len(self._noted) > _MOST_NOTED:
            self._noted.clear()
        self._noted.update((key, (place, self._digests[key])) for key, place in places.items())

    def journal(self, writes: Sequence[DataWrite]) -> list[int]:
        """Journal data, and return the numbers of the entries."""
        numbers: list[int] = []
        for part in portions(writes, self.most_rows):
            self.execute_repeated(
                "journal_data", len(part), tuple(value for write in part for value in (write.key, write.payload))
            )
            last = self._writing.last_insert_rowid()
            numbers += range(last - len(part) + 1, last + 1)
        return numbers

    def delete_master_job(self, master_job_id: str) -> None:
        """Delete a master job and all that belongs to it, and journal the removal of the data."""
        self.removes_data = True
        removing.remove_data_of_run(self, master_job_id)
        job = self.first_as(MasterJobRow, "get_master_job", (master_job_id,))
        self.execute("journal_removal_of_request_config", (master_job_id,))
        removed = job.request_config_ref if job is not None and self._connection.changes() else None
        self.change("delete_master_job", (master_job_id,))
        self._need_change("master job", master_job_id, "it may have been deleted before")
        own = request_config_key(master_job_id)
        if removed == own or not self._in_place.exists(own):
            self.execute("delete_mixed_case_id", ("master_job_id", master_job_id))

    def delete_records(self, uids: Sequence[str]) -> None:
        """See `RowWriter.delete_records`."""
        self.removes_data = True
        removing.delete_records(self, uids)

    def delete_jobs_without_records(self, job_ids: Sequence[str]) -> None:
        """See `RowWriter.delete_jobs_without_records`."""
        removing.delete_jobs_without_records(self, job_ids)

    def recount(self) -> None:
        """Set every count that is kept of records, and of attempts, to what these say."""
        for name in ("recount_records", "recount_stale", "recount_jobs", "recount_totals"):
            self.execute(name)

    def _claim_record_uids(self, uids: tuple[str, ...]) -> None:
        folded = tuple(map(fold, uids))
        if folded != uids or (
            self.first("has_mixed_case_ids", ("record_uid",)) is not None
            and self.execute_repeated("get_mixed_case_id", len(uids), ("record_uid", *folded)).fetchone() is not None
        ):
            for uid in uids:
                self.claim_id("record_uid", uid)

    def _records(self, uids: tuple[str, ...]) -> dict[str, RecordRow]:
        found = self.execute_repeated("get_record", len(uids), uids)
        return {row.record_uid: row for row in map(RecordRow._make, found)}

    def _tell_borrowers(self, digests: dict[str, str]) -> dict[str, list[Change]]:
        """Note digests of data in the rows that refer to it under another uid; return, by key, what takes that back."""
        undo: dict[str, list[Change]] = {}
        for part in portions(tuple(digests), self.most_rows) if self.first("has_borrowers") is not None else ():
            keys = tuple(part)
            for uid, before, key in self.execute_repeated("list_borrowers", len(keys), keys).fetchall():
                self.change("set_data_digest", (digests[key], uid))
                undo.setdefault(key, []).append(("set_data_digest", (before, uid)))
        self._digests_before += [(key, self._digests.get(key)) for key in digests]
        self._digests.update(digests)
        return undo

    def _digest_of(self, key: str | None) -> str | None:
        """Return the digest of data that is there: noted in this group, or in a row, or else taken from the file.

        A row keeps what it has: a change of its status must not declare damaged data whole.
        """
        if key is None or key in self._digests:
            return None if key is None else self._digests[key]
        for _, digest in self.execute("get_data_digest", (owner_uid(key), key, key, key)).fetchall():
            if digest is not None:
                return digest
        place = self._packed(key)
        return content_digest(self._in_place.read(key if place is None else place.key))

    def _digests_of(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Return the digests of data, which has to be there: see `_need_data` and `_digest_of`."""
        places: dict[str, PackPlace] = {}
        for part in portions(keys, self.most_rows):
            found = self.execute_repeated("list_packed_data", len(part), tuple(part))
            places |= {key: PackPlace._make(place) for key, *place in found}
        digests: dict[str, str | None] = {}
        for key in keys:
            place = places.get(key)
            if place is None:
                self._need_data(key)
            noted, digest = self._noted.get(key, (None, None))
            is_known = place is not None and noted == place and key not in self._digests
            digests[key] = digest if is_known else self._digest_of(key)
        return digests

    def _need_data(self, key: str | None) -> None:
        """Refuse a reference to data that is not there, or is removed when this group is committed."""
        if key is None or self._packed(key) is not None:
            return
        journaled = self.first("get_journaled_data", (key,)) if self.removes_data else None
        if not self._in_place.exists(key) or journaled == (None,):
            raise DataNotFoundError("data", self._data.to_reference(key), "save it with save_record_data first")

    def data_is_there(self, kind: str, value: str) -> bool:
        """See `RowWriter.data_is_there`."""
        if self._in_place.exists_for(kind, value):
            return True
        try:
            return kind == "record_uid" and self._packed(record_key(value)) is not None
        except InvalidIdError:
            return False  # the fold of an id may be too long to be one

    def _packed(self, key: str) -> PackPlace | None:
        """Return where data lies in a pack; None if it is a file, or is not there."""
        found = self.first("get_packed_data", (key,))
        return None if found is None else PackPlace._make(found)

    def _breaks_reference(self, error: Exception) -> bool:
        # Not in the driver's stubs.
        return cast("int", getattr(error, "extendedresult", 0)) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY
