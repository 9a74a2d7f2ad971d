"""How `watch` shows a run: drawn in a terminal, and as plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from starfish_storage.cli.cells import STYLES, Cell, Money, on_one_line
from starfish_storage.cli.output import console
from starfish_storage.cli.run_view import RunView, how_to_go_on
from starfish_storage.statuses import COUNTED_STATUSES
from starfish_storage.wording import beginning

if TYPE_CHECKING:
    from rich.console import RenderableType

_SMOOTHING = 30.0  # seconds over which the rate is measured


class Pace:
    """How fast a run is, over the last looks at it."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, int]] = []

    def rate(self, done: int, now: float) -> float | None:
        """Return how many are done in a second; None while that is unknown.

        >>> pace = Pace()
        >>> pace.rate(10, 0.0), pace.rate(30, 10.0)
        (None, 2.0)
        """
        self._looks.append((now, done))
        while len(self._looks) > 2 and now - self._looks[1][0] >= _SMOOTHING:  # noqa: PLR2004 (one before, one now)
            del self._looks[0]
        begun, before = self._looks[0]
        return (done - before) / (now - begun) if now > begun and done >= before else None


class PlainLines:
    """Prints a line whenever something has changed."""

    def __init__(self) -> None:
        self._before: object = None
        self._pace = Pace()

    def show(self, view: RunView) -> None:
        """Print how a run stands, unless it stands as before."""
        rate = self._pace.rate(view.done, time.monotonic())
        now = (view.job.status, view.state, view.inputs, view.records, view.live_workers)
        if now != self._before:
            click.echo(f"{on_one_line(view.time)}\t{line_of(view, rate)}")
        self._before = now


def line_of(view: RunView, rate: float | None) -> str:
    """Return how a run stands, in a line."""
    parts = [f"{view.done} of {_total(view)} done"]
    parts += [f"{name} {on_one_line(cell)}" for name, cell in _numbers(view, rate).items() if cell]
    if view.is_deserted:
        parts.append(f"no worker is alive: {how_to_go_on(view)}")
    return f"{view.job.status}\t{', '.join(parts)}"


def _total(view: RunView) -> str:
    if view.total is not None:
        return str(view.total)
    return "?" if view.state is None else f"{view.state.registered} and more"


def _numbers(view: RunView, rate: float | None) -> dict[str, Cell]:
    records, state = view.records, view.state
    numbers: dict[str, Cell] = {"in flight": view.inputs.get("running", 0)}
    numbers |= {status: records.get(status, 0) for status in COUNTED_STATUSES}
    if state is not None:
        numbers |= {"cost": Money(state.cost), "workers": view.live_workers}
    if rate and not view.is_over:
        numbers["a second"] = round(rate, 1)
        if view.total is not None:
            numbers["left"] = _duration((view.total - view.done) / rate)
    if view.failure is not None and not view.is_over:
        count, what = view.failure.inputs, view.failure.example or view.failure.kind
        numbers["mostly"] = f"{'once' if count == 1 else f'{count:,} times'} {beginning(what)}"
    if state is not None and view.paused_until is not None:
        numbers["paused until"] = f"{on_one_line(view.paused_until)} ({beginning(state.pause_reason or 'a limit')})"
    if state is not None and state.drained_since is not None and not view.is_over:
        numbers["claims nothing since"] = f"{on_one_line(state.drained_since)} (drain)"
    if state is not None and state.stop_reason is not None:
        numbers["stopping" if not view.is_over else "stopped"] = state.stop_reason
    return numbers


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Drawing:
    """Draws a run in a terminal, over what was drawn before."""

    def __init__(self) -> None:
        from rich.live import Live

        self._pace = Pace()
        self._live = Live(console=console(), auto_refresh=False)

    def __enter__(self) -> Self:
        """Begin with the first look: an error before it leaves nothing on the screen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the last picture, and the terminal as it was."""
        self._live.stop()

    def show(self, view: RunView) -> None:
        """Draw how a run stands."""
        if not self._live.is_started:
            self._live.start()
        picture = drawn(view, self._pace.rate(view.done, time.monotonic()))
        self._live.update(picture, refresh=True)


def drawn(view: RunView, rate: float | None) -> RenderableType:
    """Return the picture of a run."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    title = Text.assemble(
        (view.job.master_job_id, "bold"), "  ", (view.job.status, STYLES[view.job.status]), f"  {view.job.name or ''}"
    )
    bar = Table.grid(padding=(0, 2, 0, 0))
    done = Text(f"{view.done} of {_total(view)}")
    # Without a total the bar pulses, which it would in a still picture too.
    total = view.total if view.total is not None else max(view.done, 1) if view.is_over else None
    bar.add_row(ProgressBar(total=total, completed=view.done, width=40), done)
    numbers = Text("   ").join(
        Text.assemble((f"{name} ", "dim"), (on_one_line(cell), STYLES.get(name, "")))
        for name, cell in _numbers(view, rate).items()
        if cell
    )
    lines: list[RenderableType] = [title, bar, numbers]
    if view.is_deserted:
        lines.append(Text(f"No worker is alive: {how_to_go_on(view)}", "yellow"))
    return Group(*lines)
