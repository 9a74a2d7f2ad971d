"""The row changes of a run's ledger, each within the transaction of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from starfish_storage.errors import InvalidInputError, NotFoundError, ParentNotFoundError, StorageError, shorten
from starfish_storage.interface.rows import (
    AttemptRow,
    ClaimedInputRow,
    FinishedInputRow,
    HeldInputRow,
    InputRow,
    RecordRow,
    RegisteredInputRow,
    StepRow,
    WorkerRow,
)
from starfish_storage.metadata import ledger_rows, rows
from starfish_storage.metadata.row import Change, Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.models import COUNTED_STATUSES, StatusExecutionJob, StatusRecord
from starfish_storage.runs import Attempt, Outcome, status_of_input

_NEW_RUN = "start it with start_run first"


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
    if not _lock_run(writer, master_job_id):
        raise ParentNotFoundError("run", master_job_id, _NEW_RUN)
    new = writer.change_repeated("register_input", inputs)
    if inputs:
        writer.change("note_registered", (max(row.position for row in inputs) + 1, master_job_id))
    return new


def complete_inputs(writer: RowWriter, master_job_id: str) -> int:
    """Note that there are no more inputs, and return how many there are."""
    if not _lock_run(writer, master_job_id):
        raise ParentNotFoundError("run", master_job_id, _NEW_RUN)
    writer.change("complete_inputs", (master_job_id,))
    inputs = sum(count for _, count in writer.execute("count_inputs", (master_job_id,)).fetchall())
    writer.change("set_target", (inputs, master_job_id))
    return inputs


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
        expires = rows.timestamp("lease", now + timedelta(seconds=lease))
        row = row._replace(start_time=rows.timestamp("now", now), lease_expires=expires)
    if there is not None:
        row = there._replace(lease_expires=row.lease_expires)
    writer.execute("save_worker", row)
    return row


def remove_worker(writer: RowWriter, row: WorkerRow, now: str, *, died: bool) -> int:
    """Forget a worker, and return how many inputs it held."""
    worker_id = row.worker_id
    there = _worker(writer, worker_id)
    if there is None or (died and there.lease_expires != row.lease_expires):
        return 0
    found = writer.execute("list_claimed_inputs", (there.master_job_id, worker_id)).fetchall()
    held = list(map(HeldInputRow._make, found))
    if died:
        for one in held:
            _save_interrupted(writer, one, worker_id, now)
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


def claim_inputs(writer: RowWriter, master_job_id: str, worker_id: str, limit: int, now: str) -> list[ClaimedInputRow]:
    """Claim pending inputs, and return their rows. Not in the row log: what a repair finds unfinished is pending."""
    if not _is_noted(writer, master_job_id, worker_id):
        raise NotFoundError("worker", worker_id, "its lease had expired; note it with save_worker again")
    return _claim(writer, master_job_id, worker_id, limit, now)


def _claim(writer: RowWriter, master_job_id: str, worker_id: str, limit: int, now: str) -> list[ClaimedInputRow]:
    found = writer.execute("claim_inputs", (worker_id, now, now, master_job_id, limit)).fetchall()
    return list(map(ClaimedInputRow._make, found))


def save_attempt(writer: RowWriter, attempt: Attempt, now: str) -> int:
    """Store an attempt, and return its number."""
    job_id = attempt.job_id
    _lock_worker(writer, attempt.worker_id)
    there = _need_input(writer, job_id, attempt.master_job_id)
    if not _is_held(there, attempt.worker_id):
        # Its worker was taken for dead, and this very attempt for interrupted: it must not be counted twice.
        noted: int | None = writer.first_value("get_interrupted_attempt", (job_id, attempt.worker_id))
        if noted is not None:
            writer.change("delete_attempt", (job_id, noted))
            writer.change("save_attempt", ledger_rows.attempt_row(attempt, noted))
            return noted
    number = _next_number(there)
    writer.change("save_attempt", ledger_rows.attempt_row(attempt, number))
    writer.change("count_attempts", (number, now, job_id))
    return number


def release_input(writer: RowWriter, attempt: Attempt, now: str) -> None:
    """Store an attempt that was stopped, and return its input to pending if the worker holds it."""
    _lock_worker(writer, attempt.worker_id)
    there = _need_input(writer, attempt.job_id, attempt.master_job_id)
    save_attempt(writer, attempt, now)
    if _is_held(there, attempt.worker_id):
        writer.change("return_input", (now, attempt.job_id))


def reset_inputs(
    writer: RowWriter,
    master_job_id: str,
    statuses: Sequence[str],
    is_meant: Callable[[RowWriter, str, str | None, int], bool],
    now: str,
) -> int:
    """Return ended inputs to pending, and return how many.

    Args:
        writer: applies the changes.
        master_job_id: the run.
        statuses: those in one of these.
        is_meant: given the writer, the id, the error and the number of attempts of one, tells whether it is meant.
        now: the time.
    """
    need_run(writer, master_job_id)
    ended = writer.execute_merged("list_ended_inputs", statuses, (master_job_id,))
    meant = [job_id for job_id, error, attempts in ended if is_meant(writer, job_id, error, attempts)]
    writer.change_each("return_input", [(now, job_id) for job_id in meant])
    return len(meant)


def save_step(writer: RowWriter, row: StepRow) -> None:
    """Store the result of a paid step."""
    if writer.first("get_input", (row.job_id,)) is None:
        raise ParentNotFoundError("execution job", row.job_id, "it may have been deleted with its master job")
    writer.change("save_step", row)


def refresh_run(writer: RowWriter, master_job_id: str, now: str) -> Row:
    """Bring the record counts of a master job up to date, and return the row of its run."""
    found = writer.first("get_run", (master_job_id,))
    if found is None:
        raise NotFoundError("run", master_job_id, _NEW_RUN)
    # Every worker does this once a second: not while another does, so that their groups do not wait for each other.
    if writer.first("try_to_lock_run", (master_job_id,)) is not None:
        writer.execute("refresh_run", (now, master_job_id))
    return found


def request_stop(writer: RowWriter, master_job_id: str, reason: str | None) -> None:
    """Ask the workers of a run to stop."""
    if not _lock_run(writer, master_job_id):
        raise NotFoundError("run", master_job_id, _NEW_RUN)
    writer.execute("request_stop", (reason, master_job_id))


def need_run(writer: RowWriter, master_job_id: str) -> None:
    """Refuse what belongs to a run that does not exist."""
    if writer.first("get_run", (master_job_id,)) is None:
        raise ParentNotFoundError("run", master_job_id, _NEW_RUN)


def _lock_run(writer: RowWriter, master_job_id: str) -> bool:
    """Lock a run, and return whether there is one."""
    return writer.first("lock_run", (master_job_id,)) is not None


def input_row(found: Row) -> InputRow:
    """Return the row of an input as ``get_input`` returns it."""
    *end, master_job_id, last_attempt = found
    return InputRow(FinishedInputRow._make(end), master_job_id, last_attempt)


def _need_input(writer: RowWriter, job_id: str, master_job_id: str) -> InputRow:
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


def _is_held(there: InputRow, worker_id: str | None) -> bool:
    return there.end.status == "running" and there.end.worker_id == worker_id


def _lock_worker(writer: RowWriter, worker_id: str | None) -> None:
    """Lock a worker before what it holds, as `remove_worker` does it: in another order, each would wait for the other.

    An attempt is stored all the same if its worker is not noted any more.
    """
    if worker_id is not None:
        writer.first("get_worker", (worker_id,))


def _worker(writer: RowWriter, worker_id: str) -> WorkerRow | None:
    return writer.first_as(WorkerRow, "get_worker", (worker_id,))


def _is_noted(writer: RowWriter, master_job_id: str, worker_id: str) -> bool:
    there = _worker(writer, worker_id)
    return there is not None and there.master_job_id == master_job_id


def _next_number(there: InputRow) -> int:
    """Return the number of an input's next attempt: the count in its row is also set by `save_execution_job`."""
    return max(there.end.attempted_generations, there.last_attempt or 0) + 1


