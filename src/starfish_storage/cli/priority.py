"""``starfish-storage priority``: how much of a shared limit a run gets."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli.opening import existing
from starfish_storage.cli.options import example, with_json, with_run, with_store_to_write
from starfish_storage.cli.output import say, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run


@click.command("priority", epilog=example("priority last 3"))
@with_run
@click.argument("number", type=click.IntRange(1, 1000), metavar="N")
@with_json
@with_store_to_write
def priority_command(place: Place, run: str, number: int, as_json: bool) -> None:
    """Set the priority of a run to N, from 1 (the usual one) to 1000, also while it is under way.

    While several runs use one limit (--limit), a run of priority 3 makes three calls where one of 1 makes one.
    """
    run_id, before = asyncio.run(_set(place, run, number))
    if as_json:
        show_json({"master_job_id": run_id, "priority": number, "before": before})
    else:
        say(f"Run {run_id} has priority {number}; it was {before}.")


async def _set(place: Place, run: str, number: int) -> tuple[str, int]:
    from starfish_storage.generation import set_priority

    async with existing(place) as storage:
        job = await find_run(storage, run)
        return job.master_job_id, await set_priority(storage, job.master_job_id, number)
