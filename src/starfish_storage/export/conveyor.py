"""The way of records from the store into a form: through all steps, and into the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from starfish_storage.errors import StorageError
from starfish_storage.export.forms import FormWriter, OnRows
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.report import ExportReport
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.interface.scanning import ScannedLines

_AT_ONCE = 500  # rows that are on the way: as many as a scan yields

PassOver = Callable[[str, StorageError], None]
"""Takes the uid of a record that is left out, and why; raises that if it ends the export."""


class ExportStoppedError(Exception):
    """The export was cancelled meanwhile."""


class Conveyor:
    """Steps in their order, with the writer behind the last. All but `stop` is called in the writing thread.

    Rows are handed on in batches, so memory is flat, however many rows a step makes of one.

    Args:
        steps: see `Reshaper`; one at least, behind which the limit is kept.
        writer: of the form.
        pass_over: called for each row that a step or the form leaves out.
        limit: the most rows that are written; None: all.

    Attributes:
        written: how many rows the form holds.
    """

    def __init__(
        self, steps: Sequence[Reshaper], writer: FormWriter, pass_over: PassOver, limit: int | None = None
    ) -> None:
        self._steps = steps
        self._writer = writer
        self._pass_over = pass_over
        self._limit = limit
        self._is_stopped = False
        self.written = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more is written."""
        return self.written == self._limit

    def add(self, records: Sequence[ExportedRecord]) -> None:
        """Send records through all steps, and write what comes of them."""
        self._hand_on(0, records)

    def add_lines(self, batch: ScannedLines) -> None:
        """Write records of which nothing but their data is wanted; at once, if no step has anything to do with it."""
        self._check()
        lines = b"".join(batch.lines)
        first_step = 0
        if self._limit is None and all(step.passes(lines) for step in self._steps):
            if self._writer.add_lines(lines):
                self.written += len(batch.lines)
                return
            first_step = len(self._steps)
        for start in range(0, len(batch.lines), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            records = zip(batch.record_uids[some], batch.lines[some], strict=True)
            self._hand_on(first_step, [ExportedRecord(uid, line, None) for uid, line in records])

    def finish(self, report: ExportReport, tell: OnRows) -> None:
        """Send through the rest what each step yields at its end, then write all that is not written yet.

        Args:
            report: takes what the steps have to say.
            tell: called with how many records are written of those that the form has put aside.
        """
        for number, step in enumerate(self._steps):
            if not self.is_full:
                self._send(number + 1, step.finish())
        for step in self._steps:
            step.note(report)
        self._writer.watch(lambda rows: (self._check(), tell(rows)))
        self._writer.finish()

    def stop(self) -> None:
        """Let whatever the writing thread is at end soon, with a `ExportStoppedError`. Called in any thread."""
        self._is_stopped = True

    def close(self) -> None:
        """Close the steps and the writer, however the export ended. Idempotent."""
        try:
            for step in self._steps:
                step.close()
        finally:
            self._writer.close()

    def _send(self, number: int, rows: Iterable[ExportedRecord | Refusal]) -> None:
        left = iter(rows)
        while not self.is_full and (some := list(islice(left, self._most()))):  # so no step is at what is not written
            self._leave_out(one for one in some if isinstance(one, Refusal))
            self._hand_on(number, [one for one in some if isinstance(one, ExportedRecord)])

    def _hand_on(self, number: int, records: Sequence[ExportedRecord]) -> None:
        """Give records to a step, or to the writer behind the last."""
        self._check()
        if number < len(self._steps):
            self._send(number + 1, self._steps[number].reshape(records))
            return
        refused = self._writer.add(records)
        self._leave_out(refused)
        self.written += len(records) - len(refused)

    def _most(self) -> int:
        """Return how many rows are handed on at a time: none beyond the limit, of which the form may refuse some."""
        return _AT_ONCE if self._limit is None else min(_AT_ONCE, self._limit - self.written)

    def _check(self) -> None:
        if self._is_stopped:
            raise ExportStoppedError

    def _leave_out(self, refused: Iterable[Refusal]) -> None:
        for uid, error in refused:
            self._pass_over(uid, error)
