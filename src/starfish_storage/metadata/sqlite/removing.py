"""Removing the data of records that are deleted, from packs and files, in the transaction that deletes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starfish_storage.identifiers import fold
from starfish_storage.interface.rows import RecordRow
from starfish_storage.keys import owner_uid
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter, portions


def remove_data_of_run(writer: RowWriter, master_job_id: str) -> None:
    """Remove the data of all records of a master job, in few statements; its rows are deleted afterwards."""
    key = (master_job_id,)
    writer.execute("delete_mixed_case_ids_of_records", key)
    _release_uids(writer, writer.values("list_mixed_case_ids_of_records", key))
    writer.execute("journal_removal_of_records", key)
    writer.execute("journal_removal_of_versions", key)
    writer.execute("delete_packed_data_of_records", key)
    writer.execute("delete_packed_data_of_versions", key)
    for reference in writer.values("list_borrowed_data", key):
        owner = writer.first_as(RecordRow, "get_record", (owner_uid(reference),))
        if owner is not None and owner.output_ref == reference:
            continue  # its owner remains, or is deleted with this master job and journaled already
        if writer.first("is_borrowed_elsewhere", (reference, master_job_id)) is None:
            _remove(writer, [reference])


def delete_records(writer: RowWriter, uids: Sequence[str]) -> None:
    """Delete records with their versions and their data, each where no record that stays refers to it."""
    given = set(uids)
    rows = [RecordRow._make(row) for row in _read(writer, "get_record", uids)]
    versions = _read(writer, "list_versions_of_records", uids)
    own = {row.output_ref for row in rows if row.output_ref and owner_uid(row.output_ref) == row.record_uid}
    own.update(key for _, _, key in versions if key is not None)
    borrowed = {row.output_ref for row in rows if row.output_ref} - own
    writer.change_each("delete_version", [(uid, number) for uid, number, _ in versions])
    writer.change_each("delete_record", [(row.record_uid,) for row in rows])
    goes = [key for key in own | borrowed if key in own or not _is_owned(writer, key)]
    kept = {key for _, _, key in _read(writer, "list_borrowers", goes)}
    removed = [key for key in goes if key not in kept]
    _remove(writer, removed)
    names = {owner_uid(key) for key in removed} & given
    for uid in given:
        if fold(uid) != uid and uid in names:
            writer.execute("delete_mixed_case_id", ("record_uid", uid))
    _release_uids(writer, [uid for uid in given - names if fold(uid) != uid])


def delete_jobs_without_records(writer: RowWriter, job_ids: Sequence[str]) -> None:
    """Delete those of some execution jobs that have no record, nor a version of one."""
    writer.change_each("delete_execution_job", _read(writer, "list_jobs_without_records", job_ids))


def _release_uids(writer: RowWriter, uids: Iterable[str]) -> None:
    """Give up the claims of records that are deleted, except where data of that name is left behind."""
    for uid in uids:
        if not writer.data_is_there("record_uid", uid):
            writer.execute("delete_mixed_case_id", ("record_uid", uid))


def _is_owned(writer: RowWriter, key: str) -> bool:
    """Return whether a record or a version that remains has data as its own."""
    return writer.first("get_owner_of_data", (owner_uid(key), key, key)) is not None


def _remove(writer: RowWriter, keys: Sequence[str]) -> None:
    """Forget the places of data in packs, and journal the removal of data in files."""
    packed = {key for key, *_ in _read(writer, "list_packed_data", keys)}
    for key in packed:
        writer.execute("delete_packed_data", (key,))
    for part in portions([key for key in keys if key not in packed], writer.most_rows):
        writer.execute_repeated("journal_data", len(part), tuple(value for key in part for value in (key, None)))


def _read(writer: RowWriter, name: str, keys: Sequence[str]) -> list[Row]:
    return [
        row
        for part in portions(keys, writer.most_rows)
        for row in writer.execute_repeated(name, len(part), tuple(part)).fetchall()
    ]
