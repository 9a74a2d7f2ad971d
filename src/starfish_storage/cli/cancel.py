"""``starfish-storage cancel``: stop a run from outside."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_run, with_store
from starfish_storage.cli.output import say
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run


@click.command("cancel", epilog=example("cancel last --reason 'wrong prompt'"))
@with_run
@click.option("--reason", default="cancelled", show_default=True, help="The reason that the run shows.")
@with_store
def cancel_command(place: Place, run: str, reason: str) -> None:
    """Ask all workers of a run to stop. Calls in flight end, and no new ones start."""
    run_id = asyncio.run(_cancel(place, run, reason))
    say(f"Asked run {run_id} to stop. See it stop: {place.command('watch', run_id)}")


async def _cancel(place: Place, run: str, reason: str) -> str:
    from starfish_storage.generation import cancel

    async with existing(place) as storage:
        job = await find_run(storage, run)
        await cancel(storage, job.master_job_id, reason)
        return job.master_job_id
