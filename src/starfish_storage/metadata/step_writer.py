"""The row changes of replies to paid steps, each within the transaction of its group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starfish_storage.errors import NotFoundError, ParentNotFoundError
from starfish_storage.interface.rows import StepMarkRow, StepRow
from starfish_storage.metadata.ledger_writer import need_run
from starfish_storage.metadata.row_writer import RowWriter, portions


@dataclass(slots=True, eq=False, repr=False)
class SavingStep:
    """The change that stores a reply; `apply` may be called again after it was taken back.

    Attributes:
        row: the reply, but for its number.
        reply: its number, once it is stored.
    """

    row: StepRow
    reply: int = 0

    def apply(self, writer: RowWriter) -> None:
        """Store the reply as the next one to its call."""
        row = self.row
        # Locked with it: nobody else numbers a reply meanwhile.
        if writer.first("get_input", (row.job_id,)) is None:
            raise ParentNotFoundError("execution job", row.job_id, "it may have been deleted with its master job")
        last: int | None = writer.first_value("get_last_reply", (row.job_id, row.name, row.request_key, row.call))
        self.reply = (last or 0) + 1
        writer.change("save_step", row._replace(reply=self.reply))


def mark_step(writer: RowWriter, row: StepMarkRow) -> None:
    """Set the status of a reply."""
    found = writer.first("get_step", row.id)
    if found is None:
        raise NotFoundError("step", f"{row.name} {row.call}.{row.reply} of {row.job_id}", "see list_steps for them")
    if StepMarkRow._make(getattr(StepRow._make(found), name) for name in StepMarkRow._fields) != row:
        writer.change("mark_step", row)


def forget_steps(writer: RowWriter, master_job_id: str, names: Sequence[str], job_ids: Collection[str] | None) -> int:
    """Mark replies as forgotten, and return how many; only those of some inputs, if these are given."""
    need_run(writer, master_job_id)
    marks: list[StepMarkRow] = [
        StepMarkRow("forgotten", reason, rejected_by, job_id, name, request_key, call, reply)
        for part in portions(names, writer.most_rows)
        for job_id, name, request_key, call, reply, reason, rejected_by in writer.execute_repeated(
            "list_steps_to_forget", len(part), (master_job_id, *part)
        ).fetchall()
        if job_ids is None or job_id in job_ids
    ]
    marks.sort(key=lambda mark: mark.id)  # in one order, so that two who do this do not wait for each other
    writer.change_each("mark_step", marks)
    return len(marks)
