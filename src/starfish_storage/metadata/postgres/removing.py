"""Deleting rows in PostgreSQL, and having the data removed that nothing refers to any more."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from starfish_storage.identifiers import fold
from starfish_storage.keys import owner_uid, request_config_key
from starfish_storage.metadata.row_writer import RowWriter


class RecordData(NamedTuple):
    """What the row of a record says of its data."""

    key: str | None
    version: str | None
    digest: str | None


class RemovingRowWriter(RowWriter):
    """See `RowWriter`; the part of it that deletes."""

    deletes = False
    """Whether the group has deleted anything: afterwards there may be objects to be removed."""

    @abstractmethod
    def remove(self, key: str, version: str | None) -> None:
        """Have the data of a key removed after the commit; what lies in a pack stays there until that is rewritten."""

    def delete_project(self, project_id: str, cascade: bool) -> None:
        """See `RowWriter.delete_project`."""
        self.need_store_alone()
        super().delete_project(project_id, cascade)

    def delete_master_job(self, master_job_id: str) -> None:
        """See `RowWriter.delete_master_job`."""
        self.need_store_alone()
        self.execute("find_rows_by_key")
        self.deletes = True
        key = (master_job_id,)
        job = self.first("get_master_job", key)
        claimed = self.values("list_mixed_case_ids_of_records", key)
        borrowed = self.values("list_borrowed_data", key)
        self.execute("keep_borrowed_data", key)
        self.execute("note_removal_of_records", key)
        self.execute("note_removal_of_versions", key)
        removed = self.first_value("note_removal_of_request_config", key)
        self.change("delete_master_job", key)
        self._need_change("master job", master_job_id, "it may have been deleted before")
        for reference in borrowed:
            self._drop_borrowed(reference)
        for uid in claimed:
            if not self.data_is_there("record_uid", uid):
                self.execute("delete_mixed_case_id", ("record_uid", uid))
        own = request_config_key(master_job_id)
        goes = job is not None and removed == own
        if fold(master_job_id) != master_job_id and (goes or not self.data_is_there("master_job_id", master_job_id)):
            self.execute("delete_mixed_case_id", ("master_job_id", master_job_id))

    def _drop_borrowed(self, reference: str) -> None:
        """Remove data that a deleted record had borrowed, if it has no row and nobody else borrows it."""
        owner = self.data_of(owner_uid(reference))
        if owner is not None and owner.key == reference:
            return
        if not self.is_borrowed(reference):
            version, _ = self.first("take_loose_data", (reference,)) or (None, None)
            self.remove(reference, version)

    def data_of(self, uid: str) -> RecordData | None:
        """Return what a record's row says of its data; nobody else changes it meanwhile."""
        return self.first_as(RecordData, "get_record_data", (uid,))

    def delete_records(self, uids: Sequence[str]) -> None:
        """See `RowWriter.delete_records`.

        Other groups are written meanwhile. Who changes one of the records, or begins to borrow its data, locks its row
        first, as this does, and so comes before or after it. Where data that outlives its row is involved, or an id in
        mixed case, the store has to be taken alone.
        """
        self.deletes = True
        self.execute("find_rows_by_key")
        given = (list(uids),)
        locked = self.execute("lock_data_of_records", given).fetchall()
        rows = [(uid, key, version, digest) for uid, key, version, digest in locked if key is not None]
        keys = [key for _, key, _, _ in rows]
        lends = self.values("list_borrowed_keys", (keys,))
        if lends or any(owner_uid(key) != uid for uid, key, _, _ in rows) or any(fold(uid) != uid for uid in uids):
            self.need_store_alone()
        versions = self.execute("delete_versions_of_records", given).fetchall()
        self.execute("delete_records", given)
        borrowed = set(self.values("list_borrowed_keys", (keys,))) if lends else set[str]()
        for uid, key, version, digest in rows:
            if owner_uid(key) != uid:
                continue
            if key in borrowed:  # data that a record of another uid refers to outlives its own row
                self.execute("save_loose_data", (key, key, version, digest))
            else:
                self.remove(key, version)
        for key, version in versions:
            if key is not None:
                self.remove(key, version)
        for reference in {key for uid, key, _, _ in rows if owner_uid(key) != uid}:
            self._drop_borrowed(reference)
        for uid in uids:
            if fold(uid) != uid and not self.data_is_there("record_uid", uid):
                self.execute("delete_mixed_case_id", ("record_uid", uid))

    def delete_jobs_without_records(self, job_ids: Sequence[str]) -> None:
        """See `RowWriter.delete_jobs_without_records`. Those that have got a record before they were locked stay."""
        self.lock_jobs(job_ids)
        without = (self.values("list_jobs_without_records", (list(job_ids),)),)
        self.execute("delete_attempts_of_jobs", without)
        self.execute("delete_jobs", without)

    def lock_jobs(self, job_ids: Sequence[str]) -> None:
        """See `RowWriter.lock_jobs`."""
        self.execute("find_rows_by_key")
        self.execute("lock_jobs", (list(job_ids),))

    def is_borrowed(self, key: str) -> bool:
        """Return whether a record refers to data under another uid than its own."""
        return self.first("get_borrower", (key,)) is not None
