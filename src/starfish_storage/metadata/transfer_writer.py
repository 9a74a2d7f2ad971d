"""The row changes of a transfer, each within the transaction of its group: whole rows, put as they are."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.errors import ParentNotFoundError
from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.rows import (
    AttemptRow,
    MasterJobRow,
    RecordRow,
    RunRow,
    SegmentRow,
    StepRow,
    WholeExecutionJobRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow, StandingOutcomeRow
from starfish_storage.metadata.ledger_writer import need_run
from starfish_storage.metadata.row import Change, Row, only_values
from starfish_storage.metadata.row_writer import RowWriter, portions
from starfish_storage.metadata.rows import whole_records

_NOTHING = ((None,), (None, None))
"""What stands beside a record that is new."""


def put_master_job(writer: RowWriter, row: MasterJobRow) -> None:
    """Insert or replace a master job."""
    writer.claim_id("master_job_id", row.master_job_id)
    if writer.first("get_project", (row.project_id,)) is None:
        raise ParentNotFoundError("project", row.project_id, "save it before its master jobs")
    writer.change("put_master_job", row)


def put_execution_jobs(writer: RowWriter, rows: Sequence[WholeExecutionJobRow]) -> None:
    """Insert or replace execution jobs."""
    for master_job_id in sorted({row.job.master_job_id for row in rows}):
        if writer.first("get_master_job", (master_job_id,)) is None:
            raise ParentNotFoundError("master job", master_job_id, "put it before its execution jobs")
    # By id, so that two groups with the same jobs do not wait for each other.
    flat = [(*row.job, row.counts, row.position) for row in sorted(rows, key=lambda row: row.job.job_id)]
    writer.change_repeated("put_execution_job", flat)


def put_records(writer: RowWriter, rows: Sequence[RecordRow], beside: Sequence[Sequence[Row]]) -> list[Change]:
    """Upsert records of distinct uids with their data, unique keys and numbers, and return what takes that back."""
    before = _rows_of(writer, "whole_records_of", [row.record_uid for row in rows])
    there = {one.record.record_uid: ((one.unique_key,), one.numbers) for one in whole_records(before)}
    undo = [change for own in writer.save_records(rows) for change in own]
    for place, name in enumerate(("set_unique_key", "set_record_attempt")):
        changed = [
            (*values[place], row.record_uid)
            for row, values in zip(rows, beside, strict=True)
            if there.get(row.record_uid, _NOTHING)[place] != values[place]
        ]  # most have none, and most are new
        writer.change_each(name, changed)
        undo += [(name, (*there[uid][place], uid)) for *_, uid in changed if uid in there]
    return undo


def put_run(writer: RowWriter, row: RunRow) -> None:
    """Make a master job a run, and note where it stands."""
    master_job_id, registered, complete, stop_reason = row
    if writer.first("get_master_job", (master_job_id,)) is None:
        raise ParentNotFoundError("master job", master_job_id, "put it before its run")
    writer.change("start_run", (master_job_id,))
    writer.first("lock_run", (master_job_id,))
    writer.change("note_registered", (registered, master_job_id))
    if complete:
        writer.change("complete_inputs", (master_job_id,))
    writer.execute("request_stop", (stop_reason, master_job_id))


def put_segments(writer: RowWriter, rows: Sequence[SegmentRow]) -> None:
    """Insert or replace segments."""
    for master_job_id in sorted({row.master_job_id for row in rows}):
        need_run(writer, master_job_id)
    writer.change_each("save_segment", sorted(rows))


def put_attempts(writer: RowWriter, rows: Sequence[AttemptRow]) -> None:
    """Insert attempts; one that is there and differs is replaced, so that the totals follow."""
    ids = sorted({row.job_id for row in rows})
    _need_execution_jobs(writer, ids)
    there = {row.id: row for row in map(AttemptRow._make, _rows_of(writer, "whole_attempts_of", ids))}
    new = [row for row in sorted(rows, key=lambda row: row.id) if there.get(row.id) != row]
    writer.change_each("delete_attempt", [row.id for row in new if row.id in there])
    writer.change_each("save_attempt", new)


def put_steps(writer: RowWriter, rows: Sequence[StepRow]) -> None:
    """Insert or replace paid steps."""
    _need_execution_jobs(writer, sorted({row.job_id for row in rows}))
    by_id = sorted(rows, key=lambda row: row.id)
    writer.change_each("save_step", by_id)


def put_standing(writer: RowWriter, rows: Sequence[StandingOutcomeRow], gone: Sequence[str]) -> None:
    """Insert or replace outcomes that stand, and forget others."""
    _need_execution_jobs(writer, sorted({row.job_id for row in rows}))
    writer.change_each("save_standing", sorted(rows))
    writer.change_each("forget_standing", [(job_id,) for job_id in sorted(gone)])


def put_version(writer: RowWriter, row: RecordVersionRow) -> list[Change]:
    """Insert a version whose data is written with it, and return what takes that back."""
    _need_execution_jobs(writer, [row.job_id])
    return [writer.keep_version(row, is_new=True)]


def put_annotations(writer: RowWriter, rows: Sequence[AnnotationRow]) -> None:
    """Insert annotations; of one that is there, note that it was withdrawn."""
    uids = sorted({row.record_uid for row in rows})
    known = {one.record.record_uid for one in whole_records(_rows_of(writer, "whole_records_of", uids))}
    missing = next((uid for uid in uids if uid not in known), None)
    if missing is not None:
        raise ParentNotFoundError("record", missing, "put it before what is said of it")
    writer.change_each("save_annotation", sorted(rows))


def _need_execution_jobs(writer: RowWriter, ids: Sequence[str]) -> None:
    known = set(only_values(_rows_of(writer, "list_known_inputs", ids)))
    missing = next((job_id for job_id in ids if job_id not in known), None)
    if missing is not None:
        raise ParentNotFoundError("execution job", missing, "put it before what belongs to it")


def _rows_of(writer: RowWriter, name: str, ids: Sequence[str]) -> list[Row]:
    """Return the rows of a repeated query over any number of ids."""
    return [
        row
        for part in portions(ids, writer.most_rows)
        for row in writer.execute_repeated(name, len(part), tuple(part)).fetchall()
    ]
