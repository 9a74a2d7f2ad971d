"""The progress of a run, and its display: a bar in a terminal, lines elsewhere, a call for programs."""

from __future__ import annotations

import inspect
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TextIO, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.notebooks import NotebookReporter, is_notebook
from starfish_storage.generation.tracebacks import traceback_text
from starfish_storage.interface import Storage
from starfish_storage.redaction import redact_error
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.wording import beginning, money, number_of

logger = get_logger(__name__)

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_DRAWINGS = 0.1
_KINDS = ("auto", "bar", "lines", "log", "quiet")


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run.

    Attributes:
        master_job_id: the run.
        total: how many inputs it has; None while that is unknown.
        done: finished inputs, those of earlier calls included.
        running: inputs in flight.
        completed: completed records.
        filtered: filtered records.
        duplicate: duplicate records.
        failed: failed records.
        failed_inputs: inputs that failed as a whole.
        done_before: inputs that were finished before this call.
        cost: the cost of the run, over all calls, in the currency that the caller reports.
        seconds: how long this call has run.
        most_frequent_failure: the failure that this worker met most often, and how often; None without failures.
        paused_until: when calls go on after a limit of the provider (UTC); None if they are not paused.
        pause_reason: why they are paused, or were last.
        waiting: attempts and replies that were paid for and that the store has not taken yet.
        waiting_since: since when the first of them waits (UTC); None if none does.
    """

    master_job_id: str
    total: int | None = None
    done: int = 0
    running: int = 0
    completed: int = 0
    filtered: int = 0
    duplicate: int = 0
    failed: int = 0
    failed_inputs: int = 0
    done_before: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    most_frequent_failure: tuple[str, int] | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    waiting: int = 0
    waiting_since: datetime | None = None

    @property
    def rate(self) -> float:
        """Inputs that this call has finished per second."""
        return (self.done - self.done_before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until all inputs are done at this rate; None if the rate or the total is unknown."""
        if self.total is None:
            return None
        if self.done >= self.total:
            return 0.0
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        """Return it as a line for people."""
        parts = [f"{_done(self)} inputs", *_figures(self)]
        return f"{self.master_job_id}: {', '.join(parts)}"


class Reporter(Protocol):
    """Shows the progress of a run. Its methods never raise, and are quick."""

    def begin(self, progress: Progress) -> None:
        """The run starts or resumes."""
        ...

    def update(self, progress: Progress) -> None:
        """The progress has changed. The run may call this as often as it likes."""
        ...

    def note(self, text: str) -> bool:
        """Show a text to whoever watches, also after the end, and return whether anybody does."""
        ...

    def end(self, progress: Progress) -> None:
        """The call ends, however the run ended. Idempotent."""
        ...


