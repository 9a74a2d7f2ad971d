"""``starfish-storage drain``: bring the workers of a store or of a run to rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from starfish_storage.cli import exit_codes
from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import RunName, example, with_json, with_store_to_write
from starfish_storage.cli.output import say, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.wording import number_of

if TYPE_CHECKING:
    from starfish_storage.generation.draining import Drained

_SHOWN = 3  # workers


@click.command("drain", epilog=example("drain --timeout 600"))
@click.argument("run", type=RunName(), metavar="[RUN]", required=False)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait for so long at most.")
@click.option("--end", is_flag=True, help="Have inputs claimed again.")
@with_json
@with_store_to_write
@click.pass_context
def drain_command(
    context: click.Context, place: Place, run: str | None, timeout: float | None, end: bool, as_json: bool
) -> None:
    """Have no new input claimed in the store, or of RUN alone, and wait until no worker is at one.

    Workers stay alive and claim nothing until 'drain --end' or 'migrate' ends it. Status 3 if time ran out before.
    """
    if end and timeout is not None:
        raise click.UsageError("--timeout is for the wait of a drain, and --end does not wait")
    drained = asyncio.run(_drain(place, run, timeout, end=end, quiet=as_json))
    if drained is None:
        say("Inputs are claimed again.")
        return
    if as_json:
        show_json({"since": drained.since, "is_done": drained.is_done, "working": list(drained.working)})
    if not drained.is_done:
        context.exit(exit_codes.STOPPED)


async def _drain(place: Place, run: str | None, timeout: float | None, *, end: bool, quiet: bool) -> Drained | None:  # noqa: ASYNC109 (see `drain`)
    from starfish_storage.generation.draining import drain, end_drain

    async with existing(place) as storage:
        run_id = None if run is None else (await find_run(storage, run)).master_job_id
        if end:
            await end_drain(storage, run_id)
            return None
        again = place.command("drain", *(() if run_id is None else (run_id,)), "--end")
        return await drain(storage, run_id, timeout=timeout, look=None if quiet else lambda now: _tell(now, again))


def _tell(drained: Drained, again: str) -> None:
    if drained.is_done:
        say(f"No worker is at an input, and none claims one. End that with 'migrate', or: {again}")
        return
    working = drained.working
    inputs = number_of(sum(one.inputs for one in working), "input")
    named = ", ".join(one.worker.worker_id for one in working[:_SHOWN]) + (", ..." if len(working) > _SHOWN else "")
    say(f"No input is claimed any more. {number_of(len(working), 'worker')} still at {inputs}: {named}")
