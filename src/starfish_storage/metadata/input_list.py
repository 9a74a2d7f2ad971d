"""The row changes of a run whose list of inputs has changed: more of them, some that are gone, some that are back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starfish_storage.errors import ParentNotFoundError
from starfish_storage.interface.rows import RecordRow, RegisteredInputRow
from starfish_storage.metadata.earlier import EarlierOutcomeError
from starfish_storage.metadata.ledger_writer import NEW_RUN, lock_run, need_input, register_inputs
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_records
from starfish_storage.metadata.settling import current_records, resettled
from starfish_storage.metadata.unique_keys import without_duplicates
from starfish_storage.runs import status_of_input
from starfish_storage.runs.gone import before_gone, gone_message
from starfish_storage.statuses import EXECUTION_JOB_STATUSES, RECORD_STATUSES


def reopen_inputs(writer: RowWriter, master_job_id: str) -> None:
    """Note that there may be more inputs."""
    if not lock_run(writer, master_job_id):
        raise ParentNotFoundError("run", master_job_id, NEW_RUN)
    writer.change("reopen_inputs", (master_job_id,))


def append_inputs(writer: RowWriter, master_job_id: str, inputs: Sequence[RegisteredInputRow], registered: int) -> bool:
    """Store inputs behind those of a run, if it has as many as that still; return whether it has."""
    if not lock_run(writer, master_job_id):
        raise ParentNotFoundError("run", master_job_id, NEW_RUN)
    _, there, *_ = writer.first("get_run", (master_job_id,)) or (None, None)
    if there != registered:
        return False
    register_inputs(writer, master_job_id, inputs)
    return True


def cancel_inputs(writer: RowWriter, master_job_id: str, job_ids: Sequence[str], now: str) -> int:
    """Mark inputs and their records as cancelled, and return how many inputs."""
    return sum(_cancel(writer, master_job_id, job_id, now) for job_id in sorted(set(job_ids)))


@dataclass(slots=True, eq=False, repr=False)
class InputRestoring:
    """Makes cancelled inputs and their records what they were; `apply` may be called again after it was taken back.

    Attributes:
        master_job_id: their run.
        job_ids: the inputs.
        decided: the unique keys that it may decide about: its operation names them.
        now: the time.
        restored: how many inputs were cancelled.
    """

    master_job_id: str
    job_ids: Sequence[str]
    decided: frozenset[str]
    now: str
    restored: int = 0

    def apply(self, writer: RowWriter) -> None:
        """Make the changes."""
        self.restored = sum(self._restore(writer, job_id) for job_id in sorted(set(self.job_ids)))

    def _restore(self, writer: RowWriter, job_id: str) -> bool:
        end = need_input(writer, job_id, self.master_job_id).end
        if end.status != "cancelled":
            return False
        was = before_gone(end.error_message, EXECUTION_JOB_STATUSES)
        if was is None:  # cancelled otherwise: it runs again
            writer.change("return_input", (self.now, job_id))
            return True
        status, message = was
        rows = self._restore_records(writer, job_id)
        if status not in ("pending", "failed") and rows:
            status = status_of_input([row.status for row in rows])
        back = resettled(end, status, rows, self.now)
        writer.change("finish_input", back._replace(error_message=message, produced_outputs_count=len(rows)))
        return True

    def _restore_records(self, writer: RowWriter, job_id: str) -> list[RecordRow]:
        """Make the records of an input what they were, and return them."""
        before: list[RecordRow] = []
        keys: list[str | None] = []
        for one in whole_records(writer.execute("list_rows_of_job", (job_id,)).fetchall()):
            was = before_gone(one.record.error_message, RECORD_STATUSES) if one.record.status == "cancelled" else None
            if was is not None:
                status, message = was
                before.append(one.record._replace(status=status, error_message=message, last_update_time=self.now))
                keys.append(one.unique_key)
        if not self.decided.issuperset(key for key in keys if key is not None):
            raise EarlierOutcomeError("an output has got another unique key.")
        rows = without_duplicates(writer, before, keys)
        for row in rows:
            writer.update_record(row)
        return rows


def _cancel(writer: RowWriter, master_job_id: str, job_id: str, now: str) -> bool:
    end = need_input(writer, job_id, master_job_id).end
    if end.status in ("running", "cancelled"):
        return False
    for row in current_records(writer, job_id):
        message = gone_message(row.status, row.error_message)
        writer.update_record(row._replace(status="cancelled", error_message=message, last_update_time=now))
    message = gone_message(end.status, end.error_message)
    # Without outputs: nobody misses their records.
    gone = resettled(end, "cancelled", [], now)._replace(error_message=message, produced_outputs_count=0)
    writer.change("finish_input", gone)
    return True
