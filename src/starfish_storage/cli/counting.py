"""Progress of a long command, on the standard error stream: a bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from starfish_storage.cli.log_lines import has_stderr_for_people
from starfish_storage.cli.output import say

_SECONDS_BETWEEN_LINES = 10.0


class Counting(Protocol):
    """Takes how many are done, and of how many. May be called as often as one likes."""

    def __call__(self, done: int, total: int | None, doing: str | None = None) -> None:
        """Show the progress; ``doing`` names a new activity."""
        ...


@contextmanager
def counted(
    doing: str, what: str = "records", *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
) -> Generator[Counting]:
    """Show how many are done, and of how many.

    Args:
        doing: the activity, such as ``"copying"``.
        what: the things that are counted.
        quiet: show nothing.
        clock: seconds that only grow.
    """
    if quiet or not has_stderr_for_people():
        yield _lines(doing, what, (lambda: 0.0) if quiet else clock)  # no time passes, and no line is due
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total, doing=None: bar.update(task, completed=done, total=total, description=doing)


def _lines(doing: str, what: str, clock: Callable[[], float]) -> Counting:
    last, title = clock(), doing

    def count(done: int, total: int | None, doing: str | None = None) -> None:
        nonlocal last, title
        title = doing or title
        if clock() - last >= _SECONDS_BETWEEN_LINES:
            last = clock()
            of = "" if total is None else f" of {total:,}"
            say(f"{title}: {done:,}{of} {what}")

    return count
