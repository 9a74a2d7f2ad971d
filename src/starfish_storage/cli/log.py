"""``starfish-storage log``: who did what to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, with_json, with_store
from starfish_storage.cli.output import say, show_list
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import LAST, find_run
from starfish_storage.cli.tables import Column
from starfish_storage.runs import Action

_COLUMNS = (
    Column("time"),
    Column("who"),
    Column("did"),
    Column("to"),
    Column("id", optional=True),
    Column("more", optional=True, whole=False),
)


@click.command("log", epilog=example("log last"))
@click.argument("id", required=False)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=20, show_default=True, help="Show N at most.")
@with_json
@with_store
def log_command(place: Place, id: str | None, limit: int, as_json: bool) -> None:
    """Show who cancelled, deleted, restored, migrated, drained, retried, stopped or limited what, the newest first.

    Given the ID of a run, project, record or worker, or the name of a limit, show what was done to that alone. What is
    deleted stays in the log.
    """
    found = asyncio.run(_actions(place, id, limit))
    show_list(_COLUMNS, found, _cells, as_json=as_json)
    if not found and not as_json:
        say("No actions.")


async def _actions(place: Place, id: str | None, limit: int) -> list[Action]:
    async with reading(place) as storage:
        target = id
        if id == LAST:
            target = (await find_run(storage, id)).master_job_id
        return await storage.ledger.list_actions(target=target, limit=limit)


def _cells(action: Action) -> Sequence[Cell]:
    return action.time, str(action.who), action.action, action.kind, action.target, action.detail
