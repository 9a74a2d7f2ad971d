"""The row changes of a run's ledger, each within the transaction of its group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from starfish_storage.errors import InvalidInputError, NotFoundError, ParentNotFoundError, StorageError, shorten
from starfish_storage.interface.rows import (
    AttemptRow,
    ClaimedInputRow,
    FinishedInputRow,
    HeldInputRow,
    InputRow,
    RegisteredInputRow,
    SegmentRow,
    WorkerRow,
)
from starfish_storage.metadata import ledger_rows, values
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.deleting import refuse_being_deleted
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs import WAITS_FOR_STORE, Attempt, Budget, Usage

NEW_RUN = "generate() did not start it; start_run() of the ledger makes a master job a run"
"""What to do about a run that does not exist."""


class ClaimLostError(StorageError):
    """The worker does not hold the input any more: never reaches a caller."""


def start_run(writer: RowWriter, master_job_id: str) -> None:
    """Make a master job a run."""
    if writer.first("get_master_job", (master_job_id,)) is None:
        raise ParentNotFoundError("master job", master_job_id, "start it with log_master_job_start first")
    writer.change("start_run", (master_job_id,))


def register_inputs(writer: RowWriter, master_job_id: str, inputs: Sequence[RegisteredInputRow]) -> int:
    """Store inputs that are not there, and return how many that were."""
    # With the run locked first: what is on its way here is there when `complete_inputs` counts, or comes after it.
    if not lock_run(writer, master_job_id):
        raise ParentNotFoundError("run", master_job_id, NEW_RUN)
    new = writer.change_repeated("register_input", inputs)
    if inputs:
        writer.change("note_registered", (max(row.position for row in inputs) + 1, master_job_id))
    return new


def complete_inputs(writer: RowWriter, master_job_id: str) -> int:
    """Note that there are no more inputs, and return how many there are."""
    if not lock_run(writer, master_job_id):
        raise ParentNotFoundError("run", master_job_id, NEW_RUN)
    writer.change("complete_inputs", (master_job_id,))
    counts = writer.execute("count_inputs", (master_job_id,)).fetchall()
    inputs = sum(count for status, count in counts if status != "cancelled")
    writer.change("set_target", (inputs, master_job_id))
    return inputs


def add_segment(writer: RowWriter, master_job_id: str, identity: str) -> SegmentRow:
    """Store a segment as the next one of a run, and return its row."""
    if not lock_run(writer, master_job_id):  # locked: nobody else numbers one meanwhile
        raise ParentNotFoundError("run", master_job_id, NEW_RUN)
    last: int | None = writer.first_value("get_last_segment", (master_job_id,))
    row = SegmentRow(master_job_id, (last or 0) + 1, values.timestamp("now", writer.now()), identity)
    writer.change("save_segment", row)
    return row


def save_worker(writer: RowWriter, row: WorkerRow, lease: float | None) -> WorkerRow:
    """Note a worker, or renew its lease, and return its row.

    A lease is counted from the moment of the transaction, however long the call has waited for the store.
    """
    need_run(writer, row.master_job_id)
    there = _worker(writer, row.worker_id)
    if there is not None and there.master_job_id != row.master_job_id:
        raise InvalidInputError(
            f"worker {shorten(row.worker_id)} works on run {shorten(there.master_job_id)}, not on "
            f"{shorten(row.master_job_id)}: give it an id of its own for each run."
        )
    if lease is not None:
        now = writer.now()
        expires = values.timestamp("lease", now + timedelta(seconds=lease))
        row = row._replace(start_time=values.timestamp("now", now), lease_expires=expires)
    if there is not None:
        row = there._replace(lease_expires=row.lease_expires)
    else:
        refuse_being_deleted(writer, row.master_job_id)
        writer.show_worker(row.worker_id)
    writer.execute("save_worker", row)
    return row


def remove_worker(writer: RowWriter, row: WorkerRow, now: str, *, died: bool) -> int:
    """Forget a worker, and return how many inputs it held."""
    worker_id = row.worker_id
    # Of a dead one, whoever looks next tries again.
    there = writer.first_as(WorkerRow, "try_to_lock_worker" if died else "get_worker", (worker_id,))
    if there is None or (died and there.lease_expires != row.lease_expires):
        return 0
    found = writer.execute("list_claimed_inputs", (there.master_job_id, worker_id)).fetchall()
    held = list(map(HeldInputRow._make, found))
    if died:
        for one in held:
            _save_interrupted(writer, one, there, now)
    writer.change_each("return_input", [(now, one.job_id) for one in held])
    writer.execute("remove_worker", (worker_id,))
    return len(held)


def release_unowned_inputs(writer: RowWriter, master_job_id: str, now: str) -> int:
    """Return inputs to pending that no noted worker holds."""
    found = writer.execute("list_unowned_inputs", (master_job_id,)).fetchall()
    # Looked for again: of what was locked meanwhile, another worker may have got hold.
    unowned = [job_id for job_id, worker_id in found if worker_id is None or _worker(writer, worker_id) is None]
    writer.change_each("return_input", [(now, job_id) for job_id in unowned])
    return len(unowned)


def claim_inputs(
    writer: RowWriter, master_job_id: str, worker_id: str, limit: int, now: str, budget: Budget | None = None
) -> list[ClaimedInputRow]:
    """Claim pending inputs, and return their rows. Not in the row log: what a repair finds unfinished is pending."""
    _need_worker(writer, master_job_id, worker_id)
    return claim(writer, master_job_id, worker_id, limit, now, budget)


def claim_input(writer: RowWriter, master_job_id: str, job_id: str, worker_id: str, now: str) -> ClaimedInputRow | None:
    """Claim an input, and return its row, if it is pending. Not in the row log, as in `claim_inputs`."""
    _need_worker(writer, master_job_id, worker_id)
    given = (worker_id, now, now, job_id, master_job_id, f"drain {master_job_id}")
    found = writer.execute("claim_input", given).fetchall()
    return ClaimedInputRow._make(found[0]) if found else None


def _need_worker(writer: RowWriter, master_job_id: str, worker_id: str) -> None:
    if not is_noted(writer, master_job_id, worker_id):
        raise NotFoundError("worker", worker_id, "its lease had expired; note it with save_worker again")


def claim(
    writer: RowWriter, master_job_id: str, worker_id: str, limit: int, now: str, budget: Budget | None
) -> list[ClaimedInputRow]:
    """Claim pending inputs for a worker that is noted, and return their rows."""
    if budget is not None:
        limit = min(limit, _affordable(writer, master_job_id, worker_id, budget))
    found = writer.execute(
        "claim_inputs", (worker_id, now, now, master_job_id, f"drain {master_job_id}", limit)
    ).fetchall()
    return list(map(ClaimedInputRow._make, found))


def _affordable(writer: RowWriter, master_job_id: str, worker_id: str, budget: Budget) -> int:
    """Return how many inputs a worker may claim, with the run locked: two that claim at once share what is left."""
    found = writer.first("get_run", (master_job_id,)) if lock_run(writer, master_job_id) else None
    if found is None:
        return 0
    spent = ledger_rows.run_state(found)
    row = writer.first("count_running_inputs", (worker_id, master_job_id))
    running, own = (0, 0) if row is None else row
    return budget.room(spent.cost, spent.attempts, running, own)


def save_attempt(writer: RowWriter, attempt: Attempt, now: str) -> int:
    """Store an attempt, and return its number."""
    job_id = attempt.job_id
    lock_worker(writer, attempt.worker_id)
    there = need_input(writer, job_id, attempt.master_job_id)
    stands_for_it = interrupted_attempt(writer, there, attempt.worker_id)
    if stands_for_it is not None:
        number = stands_for_it.number
        writer.change("delete_attempt", stands_for_it.id)
        writer.change("save_attempt", ledger_rows.attempt_row(attempt, number))
        return number
    number = next_number(there)
    writer.change("save_attempt", ledger_rows.attempt_row(attempt, number))
    writer.change("count_attempts", (number, now, job_id))
    return number


def add_usage(writer: RowWriter, job_id: str, number: int, used: Sequence[Usage]) -> None:
    """Add usage to a stored attempt."""
    writer.first("get_input", (job_id,))  # locked with it
    there = writer.first_as(AttemptRow, "get_attempt", (job_id, number))
    if there is None:
        raise NotFoundError("attempt", f"{number} of {job_id}", "it may have been deleted with its master job")
    writer.change("delete_attempt", (job_id, number))  # which takes it out of the totals of the run
    writer.change("save_attempt", ledger_rows.with_usage(there, used))


def release_input(writer: RowWriter, attempt: Attempt, now: str) -> int:
    """Store an attempt that was stopped, return its input to pending if the worker holds it, and return its number."""
    lock_worker(writer, attempt.worker_id)
    there = need_input(writer, attempt.job_id, attempt.master_job_id)
    number = save_attempt(writer, attempt, now)
    if is_held(there, attempt.worker_id):
        writer.change("return_input", (now, attempt.job_id))
    return number


def refresh_run(writer: RowWriter, master_job_id: str, now: str) -> Row:
    """Bring the record counts of a master job up to date, and return the row of its run."""
    found = writer.first("get_run", (master_job_id,))
    if found is None:
        raise NotFoundError("run", master_job_id, NEW_RUN)
    # Every worker does this once a second: not while another does, so that their groups do not wait for each other.
    if writer.first("try_to_lock_run", (master_job_id,)) is not None:
        writer.execute("refresh_run", (now, master_job_id))
    return found


def request_stop(writer: RowWriter, master_job_id: str, reason: str | None, action: str | None) -> None:
    """Ask the workers of a run to stop, and note who asks."""
    if not lock_run(writer, master_job_id):
        raise NotFoundError("run", master_job_id, NEW_RUN)
    writer.execute("request_stop", (reason, master_job_id))
    if action is not None:
        note_action(writer, action, "run", master_job_id, reason)


def pause_run(writer: RowWriter, master_job_id: str, pause: timedelta, reason: str) -> str:
    """Ask the workers of a run to begin nothing for a while, and return until when. Not in the row log: it passes."""
    if not lock_run(writer, master_job_id):
        raise NotFoundError("run", master_job_id, NEW_RUN)
    before: str | None = writer.first_value("get_pause", (master_job_id,))
    until = values.timestamp("paused_until", writer.now() + pause)
    if before is not None and before >= until:
        return before
    writer.execute("pause_run", (until, reason, master_job_id))
    return until


def need_run(writer: RowWriter, master_job_id: str) -> None:
    """Refuse what belongs to a run that does not exist."""
    if writer.first("get_run", (master_job_id,)) is None:
        raise ParentNotFoundError("run", master_job_id, NEW_RUN)


def lock_run(writer: RowWriter, master_job_id: str) -> bool:
    """Lock a run, and return whether there is one."""
    return writer.first("lock_run", (master_job_id,)) is not None


def input_row(found: Row) -> InputRow:
    """Return the row of an input as ``get_input`` returns it."""
    *end, master_job_id, last_attempt = found
    return InputRow(FinishedInputRow._make(end), master_job_id, last_attempt)


def need_input(writer: RowWriter, job_id: str, master_job_id: str) -> InputRow:
    """Return an input of a run, and refuse one that does not exist or belongs to another run."""
    found = writer.first("get_input", (job_id,))
    if found is None:
        raise NotFoundError("execution job", job_id, "it may have been deleted with its master job")
    there = input_row(found)
    if there.master_job_id != master_job_id:
        raise InvalidInputError(
            f"execution job {shorten(job_id)} belongs to run {shorten(there.master_job_id)}, not to "
            f"{shorten(master_job_id)}: give the run it has."
        )
    return there


def is_held(there: InputRow, worker_id: str | None) -> bool:
    """Return whether a worker holds an input."""
    return there.end.status == "running" and there.end.worker_id == worker_id


def lock_worker(writer: RowWriter, worker_id: str | None) -> None:
    """Lock a worker before its inputs, as `remove_worker` does: in another order, the two would deadlock.

    If the worker is no longer noted, its attempt is stored all the same.
    """
    if worker_id is not None:
        writer.first("get_worker", (worker_id,))


def _worker(writer: RowWriter, worker_id: str) -> WorkerRow | None:
    return writer.first_as(WorkerRow, "get_worker", (worker_id,))


def is_noted(writer: RowWriter, master_job_id: str, worker_id: str) -> bool:
    """Return whether a worker is noted for a run."""
    there = _worker(writer, worker_id)
    return there is not None and there.master_job_id == master_job_id


def next_number(there: InputRow) -> int:
    """Return the number of an input's next attempt: the count in its row is also set by `save_execution_job`."""
    return max(there.end.attempted_generations, there.last_attempt or 0) + 1


def interrupted_attempt(writer: RowWriter, there: InputRow, worker_id: str | None) -> AttemptRow | None:
    """Return the ``interrupted`` attempt that stands for one of a worker's: it must not be counted twice.

    Either the worker was taken for dead, or it has stored what the attempt had cost before its data could be stored.
    """
    if next_number(there) == 1:
        return None
    found = writer.first_as(AttemptRow, "get_interrupted_attempt", (there.end.job_id, worker_id))
    if found is None or (is_held(there, worker_id) and found.error_type != WAITS_FOR_STORE):
        return None
    return found


def _save_interrupted(writer: RowWriter, held: HeldInputRow, worker: WorkerRow, now: str) -> None:
    there = need_input(writer, held.job_id, held.master_job_id)
    if interrupted_attempt(writer, there, worker.worker_id) is not None:
        return  # the attempt under way when the worker died is counted
    number = next_number(there)
    steps = writer.execute("list_attempt_steps", (held.job_id, number)).fetchall()
    writer.change("save_attempt", ledger_rows.interrupted_row(held, number, worker, now, steps))
    writer.change("count_attempts", (number, now, held.job_id))