def _save_interrupted(writer: RowWriter, held: HeldInputRow, worker_id: str, now: str) -> None:
    number = _next_number(_need_input(writer, held.job_id, held.master_job_id))
    texts = writer.values("list_step_usage", (held.job_id, number))
    used = [one for text in texts for one in ledger_rows.read_usage(text)]
    writer.change("save_attempt", ledger_rows.interrupted_row(held, number, worker_id, now, used))
    writer.change("count_attempts", (number, now, held.job_id))


@dataclass(slots=True, eq=False, repr=False)
class Finishing:
    """The changes that store an outcome; `apply` may be called again after it was taken back.

    Attributes:
        outcome: what came of the input.
        attempt: the row of its attempt, but for the number.
        records: the rows of its records.
        unique_keys: of each record, where any has one.
        now: the time.
        claim_next: claim the next input as well.
        statuses: of the records, as they were stored.
        status: of the execution job, as it was stored.
        claimed: the row of the next input.
    """

    outcome: Outcome
    attempt: AttemptRow
    records: Sequence[RecordRow]
    unique_keys: Sequence[str | None]
    now: str
    claim_next: bool
    statuses: list[StatusRecord] = field(default_factory=list[StatusRecord])
    status: StatusExecutionJob = "pending"
    claimed: ClaimedInputRow | None = None

    def apply(self, writer: RowWriter) -> list[Change]:
        """Make the changes, and return what takes them back. Records without unique keys are saved by the group."""
        outcome, self.claimed = self.outcome, None
        # Before the input, as `_lock_worker` says.
        noted = _is_noted(writer, outcome.claimed.master_job_id, outcome.worker_id)
        before = _need_input(writer, self.job_id, outcome.claimed.master_job_id)
        if not _is_held(before, outcome.worker_id):
            raise ClaimLostError(f"input {self.job_id!r} is not held by worker {outcome.worker_id!r} any more.")
        number = _next_number(before)
        undo: list[Change] = [("finish_input", before.end)]
        self.statuses = [row.status for row in self.records]
        if number > 1:
            undo += self._forget_earlier(writer)
        if self.unique_keys:
            undo += self._save_unique(writer)
        writer.change("save_attempt", self.attempt._replace(number=number))
        undo.append(("delete_attempt", (self.job_id, number)))
        writer.change("finish_input", self._end(number))
        if self.claim_next and noted:  # else its outcome is kept all the same: it was paid for
            undo += self._claim(writer)
        return undo

    @property
    def job_id(self) -> str:
        """The input."""
        return self.outcome.claimed.job_id

    def is_plain(self, before: InputRow) -> bool:
        """Return whether it is the first outcome of an input that its worker holds, without unique keys.

        Then its changes are three rows and the records, which can be made with those of others.
        """
        return (
            not self.unique_keys
            and before.master_job_id == self.outcome.claimed.master_job_id
            and _is_held(before, self.outcome.worker_id)
            and _next_number(before) == 1
        )

    def plain_rows(self) -> tuple[AttemptRow, FinishedInputRow]:
        """Return the parameters of ``save_attempt`` and ``finish_input`` of one that `is_plain`."""
        self.claimed = None
        self.statuses = [row.status for row in self.records]
        return self.attempt._replace(number=1), self._end(1)

    def _end(self, number: int) -> FinishedInputRow:
        """Return the parameters of ``finish_input``."""
        attempt, statuses = self.outcome.attempt, self.statuses
        self.status = "failed" if attempt.status == "failed" else status_of_input(statuses)
        # The start is the attempt's: with those before, it would count the pauses between them.
        completed, filtered, duplicate, failed = (statuses.count(status) for status in COUNTED_STATUSES)
        return FinishedInputRow(
            status=self.status,
            attempted_generations=number,
            produced_outputs_count=len(self.records),
            completed_record_count=completed,
            filtered_record_count=filtered,
            duplicate_record_count=duplicate,
            failed_record_count=failed,
            counts=None,
            start_time=self.attempt.start_time,
            end_time=self.now,
            last_update_time=self.now,
            worker_id=self.outcome.worker_id,
            error_message=self.outcome.error_message,
            job_id=self.job_id,
        )

    def _save_unique(self, writer: RowWriter) -> list[Change]:
        """Save the records one by one, as a duplicate where a completed record of the run has the same key."""
        undo: list[Change] = []
        of_this: dict[str, str] = {}
        for number, (row, key) in enumerate(zip(self.records, self.unique_keys, strict=True)):
            saved = row
            if key is not None and row.status == "completed":
                found = writer.first_value("get_completed_of_unique_key", (row.master_job_id, key, row.job_id))
                first = of_this.get(key) if found is None else found
                if first is None:
                    of_this[key] = row.record_uid
                else:
                    saved = row._replace(status="duplicate", error_message=f"the same as record {first}")
            self.statuses[number] = saved.status
            (taking_back,) = writer.save_records([saved])
            undo += taking_back
            if key is not None:
                writer.change("set_unique_key", (key, row.record_uid))
                undo.append(
                    ("set_unique_key", (None, row.record_uid))
                )  # what an earlier outcome had is given up by now
        return undo

    def _forget_earlier(self, writer: RowWriter) -> list[Change]:
        """Give up the unique keys of an earlier outcome, and mark its records that this one has no successor of.

        The data of those stays: it was paid for.
        """
        undo: list[Change] = []
        own = {row.record_uid for row in self.records}
        for key, uid in writer.execute("list_unique_keys_of_job", (self.outcome.claimed.job_id,)).fetchall():
            writer.change("set_unique_key", (None, uid))
            undo.append(("set_unique_key", (key, uid)))
        reason = "a later attempt at the same input has replaced it"
        for found in writer.execute("list_rows_of_job", (self.outcome.claimed.job_id,)).fetchall():
            row = RecordRow._make(found)
            if row.record_uid not in own and row.status != "cancelled":
                writer.update_record(row._replace(status="cancelled", last_update_time=self.now, error_message=reason))
                undo.append(("save_record", row))
        return undo

    def _claim(self, writer: RowWriter) -> list[Change]:
        master_job_id, worker_id = self.outcome.claimed.master_job_id, self.outcome.worker_id
        found = _claim(writer, master_job_id, worker_id, 1, self.now)
        if not found:
            return []
        (self.claimed,) = found
        # Not `return_input`: another operation of the group may have given it to another worker meanwhile.
        return [("return_claim", (self.now, self.claimed.job_id, worker_id))]


def claim_for_all(writer: RowWriter, finishing: Sequence[Finishing]) -> None:
    """Claim an input for each outcome that asks for one, those of a worker together."""
    asking: dict[tuple[str, str], list[Finishing]] = {}
    for one in finishing:
        if one.claim_next:
            asking.setdefault((one.outcome.claimed.master_job_id, one.outcome.worker_id), []).append(one)
    for (master_job_id, worker_id), theirs in sorted(asking.items(), key=lambda item: item[0]):
        if _is_noted(writer, master_job_id, worker_id):
            found = _claim(writer, master_job_id, worker_id, len(theirs), theirs[0].now)
            for one, row in zip(theirs, sorted(found, key=lambda row: row.position), strict=False):
                one.claimed = row
