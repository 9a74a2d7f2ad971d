"""Copying what people say of records, and keeping their edits apart where two stores have others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starfish_storage.copying.report import CopyReport
from starfish_storage.errors import AlreadyExistsError
from starfish_storage.interface import AnnotationRow, RowTransfer
from starfish_storage.interface.rows import WholeRecordRow

_AT_ONCE = 500


async def copy_annotations(
    source: RowTransfer, target: RowTransfer, master_job_id: str, report: CopyReport, *, dry_run: bool
) -> None:
    """Copy the annotations of a run's records, and which of them were withdrawn. What the target has stays."""
    after: AnnotationRow | None = None
    while page := await source.list_annotations(master_job_id, after=after, limit=_AT_ONCE):
        after = page[-1]
        uids = sorted({row.record_uid for row in page})
        there = {row.annotation_id: row for row in await target.get_annotations(uids)}
        new = [row for row in page if _is_new(row, there.get(row.annotation_id))]
        if new and not dry_run:
            # Of a record that was made after its page was read, the next copy brings them.
            known = {one.record.record_uid for one in await target.get_records(uids)}
            new = [row for row in new if row.record_uid in known]
            await target.put_annotations(new)
        report.annotations += len(new)


def _is_new(row: AnnotationRow, there: AnnotationRow | None) -> bool:
    return there is None or (row.withdrawn is not None and there.withdrawn is None)


async def edits_to_keep(
    source: RowTransfer,
    target: RowTransfer,
    rows: Sequence[WholeRecordRow],
    there: Mapping[str, WholeRecordRow],
) -> set[str]:
    """Return the uids of records that were edited in the target alone: it keeps what it has.

    Raises:
        AlreadyExistsError: a record was edited in the target, and changed in the source as well.
    """
    pairs = [(row, there[row.record.record_uid]) for row in rows if row.record.record_uid in there]
    edited = [pair for pair in pairs if _is_edited(*pair)]
    if not edited:
        return set()
    job_ids = sorted({row.record.job_id for row, _ in edited})
    ours = {(one.version.record_uid, one.version.data_sha256) for one in await source.get_versions(job_ids)}
    theirs = {(one.version.record_uid, one.version.data_sha256) for one in await target.get_versions(job_ids)}
    kept: set[str] = set()
    for row, other in edited:
        uid = row.record.record_uid
        if (uid, row.record.data_sha256) in theirs and (uid, other.record.data_sha256) not in ours:
            kept.add(uid)
        elif (uid, other.record.data_sha256) not in ours:
            reason = "it was edited in the target, and is another one in the source; withdraw the edit in one of them"
            raise AlreadyExistsError("record", uid, f"{reason}, or copy into another store")
    return kept


def _is_edited(row: WholeRecordRow, there: WholeRecordRow) -> bool:
    return there.version_number is not None and row.record.data_sha256 != there.record.data_sha256