def reporter(
    kind: str | Callable[[Progress], object] = "auto",
    stream: TextIO | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Reporter:
    """Return a reporter of a run's progress.

    Args:
        kind: ``"bar"``; ``"lines"``: one at the start, at most every ten seconds, and at the end; ``"log"``: the same,
            logged; ``"quiet"``; ``"auto"``: one live line in a notebook, a bar if the stream is a terminal, else lines;
            or a function that is called with each `Progress`. Its errors are logged and do not stop the run.
        stream: where to write; by default the standard error stream.
        clock: returns seconds that never decrease.

    Raises:
        InvalidInputError: the kind is unknown.
    """
    if callable(kind):
        if inspect.iscoroutinefunction(kind):
            raise InvalidInputError("progress must be a plain function, not a coroutine function: nobody awaits it.")
        return _Calls(kind)
    if kind == "auto" and stream is None and is_notebook():
        return NotebookReporter(clock)
    if kind not in _KINDS:
        raise InvalidInputError(
            f"unknown kind of progress {shorten(kind)}; use {', '.join(map(repr, _KINDS))}, or a function."
        )
    target = cast("TextIO | None", sys.stderr) if stream is None else stream
    if kind == "log":
        return _Logged(target, clock)
    if kind == "quiet" or target is None:  # a windowed process has no standard error stream
        return _Quiet()
    if kind == "auto":
        kind = "bar" if target.isatty() and os.environ.get("TERM") not in ("dumb", "unknown") else "lines"
    return _Bar(target, clock) if kind == "bar" else _Lines(target, clock)


class _Quiet:
    def begin(self, progress: Progress) -> None:
        """See `Reporter.begin`."""

    def update(self, progress: Progress) -> None:
        """See `Reporter.update`."""

    def note(self, text: str) -> bool:  # noqa: ARG002 (that of all reporters)
        """See `Reporter.note`."""
        return False

    def end(self, progress: Progress) -> None:
        """See `Reporter.end`."""


class _Calls:
    def __init__(self, function: Callable[[Progress], object]) -> None:
        self._function = function
        self._has_failed = False

    def begin(self, progress: Progress) -> None:
        """See `Reporter.begin`."""
        self._call(progress)

    def update(self, progress: Progress) -> None:
        """See `Reporter.update`."""
        self._call(progress)

    def note(self, text: str) -> bool:  # noqa: ARG002 (that of all reporters)
        """See `Reporter.note`. A function only gets figures."""
        return False

    def end(self, progress: Progress) -> None:
        """See `Reporter.end`."""
        self._call(progress)

    def _call(self, progress: Progress) -> None:
        try:
            self._function(progress)
        except Exception as error:  # noqa: BLE001 (any code)
            if not self._has_failed:  # more would fill the log
                # Not with `exc_info`: what the user's code raises may quote a key.
                what = "the progress function failed; the run goes on, and later failures are not logged"
                logger.error("%s\n%s", what, redact_error(traceback_text(error)))  # noqa: TRY400
            self._has_failed = True


class _Lines:
    def __init__(self, stream: TextIO | None, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._last = clock()
        self._written = ""

    def begin(self, progress: Progress) -> None:
        """See `Reporter.begin`."""
        self._write(progress)

    def update(self, progress: Progress) -> None:
        """See `Reporter.update`."""
        if self._clock() - self._last >= _SECONDS_BETWEEN_LINES:
            self._write(progress)

    def note(self, text: str) -> bool:
        """See `Reporter.note`."""
        self._print(text)
        return True

    def end(self, progress: Progress) -> None:
        """See `Reporter.end`."""
        if str(progress) != self._written:
            self._write(progress)

    def _write(self, progress: Progress) -> None:
        self._last = self._clock()
        self._written = str(progress)
        self._print(self._written)

    def _print(self, text: str) -> None:
        try:
            print(text, file=self._stream, flush=True)
        except (OSError, ValueError) as error:  # whoever read it has gone
            logger.debug("could not write the progress: %s", type(error).__name__)


class _Logged(_Lines):
    """Logs what others print. A formatter finds the figures in the attribute ``progress`` of a record."""

    def note(self, text: str) -> bool:
        """See `Reporter.note`. Who warns logs it too, where nobody has shown it."""
        if not text.startswith("warning: "):
            logger.info("%s", text, extra={"event": "notice"})
        return False

    def _write(self, progress: Progress) -> None:
        self._last, self._written = self._clock(), str(progress)
        extra = {"event": "progress", "run": progress.master_job_id, "progress": progress}
        logger.info("%s", self._written, extra=extra)


class _Bar:
    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._last = clock()
        self._bar: Any = None
        self._task: Any = None

    def begin(self, progress: Progress) -> None:
        """See `Reporter.begin`."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        console = Console(file=self._stream)
        # When nobody reads any longer, `rich` would end the program.
        console.on_broken_pipe = lambda: setattr(console, "quiet", True)
        self._bar = RichProgress(
            BarColumn(bar_width=20),
            TextColumn("{task.fields[figures]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
            redirect_stdout=sys.stdout.isatty(),  # otherwise what is printed into a file would go to the terminal
        )
        self._task = self._bar.add_task("", total=progress.total, figures="")
        self._draw(progress)
        self._guarded(self._bar.start)

    def update(self, progress: Progress) -> None:
        """See `Reporter.update`."""
        if self._bar is not None and self._clock() - self._last >= _SECONDS_BETWEEN_DRAWINGS:
            self._draw(progress)

    def note(self, text: str) -> bool:
        """See `Reporter.note`. The text stands above the bar, or after it."""
        if self._bar is None:
            self._guarded(lambda: print(text, file=self._stream, flush=True))
        else:
            self._guarded(lambda: self._bar.console.print(text, markup=False, highlight=False))
        return True

    def end(self, progress: Progress) -> None:
        """See `Reporter.end`."""
        if self._bar is not None:
            self._draw(progress)
            self._guarded(self._bar.stop)
            self._bar = None

    def _draw(self, progress: Progress) -> None:
        self._last = self._clock()
        figures = "  ".join([_done(progress), *_figures(progress)])
        self._bar.update(self._task, total=progress.total, completed=progress.done, figures=figures)

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            logger.debug("could not draw the progress: %s", type(error).__name__)


def _done(progress: Progress) -> str:
    return f"{progress.done:,}" if progress.total is None else f"{progress.done:,}/{progress.total:,}"


def _figures(progress: Progress) -> list[str]:
    """Return the figures worth reading: those that are not zero."""
    figures = [f"{progress.rate:,.1f}/s"]
    if progress.eta_seconds:
        figures.append(f"ETA {timedelta(seconds=round(progress.eta_seconds))}")
    counts = (
        ("in flight", progress.running),
        ("filtered", progress.filtered),
        ("duplicate", progress.duplicate),
        ("failed", progress.failed),
        # An input that fails leaves a failed record: counted once, unless checks refused other outputs.
        ("failed inputs", progress.failed_inputs if progress.failed_inputs != progress.failed else 0),
    )
    figures += [f"{count:,} {name}" for name, count in counts if count]
    if progress.cost:
        figures.append(f"cost {money(progress.cost)}")
    failure, count = progress.most_frequent_failure or (None, 0)
    if failure is not None:
        figures.append(f"{'once' if count == 1 else f'{count:,} times'} {beginning(failure)}")
    if progress.paused_until is not None:
        until = f"paused until {progress.paused_until.astimezone():%H:%M:%S}"
        is_said = progress.pause_reason in (None, failure)
        figures.append(until if is_said else f"{until}: {beginning(progress.pause_reason or '')}")
    if progress.waiting_since is not None:
        since = progress.waiting_since.astimezone().strftime("%H:%M:%S")
        figures.append(f"{number_of(progress.waiting, 'result')} waiting for the store since {since}")
    return figures


OPEN = frozenset({"pending", "running"})
"""The statuses of unfinished inputs."""

_COUNTING_PAUSE = 50  # times as long as counting took: with many inputs, every worker of a run counts for long


def ended_of(inputs: Mapping[str, int]) -> int:
    """Return how many inputs have ended, of those that a run has: one that is cancelled is not among them any more.

    >>> ended_of({"completed": 2, "failed": 1, "pending": 4, "cancelled": 1})
    3
    """
    return sum(count for status, count in inputs.items() if status not in OPEN and status != "cancelled")


class LiveCounts:
    """The numbers of a run's inputs and records, as last counted.

    Args:
        storage: holds the run.
        master_job_id: the run.

    Attributes:
        inputs: the number of inputs in each status.
        records: the number of records in each status.
    """

    def __init__(self, storage: Storage, master_job_id: str) -> None:
        self._storage = storage
        self._master_job_id = master_job_id
        self._count_again = 0.0
        self.inputs: dict[str, int] = {}
        self.records: dict[str, int] = {}

    @property
    def done(self) -> int:
        """How many inputs have ended."""
        return ended_of(self.inputs)

    @property
    def total(self) -> int:
        """How many inputs there are."""
        return sum(self.inputs.values()) - self.inputs.get("cancelled", 0)

    async def refresh(self, *, exactly: bool = False) -> None:
        """Count again; inputs only if enough time has passed since the last count, or ``exactly`` asks for it."""
        began = time.monotonic()
        if exactly or began >= self._count_again:
            self.inputs = await self._storage.ledger.count_inputs(self._master_job_id)
            ended = time.monotonic()
            self._count_again = ended + _COUNTING_PAUSE * (ended - began)
        self.records = await self._storage.count_records_for_master_job(self._master_job_id)
