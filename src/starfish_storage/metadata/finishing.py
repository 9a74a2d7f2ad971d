"""Storing the outcomes of inputs: attempts, records with their data, ends, and the claims of the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from starfish_storage.interface.rows import (
    AttemptRow,
    ClaimedInputRow,
    FinishedInputRow,
    InputRow,
    RecordRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.metadata.earlier import Earlier, EarlierOutcomeError, keep
from starfish_storage.metadata.ledger_writer import (
    ClaimLostError,
    claim,
    interrupted_attempt,
    is_held,
    is_noted,
    need_input,
    next_number,
)
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.unique_keys import without_duplicates
from starfish_storage.runs import Budget, Outcome, status_of_input
from starfish_storage.statuses import COUNTED_STATUSES, StatusExecutionJob, StatusRecord


@dataclass(slots=True, eq=False, repr=False)
class Finishing:
    """The changes that store an outcome; `apply` may be called again after it was taken back.

    Attributes:
        outcome: the outcome of the input.
        attempt: the row of its attempt, but for the number.
        records: the rows of its records.
        unique_keys: of each record, where any has one.
        now: the time.
        claim_next: claim the next input as well.
        earlier: what there is of the input; None: nothing, as of nearly every one.
        stands: what there is stays what the input has.
        budget: what the run may cost, for the claim of the next input.
        versions: outputs to be kept as versions, but for the numbers of new ones.
        statuses: of the records, as they were stored.
        status: of the execution job, as it was stored.
        claimed: the row of the next input.
        came_to: what the attempt came to, once that is known: a unique key may make a completed output a duplicate.
    """

    outcome: Outcome
    attempt: AttemptRow
    records: Sequence[RecordRow]
    unique_keys: Sequence[str | None]
    now: str
    claim_next: bool
    earlier: Earlier | None = None
    stands: bool = False
    versions: Sequence[RecordVersionRow] = ()
    statuses: list[StatusRecord] = field(default_factory=list[StatusRecord])
    status: StatusExecutionJob = "pending"
    claimed: ClaimedInputRow | None = None
    came_to: StatusExecutionJob | None = None
    budget: Budget | None = None

    def apply(self, writer: RowWriter) -> list[Change]:
        """Make the changes, and return what takes them back. Plain records are saved by the group."""
        outcome, self.claimed = self.outcome, None
        # Before the input, as `lock_worker` says.
        noted = is_noted(writer, outcome.claimed.master_job_id, outcome.worker_id)
        before = need_input(writer, self.job_id, outcome.claimed.master_job_id)
        if not is_held(before, outcome.worker_id) and before.end.status != "pending":
            raise ClaimLostError(f"input {self.job_id!r} is not held by worker {outcome.worker_id!r} any more.")
        stands_for_it = interrupted_attempt(writer, before, outcome.worker_id)
        number = next_number(before) if stands_for_it is None else stands_for_it.number
        if self.is_by_group and number > 1:
            raise EarlierOutcomeError("it is not the first attempt.")
        undo: list[Change] = [("finish_input", before.end)]
        if stands_for_it is not None:
            writer.change("delete_attempt", stands_for_it.id)
            undo.append(("save_attempt", stands_for_it))
        self.statuses = [row.status for row in self.records]
        end = self._end(number)
        if self.stands:
            undo += self._keep_standing(writer, number)
            end = self._standing_end(before, number)
        elif not self.is_by_group:
            undo += self._save_records(writer, number)
            end = self._end(number)
        writer.change("save_attempt", self.attempt._replace(number=number))
        undo.append(("delete_attempt", (self.job_id, number)))
        writer.change("finish_input", end)
        if self.claim_next and noted:  # else its outcome is kept all the same: it was paid for
            undo += self._claim_next(writer)
        return undo

    @property
    def job_id(self) -> str:
        """The input."""
        return self.outcome.claimed.job_id

    @property
    def is_by_group(self) -> bool:
        """Whether the group saves the records, with those of others: it is the first outcome, without unique keys."""
        return not self.unique_keys and self.earlier is None

    def is_plain(self, before: InputRow) -> bool:
        """Return whether it is the first outcome of an input that its worker holds, without unique keys.

        Then its changes are three rows and the records, which can be made with those of others.
        """
        return (
            self.is_by_group
            and before.master_job_id == self.outcome.claimed.master_job_id
            and is_held(before, self.outcome.worker_id)
            and next_number(before) == 1
        )

    def plain_rows(self) -> tuple[AttemptRow, FinishedInputRow]:
        """Return the parameters of ``save_attempt`` and ``finish_input`` of one that `is_plain`."""
        self.claimed = None
        self.statuses = [row.status for row in self.records]
        return self.attempt if self.attempt.number == 1 else self.attempt._replace(number=1), self._end(1)

    def _end(self, number: int) -> FinishedInputRow:
        """Return the parameters of ``finish_input``."""
        attempt, statuses = self.outcome.attempt, self.statuses
        self.status = "failed" if attempt.status == "failed" else status_of_input(statuses)
        # The start is the attempt's: with those before, it would count the pauses between them.
        completed, filtered, duplicate, failed = map(statuses.count, COUNTED_STATUSES)
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

    def _save_records(self, writer: RowWriter, number: int) -> list[Change]:
        """Save the records in the place of those there are; what is replaced becomes versions."""
        there = self.earlier or Earlier(None, ())
        if number > 1 or self.earlier is not None:
            there.check(writer, self.job_id)
        # With unique keys, what a record is saved as is known only here.
        rows = without_duplicates(writer, self.records, self.unique_keys) if self.unique_keys else self.records
        self.statuses = [row.status for row in rows]
        self.came_to = self._end(number).status
        if there.stands_against(self.came_to):
            raise EarlierOutcomeError("the earlier outcome is the better one.")
        undo = keep(writer, self.versions, is_new=False)
        undo += self._give_up(writer, there)
        for row, key in zip_longest(rows, self.unique_keys):
            (taking_back,) = writer.save_records([row])
            undo += taking_back
            if key is not None:
                writer.change("set_unique_key", (key, row.record_uid))
                undo.append(("set_unique_key", (None, row.record_uid)))  # what an earlier one had is given up by now
        if number > 1:
            before = {one.record.record_uid: one.numbers for one in there.records}
            for row in rows:
                # The number of an attempt is taken where outputs before it were edited.
                taken = writer.values("list_version_numbers", (row.record_uid,)) if before else ()
                other = max(taken) + 1 if number in taken else None
                writer.change("set_record_attempt", (number, other, row.record_uid))
                undo.append(("set_record_attempt", (*before.get(row.record_uid, (None, None)), row.record_uid)))
        return undo

    def _give_up(self, writer: RowWriter, there: Earlier) -> list[Change]:
        """Give up the unique keys of an earlier outcome, and mark its records that this one does not replace.

        The data of those stays: it was paid for.
        """
        undo: list[Change] = []
        own = {row.record_uid for row in self.records}
        reason = "a later attempt at the same input has replaced it"
        for row, unique_key, *_ in there.records:
            if unique_key is not None:
                writer.change("set_unique_key", (None, row.record_uid))
                undo.append(("set_unique_key", (unique_key, row.record_uid)))
            if row.record_uid not in own and row.status != "cancelled":
                writer.update_record(row._replace(status="cancelled", last_update_time=self.now, error_message=reason))
                undo.append(("save_record", row))
        return undo + self._forget_standing(writer, there)

    def _keep_standing(self, writer: RowWriter, number: int) -> list[Change]:
        """Leave the records as they are, and keep the outputs of this outcome as versions of them."""
        there = self.earlier or Earlier(None, ())
        there.check(writer, self.job_id)
        undo = keep(writer, [row._replace(number=number) for row in self.versions], is_new=True)
        return undo + self._forget_standing(writer, there)

    def _forget_standing(self, writer: RowWriter, there: Earlier) -> list[Change]:
        if there.standing is None:
            return []
        writer.change("forget_standing", (self.job_id,))
        return [("save_standing", there.standing)]

    def _standing_end(self, before: InputRow, number: int) -> FinishedInputRow:
        """Return how an input ends again whose earlier outcome stands."""
        there = self.earlier
        assert there is not None, "nothing stands"
        assert there.standing is not None, "nothing stands"
        current = [one.record for one in there.records if one.record.status != "cancelled"]
        # In the order of their numbers, which their uids end with.
        self.statuses = [row.status for row in sorted(current, key=lambda row: (len(row.record_uid), row.record_uid))]
        self.status = there.standing.status
        return before.end._replace(
            status=there.standing.status,
            attempted_generations=number,
            start_time=there.standing.start_time,
            end_time=there.standing.end_time,
            worker_id=there.standing.worker_id,
            last_update_time=self.now,
        )

    def _claim_next(self, writer: RowWriter) -> list[Change]:
        master_job_id, worker_id = self.outcome.claimed.master_job_id, self.outcome.worker_id
        found = claim(writer, master_job_id, worker_id, 1, self.now, self.budget)
        if not found:
            return []
        (row,) = found
        return [self.take(row)]

    def take(self, row: ClaimedInputRow) -> Change:
        """Take a claimed input for the slot that waits for this outcome; return what gives it back."""
        self.claimed = row
        # Not `return_input`: another operation of the group may have given it to another worker meanwhile.
        return ("return_claim", (self.now, row.job_id, self.outcome.worker_id))


def claim_for_all(writer: RowWriter, finishing: Sequence[Finishing]) -> list[tuple[Finishing, Change]]:
    """Claim an input for each outcome that asks for one, those of a worker together; return what gives each back."""
    undo: list[tuple[Finishing, Change]] = []
    asking: dict[tuple[str, str], list[Finishing]] = {}
    for one in finishing:
        if one.claim_next:
            asking.setdefault((one.outcome.claimed.master_job_id, one.outcome.worker_id), []).append(one)
    for (master_job_id, worker_id), theirs in sorted(asking.items(), key=lambda item: item[0]):
        if is_noted(writer, master_job_id, worker_id):
            found = claim(writer, master_job_id, worker_id, len(theirs), theirs[0].now, theirs[-1].budget)
            for one, row in zip(theirs, sorted(found, key=lambda row: row.position), strict=False):
                undo.append((one, one.take(row)))
    return undo
