"""What may be written over what: rows of the source beside those that the target has of the same ids."""

from __future__ import annotations

from starfish_storage.errors import AlreadyExistsError, shorten
from starfish_storage.interface.rows import MasterJobRow, ProjectRow, WholeExecutionJobRow, WholeRecordRow

_DELETE = "delete it in the target first, or copy into another store"
_BACK = "copy in the other direction, delete it in the target first, or copy into another store"


def needs_project(row: ProjectRow, there: ProjectRow | None) -> bool:
    """Return whether a project is to be written: not over another one of that id, nor over a newer state of it."""
    if there is None:
        return True
    return there != row and there.created_when == row.created_when and there.updated_when <= row.updated_when


def needs_master_job(row: MasterJobRow, there: MasterJobRow | None) -> bool:
    """Return whether a master job is to be written.

    Raises:
        AlreadyExistsError: the target has another one of that id, or a newer state of this one.
    """
    if there is None:
        return True
    if (there.project_id, there.creation_time) != (row.project_id, row.creation_time):
        reason = f"the target has another with this id, in project {shorten(there.project_id)}"
        raise AlreadyExistsError("master job", row.master_job_id, f"{reason}, from {there.creation_time}; {_DELETE}")
    if there.last_update_time > row.last_update_time:
        reason = f"the target's is newer than the source's: it was last changed at {there.last_update_time}"
        raise AlreadyExistsError("master job", row.master_job_id, f"{reason}; {_BACK}")
    return there != row


def incomplete(row: MasterJobRow) -> MasterJobRow:
    """Return the row that stands for a master job until all that belongs to it is there."""
    return row._replace(status="pending", end_time=None, summary=None)


def at_rest(row: WholeExecutionJobRow) -> WholeExecutionJobRow:
    """Return an execution job as it is without a worker: the input of a run that one holds is pending again."""
    if row.position is None or row.job.status != "running":
        return row
    return row._replace(job=row.job._replace(status="pending", worker_id=None, start_time=None, end_time=None))


def needs_execution_job(row: WholeExecutionJobRow, there: WholeExecutionJobRow | None) -> bool:
    """Return whether an execution job is to be written.

    Raises:
        AlreadyExistsError: the target has another one of that id, or a newer state of this one.
    """
    if there is None or there == row:
        return there is None
    ours, theirs = row.job, there.job
    if theirs.master_job_id != ours.master_job_id:
        reason = f"the target has another with this id, in master job {shorten(theirs.master_job_id)}"
        raise AlreadyExistsError("execution job", ours.job_id, f"{reason}; {_DELETE}")
    _refuse_newer("execution job", ours.job_id, ours.last_update_time, theirs.last_update_time)
    return True


def needs_record(row: WholeRecordRow, there: WholeRecordRow | None) -> bool:
    """Return whether a record is to be written.

    Of one whose digest is not known, the data has to be looked at: see `is_same_data`.

    Raises:
        AlreadyExistsError: the target has another one of that uid, or a newer state of this one.
    """
    if there is None:
        return True
    ours, theirs = row.record, there.record
    if (theirs.job_id, theirs.master_job_id) != (ours.job_id, ours.master_job_id):
        reason = f"the target has one of that uid, of execution job {shorten(theirs.job_id)}"
        raise AlreadyExistsError("record", ours.record_uid, f"{reason}; {_DELETE}")
    _refuse_newer("record", ours.record_uid, ours.last_update_time, theirs.last_update_time)
    if (ours.output_ref is None) != (theirs.output_ref is None) or (row.unique_key, row.numbers) != (
        there.unique_key,
        there.numbers,
    ):
        return True
    # The keys of one record differ from store to store.
    if theirs._replace(output_ref=ours.output_ref, data_sha256=ours.data_sha256) != ours:
        return True
    return ours.output_ref is not None and ours.data_sha256 != theirs.data_sha256


def _refuse_newer(kind: str, id: str, ours: str, theirs: str) -> None:
    if theirs > ours:
        raise AlreadyExistsError(kind, id, f"it was changed in the target, at {theirs}, and is newer there; {_BACK}")
