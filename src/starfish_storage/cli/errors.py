"""``starfish-storage errors``: why inputs of a run failed, by kind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_run, with_store
from starfish_storage.cli.output import say, show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.tables import Column
from starfish_storage.runs import ErrorGroup, RunState

_COLUMNS = (
    Column("inputs"),
    Column("kind"),
    Column("example", whole=False),
    Column("input of the example", optional=True),
)


@click.command("errors", epilog=example("errors last"))
@with_run
@with_json
@with_store
def errors_command(place: Place, run: str, as_json: bool) -> None:
    """Count the failures of a run by kind, the most frequent first, with an example of each."""
    groups, state = asyncio.run(_errors(place, run))
    show_list(_COLUMNS, groups, _cells, as_json=as_json)
    if not groups and not as_json:
        say(_no_input(state))


async def _errors(place: Place, run: str) -> tuple[list[ErrorGroup], RunState | None]:
    async with reading(place) as storage:
        job = await find_run(storage, run)
        ledger = storage.ledger
        return await ledger.list_errors(job.master_job_id), await ledger.get_run(job.master_job_id)


def _no_input(state: RunState | None) -> str:
    """Return what to say of a run of which no input has failed to the end."""
    if state is None or not state.failed_attempts:
        return "No failures."
    attempts = "1 attempt" if state.failed_attempts == 1 else f"{state.failed_attempts:,} attempts"
    stopped = "" if state.stop_reason is None else f" The run stopped: {state.stop_reason}"
    return f"No input has failed for good, but {attempts} failed.{stopped}"


def _cells(group: ErrorGroup) -> Sequence[Cell]:
    return group.inputs, group.kind, group.example, group.job_id
