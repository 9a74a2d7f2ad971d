"""Judging the stored outputs of an input anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.interface.rows import FinishedInputRow, RecordCountsRow, RecordRow
from starfish_storage.metadata.ledger_writer import need_input
from starfish_storage.metadata.reopening import ENDED
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_records
from starfish_storage.metadata.unique_keys import without_duplicates
from starfish_storage.runs import Output, output_record_uid, status_of_input
from starfish_storage.statuses import COUNTED_STATUSES, StatusExecutionJob, StatusRecord


@dataclass(slots=True, eq=False, repr=False)
class Settling:
    """The changes that judge outputs anew; `apply` may be called again after it was taken back.

    Attributes:
        master_job_id: the run.
        job_id: the input.
        outputs: its outputs, as they are judged.
        judged: the records that were judged, and when each was last changed; None: whatever there are.
        now: the time.
        statuses: of the records, as they were stored.
        status: of the input, as it was stored; None if it has not ended, or has other records by now.
    """

    master_job_id: str
    job_id: str
    outputs: Sequence[Output]
    judged: Mapping[str, str] | None
    now: str
    statuses: list[StatusRecord] = field(default_factory=list[StatusRecord])
    status: StatusExecutionJob | None = None

    def apply(self, writer: RowWriter) -> None:
        """Make the changes, if the input has ended and has the records that were judged."""
        self.status, self.statuses = None, []
        there = need_input(writer, self.job_id, self.master_job_id)
        if there.end.status not in ENDED:
            return
        current = {row.record_uid: row for row in current_records(writer, self.job_id)}
        if self.judged is not None and self.judged != {uid: row.last_update_time for uid, row in current.items()}:
            return  # a retry has replaced them meanwhile, and has checked what it made
        before = self._in_order(current)
        given = [
            row._replace(
                status=output.status, error_message=output.error_message, end_time=self.now, last_update_time=self.now
            )
            for row, output in zip(before, self.outputs, strict=True)
        ]
        keys = [output.unique_key for output in self.outputs]
        for row in before:
            writer.change("set_unique_key", (None, row.record_uid))
        rows = without_duplicates(writer, given, keys)
        for row, key in zip(rows, keys, strict=True):
            writer.update_record(row)
            if key is not None:
                writer.change("set_unique_key", (key, row.record_uid))
        self.statuses = [row.status for row in rows]
        failed = writer.first_value("get_status_of_outputs", (self.job_id, self.job_id)) == "failed"
        self.status = "failed" if failed else status_of_input(self.statuses)
        writer.change("finish_input", resettled(there.end, self.status, rows, self.now))

    def _in_order(self, current: Mapping[str, RecordRow]) -> list[RecordRow]:
        """Return the records of the input's outputs, in order."""
        uids = [output_record_uid(self.job_id, number) for number in range(len(self.outputs))]
        if set(current) != set(uids):
            raise InvalidInputError(
                f"input {shorten(self.job_id)} has {len(current)} outputs, not {len(uids)}: give one for each."
            )
        return [current[uid] for uid in uids]


def current_records(writer: RowWriter, job_id: str) -> list[RecordRow]:
    """Return the records of an input's outputs: those that no later attempt has replaced by nothing."""
    found = whole_records(writer.execute("list_rows_of_job", (job_id,)).fetchall())
    return [one.record for one in found if one.record.status != "cancelled"]


def resettled(
    end: FinishedInputRow, status: StatusExecutionJob, rows: Sequence[RecordRow], now: str
) -> FinishedInputRow:
    """Return the end of an input whose records have other statuses than before."""
    statuses = [row.status for row in rows]
    counts = RecordCountsRow(*(statuses.count(counted) for counted in COUNTED_STATUSES))
    error = next((row.error_message for row in rows if row.status == "failed"), None)
    return end._replace(
        status=status,
        **counts._asdict(),
        last_update_time=now,
        error_message=(error or end.error_message) if status == "failed" else None,
    )
