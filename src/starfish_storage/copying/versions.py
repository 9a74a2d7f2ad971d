"""Copying the versions of records, and the outcomes that stand of inputs that run again."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.copying.annotations import edits_to_keep
from starfish_storage.copying.report import CopyReport, Lost
from starfish_storage.errors import DataLostError, StoreDamagedError
from starfish_storage.interface import RowTransfer
from starfish_storage.interface.version_rows import RecordVersionRow, WholeVersionRow


async def copy_standing(source: RowTransfer, target: RowTransfer, job_ids: Sequence[str], *, dry_run: bool) -> None:
    """Copy what stands of some inputs; where nothing does any more, it is forgotten in the target, too."""
    ours = {row.job_id: row for row in await source.get_standing(job_ids)}
    theirs = {row.job_id: row for row in await target.get_standing(job_ids)}
    new = [row for job_id, row in ours.items() if theirs.get(job_id) != row]
    gone = [job_id for job_id in theirs if job_id not in ours]
    if (new or gone) and not dry_run:
        await target.put_standing(new, gone)


async def copy_versions(
    source: RowTransfer,
    target: RowTransfer,
    job_ids: Sequence[str],
    report: CopyReport,
    *,
    skip_damaged: bool,
    dry_run: bool,
) -> None:
    """Copy the versions of the records of some inputs, one by one: their data may be large.

    A version that the target has and the source has not stays, unless it has become the current output of its record
    in the source: then the copy of the record brings it. Of a record that was edited in the target alone, everything
    stays as the target has it.

    Raises:
        StoreDamagedError: the data of a version is lost or damaged, and is not to be skipped.
        AlreadyExistsError: a record was edited in the target, and changed in the source as well.
    """
    ours = await source.get_versions(job_ids)
    theirs = {one.version.id: one for one in await target.get_versions(job_ids)}
    kept: dict[str, int] = {}
    if theirs:
        uids = sorted({uid for uid, _ in theirs})
        current = await source.get_records(uids)
        there = {one.record.record_uid: one for one in await target.get_records(uids)}
        kept = {uid: there[uid].number for uid in await edits_to_keep(source, target, current, there)}
        numbers = {(one.record.record_uid, one.number) for one in current if one.record.record_uid not in kept}
        gone = [one for one in theirs.values() if one.version.id in numbers]
        changed = [
            theirs[row.id] for row, _ in ours if row.record_uid not in kept and not _is_same(row, theirs.get(row.id))
        ]
        if (gone or changed) and not dry_run:
            await target.remove_versions([*gone, *changed])
    for one in ours:
        uid, number = one.version.id
        if uid in kept and (number == kept[uid] or one.version.id in theirs):
            continue
        if one.version.id in theirs and _is_same(one.version, theirs[one.version.id]):
            continue
        row, payload = await _read(source, one, report, skip_damaged=skip_damaged)
        if not dry_run:
            await target.put_version(row, payload)
        report.versions += 1
        report.bytes += len(payload or b"")


def _is_same(row: RecordVersionRow, there: WholeVersionRow | None) -> bool:
    """Return whether a version is the same in another store, where its data lies under another key; or is not there."""
    return there is None or there.version._replace(output_ref=row.output_ref, data_sha256=row.data_sha256) == row


async def _read(
    source: RowTransfer, one: WholeVersionRow, report: CopyReport, *, skip_damaged: bool
) -> tuple[RecordVersionRow, bytes | None]:
    row = one.version
    try:
        return row, await source.read_version(one)
    except (DataLostError, StoreDamagedError) as error:
        if not skip_damaged:
            reason = f"the data of version {row.number} of record {row.record_uid!a} cannot be read ({error.code})"
            remedy = "copy without it with skip_damaged (--skip-damaged), or restore it from a backup"
            raise StoreDamagedError(str(one.place), f"{reason}, and the copy ends: {remedy}") from error
        report.note_lost(Lost(row.record_uid, row.master_job_id, str(error)))
        told = f"its data could not be copied ({error.code})"
        return row._replace(error_message=f"{row.error_message}; {told}" if row.error_message else told), None
