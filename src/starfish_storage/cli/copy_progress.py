"""How far a copy is, on the standard error stream: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from starfish_storage.cli.output import say

_LINE_SECONDS = 10.0

Progress = Callable[[int, int], None]


@contextmanager
def shown(title: str, clock: Callable[[], float] = time.monotonic) -> Generator[Progress]:
    """Show how many records have been gone through, and how many there are.

    Args:
        title: what is being done.
        clock: seconds that only grow.
    """
    if not sys.stderr.isatty():
        yield _lines(title, clock)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(title: str, clock: Callable[[], float]) -> Progress:
    last = clock()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if clock() - last >= _LINE_SECONDS:
            last = clock()
            say(f"{title}: {done:,} of {total:,} records")

    return progress
