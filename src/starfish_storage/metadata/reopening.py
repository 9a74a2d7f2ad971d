"""Putting ended inputs back to pending, so that they run again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from starfish_storage.interface.rows import EndedInputRow
from starfish_storage.interface.version_rows import StandingOutcomeRow
from starfish_storage.metadata import values
from starfish_storage.metadata.ledger_writer import need_run
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter, portions
from starfish_storage.statuses import EXECUTION_JOB_STATUSES

ENDED = tuple(status for status in EXECUTION_JOB_STATUSES if status not in ("pending", "running"))
"""Statuses of inputs that have ended."""

_LOOKED_UP_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class EndedInputs:
    """Which ended inputs are meant.

    Attributes:
        statuses: those in one of these.
        error_text: only those whose error holds this text, in lower case.
        error_type: only those whose last attempt raised this class.
        job_ids: only these.
        failed_outputs: also those, whatever their status, of which an output failed or its record is lost.
        stand: what came of them stands until they have a better outcome.
    """

    statuses: tuple[str, ...]
    error_text: str | None
    error_type: str | None
    job_ids: frozenset[str] | None
    failed_outputs: bool
    stand: bool

    def of_run(self, writer: RowWriter, master_job_id: str) -> list[EndedInputRow]:
        """Return those of a run."""
        faults: dict[str, list[str]] = {}
        if self.failed_outputs:
            for job_id, error in writer.execute("list_faulty_inputs", (master_job_id, master_job_id)).fetchall():
                faults.setdefault(job_id, []).append(error or "")
        # The inputs are locked before they are judged.
        ended = map(EndedInputRow._make, self._ended(writer, master_job_id))
        return [row for row in ended if self._has(writer, row, faults.get(row.job_id))]

    def _ended(self, writer: RowWriter, master_job_id: str) -> Iterator[Row]:
        """Return the rows of those that may be meant: of a million inputs, not all where some are named."""
        if self.job_ids is None:
            yield from writer.execute_merged(
                "list_ended_inputs", ENDED if self.failed_outputs else self.statuses, (master_job_id,)
            )
            return
        for part in portions(sorted(self.job_ids), _LOOKED_UP_TOGETHER):
            yield from writer.execute_repeated("list_ended_inputs_of", len(part), (*part, master_job_id)).fetchall()

    def _has(self, writer: RowWriter, row: EndedInputRow, faults: list[str] | None) -> bool:
        if row.status not in self.statuses and faults is None:
            return False
        if self.job_ids is not None and row.job_id not in self.job_ids:
            return False
        if self.error_text is not None:
            errors = [row.error_message or "", *(faults or ())]
            if not any(self.error_text in values.lower("error", error) for error in errors):
                return False
        if self.error_type is None:
            return True
        return writer.first_value("get_error_type", (row.job_id, row.attempted_generations)) == self.error_type


def reset_inputs(writer: RowWriter, master_job_id: str, meant: EndedInputs, now: str) -> int:
    """Return ended inputs to pending, and return how many; how each had ended is noted, if it is to stand."""
    need_run(writer, master_job_id)
    ended = meant.of_run(writer, master_job_id)
    stands = [StandingOutcomeRow(row.job_id, row.status, row.start_time, row.end_time, row.worker_id) for row in ended]
    if meant.stand:
        writer.change_each("save_standing", stands)
    writer.change_each("return_input", [(now, row.job_id) for row in ended])
    return len(ended)
