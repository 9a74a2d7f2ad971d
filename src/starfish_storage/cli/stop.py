"""``starfish-storage stop``: stop one worker of a run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_json, with_store_to_write
from starfish_storage.cli.output import say, show_json
from starfish_storage.cli.place import Place

if TYPE_CHECKING:
    from starfish_storage.runs import Worker


@click.command("stop", epilog=example("stop 3f2a"))
@click.argument("worker", metavar="WORKER")
@click.option("--reason", help="The reason that the worker shows [default: who stopped it].")
@with_json
@with_store_to_write
def stop_command(place: Place, worker: str, reason: str | None, as_json: bool) -> None:
    """Ask one WORKER to stop: it finishes what it has under way, and claims nothing more.

    The beginning of its id is enough; 'show RUN' lists the workers. Other workers of its run go on. The command that
    the worker runs in ends with status 3.
    """
    stopped = asyncio.run(_stop(place, worker, reason))
    if as_json:
        show_json(stopped)
    else:
        watch = place.command("watch", stopped.master_job_id)
        say(f"Asked worker {stopped.worker_id} of run {stopped.master_job_id} to stop. See it stop: {watch}")


async def _stop(place: Place, worker: str, reason: str | None) -> Worker:
    from starfish_storage.generation import stop_worker

    async with existing(place) as storage:
        return await stop_worker(storage, worker, reason)
