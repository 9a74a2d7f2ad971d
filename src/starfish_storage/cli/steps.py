"""``starfish-storage steps``: the paid steps of a run, or those of one input with their replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from starfish_storage.cli.cells import Cell, Money
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_full, with_json, with_run, with_store
from starfish_storage.cli.output import say, show_json, show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.replies import show_steps
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column
from starfish_storage.errors import NotFoundError
from starfish_storage.runs import Step, StepTotal

_COLUMNS = (
    Column("step", whole=False),
    Column("kept"),
    Column("rejected"),
    Column("forgotten"),
    Column("tokens in", optional=True),
    Column("tokens out", optional=True),
    Column("cost"),
)


@click.command("steps", epilog=example("steps last"))
@with_run
@click.option("--input", "input_id", metavar="ID", help="Show the replies to the steps of this input instead.")
@with_full
@with_json
@with_store
def steps_command(place: Place, run: str, input_id: str | None, full: bool, as_json: bool) -> None:
    """Count the stored replies to the paid steps of a run by name, and what they cost.

    Kept replies are used again. The function, or a check, could not use rejected ones. Forgotten ones are not used
    again. With --input, a value over 2 KB is cut, unless --full or --json is given.
    """
    if input_id is not None:
        steps = asyncio.run(_replies(place, run, input_id))
        if as_json:
            show_json(steps)
        elif steps:
            show_steps(steps, full=full)
        else:
            say("This input has no steps.")
        return
    totals = asyncio.run(_totals(place, run))
    show_list(_COLUMNS, totals, _cells, as_json=as_json)
    if not totals and not as_json:
        say("No steps.")


async def _totals(place: Place, run: str) -> list[StepTotal]:
    async with reading(place) as storage:
        job = await find_run(storage, run)
        return await storage.ledger.count_steps(job.master_job_id)


async def _replies(place: Place, run: str, input_id: str) -> list[Step]:
    async with reading(place) as storage:
        run_id = (await find_run(storage, run)).master_job_id
        job = await storage.get_execution_job(input_id)
        if job is None or job.master_job_id != run_id:
            raise NotFoundError(
                "input", input_id, f"see the inputs that failed with: {place.command('errors', run_id)}"
            )
        return await storage.ledger.list_steps(input_id)


def _cells(total: StepTotal) -> Sequence[Cell]:
    return (
        total.name,
        total.kept,
        total.rejected,
        total.forgotten,
        total.input_tokens,
        total.output_tokens,
        Money(total.cost),
    )
