"""``starfish-storage runs``: the runs of a store."""

from __future__ import annotations

import asyncio

import click

from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, one_of, with_json, with_limit, with_store
from starfish_storage.cli.output import say
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_view import show_runs
from starfish_storage.errors import NotFoundError
from starfish_storage.interface import ListedRun
from starfish_storage.statuses import MASTER_JOB_STATUSES
from starfish_storage.wording import number_of


@click.command("runs", epilog=example("runs --project gsm8k --status running"))
@click.option("--project", metavar="ID", help="Only the runs of this project.")
@click.option("--status", multiple=True, type=one_of(MASTER_JOB_STATUSES), help="Only in this status; repeatable.")
@with_limit("runs")
@with_json
@with_store
def runs_command(place: Place, project: str | None, status: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    runs = asyncio.run(_runs(place, project, status, limit))
    shown = runs[:limit] if limit else runs
    show_runs(shown, as_json=as_json)
    if len(runs) > len(shown):
        say(f"There are more than {number_of(limit, 'run')}; --limit 0 shows all.")


async def _runs(place: Place, project: str | None, status: tuple[str, ...], limit: int) -> list[ListedRun]:
    async with reading(place) as storage:
        if project is not None and await storage.get_project(project) is None:
            raise NotFoundError("project", project, "'starfish-storage projects' lists all projects")
        return await storage.ledger.list_runs(project, status, limit + 1 if limit else None)
