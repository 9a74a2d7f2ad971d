"""``starfish-storage cancel``: stop a run from outside."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_run, with_store_to_write
from starfish_storage.cli.output import say
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.run_view import view_of


@click.command("cancel", epilog=example("cancel last --reason 'wrong prompt'"))
@with_run
@click.option("--reason", default="cancelled", show_default=True, help="The reason that the run shows.")
@with_store_to_write
def cancel_command(place: Place, run: str, reason: str) -> None:
    """Ask all workers of a run to stop. Calls in flight end, and no new ones start."""
    run_id, was_over = asyncio.run(_cancel(place, run, reason))
    if was_over:
        say(f"Run {run_id} was cancelled already, and no worker is at it.")
    else:
        say(f"Asked run {run_id} to stop. See it stop: {place.command('watch', run_id)}")


async def _cancel(place: Place, run: str, reason: str) -> tuple[str, bool]:
    """Cancel a run; return its id, and whether it was cancelled before and has no workers."""
    from starfish_storage.generation import cancel

    async with existing(place) as storage:
        job = await find_run(storage, run)
        view = await view_of(place, storage, job.master_job_id)
        await cancel(storage, job.master_job_id, reason)
        return job.master_job_id, view is not None and view.is_over and not view.live_workers
