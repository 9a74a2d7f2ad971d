"""``starfish-storage watch``: watch a run, of this process or others, until it ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_run, with_store
from starfish_storage.cli.output import is_terminal, show_json_line
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.run_view import RunView, view_of
from starfish_storage.cli.watching import Drawing, PlainLines
from starfish_storage.errors import NotFoundError

_Show = Callable[[RunView], None]


@click.command("watch", epilog=example("watch last"))
@with_run
@click.option(
    "--interval", type=click.FloatRange(min=0.05), default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="Look once, without waiting for the end.")
@with_json
@with_store
def watch_command(place: Place, run: str, interval: float, once: bool, as_json: bool) -> int:
    """Watch a run until it ends: live in a terminal, elsewhere as a line for each change.

    The exit status is 0 if the run completed, 1 if it ended with failures, and 3 if it was stopped. With --once it is 0
    while the run goes on.
    """
    if as_json:
        return asyncio.run(_watch(place, run, interval, show_json_line, once=once))
    if not is_terminal():
        return asyncio.run(_watch(place, run, interval, PlainLines().show, once=once))
    with Drawing() as drawing:
        return asyncio.run(_watch(place, run, interval, drawing.show, once=once))


async def _watch(place: Place, run: str, interval: float, show: _Show, *, once: bool) -> int:
    async with reading(place) as storage, _terminated() as terminated:
        job = await find_run(storage, run)
        while True:
            view = await view_of(place, storage, job.master_job_id)
            if view is None:
                raise NotFoundError("run", job.master_job_id, "it has been deleted meanwhile")
            show(view)
            if view.is_over:
                return exit_codes.of_run(view.job.status)
            if once:
                return exit_codes.DONE
            try:
                await asyncio.wait_for(terminated.wait(), interval)
            except TimeoutError:
                continue
            return exit_codes.TERMINATED


@asynccontextmanager
async def _terminated() -> AsyncGenerator[asyncio.Event]:
    """Give an event that SIGTERM sets, so that the terminal is left as it was found."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def came(_number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(event.set)

    before = signal.signal(signal.SIGTERM, came)  # not the loop's `add_signal_handler`, which only POSIX has
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)
