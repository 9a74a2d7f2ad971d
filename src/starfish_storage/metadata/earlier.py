"""What there is of an input that ended before and runs again: the outcome that stands, and which outputs to keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starfish_storage.errors import StorageError
from starfish_storage.interface.rows import RecordRow, WholeRecordRow
from starfish_storage.interface.version_rows import RecordVersionRow, StandingOutcomeRow
from starfish_storage.metadata.row import Change, Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_records
from starfish_storage.statuses import StatusExecutionJob

_GOOD = ("completed", "filtered", "duplicate")


class EarlierOutcomeError(StorageError):
    """What was planned does not fit what there is of the input by now: never reaches a caller."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier outcome of an input.

    Attributes:
        standing: how the input ended; None if nothing stands.
        records: its records, by uid.
    """

    standing: StandingOutcomeRow | None
    records: tuple[WholeRecordRow, ...]

    @classmethod
    def of(cls, standing: Row | None, records: Iterable[Row]) -> Earlier:
        """Return what rows say."""
        whole = sorted(whole_records(list(records)), key=lambda one: one.record.record_uid)
        return cls(None if standing is None else StandingOutcomeRow._make(standing), tuple(whole))

    def stands_against(self, status: StatusExecutionJob) -> bool:
        """Return whether it stays what the input has, when another attempt comes to this."""
        return status == "failed" and self.standing is not None and self.standing.status in _GOOD

    def replaced_by(self, rows: Sequence[RecordRow]) -> list[WholeRecordRow]:
        """Return those of its records that have data and another output in these rows."""
        own = {row.record_uid for row in rows}
        return [one for one in self.records if one.record.record_uid in own and one.record.output_ref is not None]

    def check(self, writer: RowWriter, job_id: str) -> None:
        """Raise if it is not what there is by now, within the transaction.

        Raises:
            EarlierOutcomeError: it is not.
        """
        if earlier_in(writer, job_id) != self:
            raise EarlierOutcomeError("what there is of the input has changed.")


def earlier_in(writer: RowWriter, job_id: str) -> Earlier:
    """Return what there is of an input, within the transaction."""
    found = writer.execute("list_rows_of_job", (job_id,)).fetchall()
    return Earlier.of(writer.first("get_standing", (job_id,)), found)


def version_of(row: RecordRow, number: int, unique_key: str | None, now: str, **changes: Any) -> RecordVersionRow:
    """Return a version as a record, or the row of an output, has it; ``changes``: what is other."""
    return RecordVersionRow(
        record_uid=row.record_uid,
        number=number,
        job_id=row.job_id,
        master_job_id=row.master_job_id,
        status=row.status,
        output_ref=row.output_ref,
        start_time=row.start_time,
        end_time=row.end_time,
        error_message=row.error_message,
        data_sha256=row.data_sha256,
        unique_key=unique_key,
        replaced_when=now,
        attempt=None,
    )._replace(**changes)


def keep(writer: RowWriter, versions: Iterable[RecordVersionRow], *, is_new: bool) -> list[Change]:
    """Store versions, each under its number or, if that is taken, the next one, and return what takes that back."""
    undo: list[Change] = []
    for row in versions:
        taken = writer.values("list_version_numbers", (row.record_uid,))
        if is_new:
            taken += writer.values("get_version_number", (row.record_uid,))
        kept = row
        if row.number in taken:  # by an edit
            kept = row._replace(number=max(taken) + 1, attempt=row.attempt or row.number)
        undo.append(writer.keep_version(kept, is_new=is_new))
    return undo
