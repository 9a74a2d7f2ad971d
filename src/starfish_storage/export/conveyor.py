"""The way of records from the store into a form: through all steps, and into the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starfish_storage.errors import StorageError
from starfish_storage.export.forms import FormWriter
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.report import ExportReport
from starfish_storage.export.reshaping import Reshaper, batches

PassOver = Callable[[str, StorageError], None]
"""Takes the uid of a record that is left out, and why; raises that if it ends the export."""


class Conveyor:
    """Steps in their order, with the writer behind the last. All of its methods are called in the writing thread.

    Rows are handed on in batches, so memory is flat, however many rows a step makes of one.

    Args:
        steps: see `Reshaper`.
        writer: of the form.
        pass_over: called for each row that a step or the form leaves out.

    Attributes:
        written: how many rows the form holds.
    """

    def __init__(self, steps: Sequence[Reshaper], writer: FormWriter, pass_over: PassOver) -> None:
        self._steps = steps
        self._writer = writer
        self._pass_over = pass_over
        self.written = 0

    def add(self, records: Sequence[ExportedRecord]) -> None:
        """Send records through all steps, and write what comes of them."""
        self._hand_on(0, records)

    def finish(self, report: ExportReport) -> None:
        """Send through the rest what each step yields at its end, then write all that is not written yet."""
        for number, step in enumerate(self._steps):
            self._send(number + 1, step.finish())
        self._writer.finish()
        for step in self._steps:
            step.note(report)

    def close(self) -> None:
        """Close the steps and the writer, however the export ended. Idempotent."""
        try:
            for step in self._steps:
                step.close()
        finally:
            self._writer.close()

    def _send(self, number: int, rows: Iterable[ExportedRecord | Refusal]) -> None:
        for records, refused in batches(rows):
            self._leave_out(refused)
            self._hand_on(number, records)

    def _hand_on(self, number: int, records: Sequence[ExportedRecord]) -> None:
        """Give records to a step, or to the writer behind the last."""
        if number < len(self._steps):
            self._send(number + 1, self._steps[number].reshape(records))
            return
        refused = self._writer.add(records)
        self._leave_out(refused)
        self.written += len(records) - len(refused)

    def _leave_out(self, refused: Iterable[Refusal]) -> None:
        for uid, error in refused:
            self._pass_over(uid, error)
