"""Copying what a run was made of, and what was tried and paid for its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.copying.pages import PageSize
from starfish_storage.copying.report import CopyReport
from starfish_storage.interface import RowTransfer, StepRow


async def copy_segments(
    source: RowTransfer, target: RowTransfer, master_job_id: str, report: CopyReport, *, dry_run: bool
) -> None:
    """Copy the segments of a run, where they differ: before the attempts that name them."""
    ours = await source.list_segments(master_job_id)
    theirs = {row.id: row for row in await target.list_segments(master_job_id)} if ours else {}
    differing = [row for row in ours if theirs.get(row.id) != row]
    if differing and not dry_run:
        await target.put_segments(differing)
    report.segments += len(differing)


async def copy_attempts(
    source: RowTransfer, target: RowTransfer, job_ids: Sequence[str], report: CopyReport, *, dry_run: bool
) -> None:
    """Copy the attempts at some inputs, where they differ."""
    ours = await source.get_attempts(job_ids)
    theirs = {row.id: row for row in await target.get_attempts(job_ids)} if ours else {}
    differing = [row for row in ours if theirs.get(row.id) != row]
    if differing and not dry_run:
        await target.put_attempts(differing)
    report.attempts += len(differing)


async def copy_steps(
    source: RowTransfer,
    target: RowTransfer,
    job_ids: Sequence[str],
    report: CopyReport,
    size: PageSize,
    *,
    dry_run: bool,
) -> None:
    """Copy the paid steps of some inputs, where they differ, unless those of the target are newer.

    Recorded answers may be large: as many inputs at a time as have a bounded size of them.
    """
    start = 0
    while start < len(job_ids):
        ids = job_ids[start : start + size.rows]
        start += len(ids)
        ours = await source.get_steps(ids)
        size.note(sum(len(row.result) + len(row.request or "") for row in ours), len(ids))
        theirs = {row.id: row for row in await target.get_steps(ids)} if ours else {}
        paid = [row for row in ours if _is_new(row, theirs.get(row.id))]
        if paid and not dry_run:
            await target.put_steps(paid)
        report.steps += len(paid)


def _is_new(row: StepRow, there: StepRow | None) -> bool:
    return there is None or (row != there and there.saved_when <= row.saved_when)
