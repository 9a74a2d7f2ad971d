"""How far a long command is, told on the standard error stream: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from starfish_storage.cli.output import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SECONDS_BETWEEN_LINES = 10.0


class Counter:
    """A context that tells how many of how many are done.

    Args:
        what: is done, such as ``"records exported"``.
        quiet: tell nothing.
    """

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        """Draw the bar, if somebody looks at it."""
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._what, total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar: what came of it all is said in another place."""
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int | None) -> None:
        """Tell how far it is; called as often as one likes."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
            return
        now = time.monotonic()
        if self._quiet or now - self._told < _SECONDS_BETWEEN_LINES:
            return
        self._told = now
        say(f"{done} of {total} {self._what}" if total is not None else f"{done} {self._what}")
