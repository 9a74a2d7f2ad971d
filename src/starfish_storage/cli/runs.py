"""``starfish-storage runs``: the runs of a store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

import click

from starfish_storage.cli.cells import on_one_line
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import example, one_of, with_json, with_limit, with_store
from starfish_storage.cli.output import say
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_view import show_runs
from starfish_storage.errors import NotFoundError
from starfish_storage.interface import ListedRun
from starfish_storage.statuses import MASTER_JOB_STATUSES


@click.command("runs", epilog=example("runs --project gsm8k --status running"))
@click.option("--project", metavar="ID", help="Only the runs of this project.")
@click.option("--status", multiple=True, type=one_of(MASTER_JOB_STATUSES), help="Only in this status; repeatable.")
@with_limit("runs")
@with_json
@with_store
def runs_command(place: Place, project: str | None, status: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    runs, drains = asyncio.run(_runs(place, project, status, limit))
    shown = runs[:limit] if limit else runs
    show_runs(shown, as_json=as_json)
    for run, since in () if as_json else drains.items():  # there, each run says it
        what = "of this store" if run is None else f"of run {run}"
        words = ("drain", "--end") if run is None else ("drain", run, "--end")
        say(f"No input {what} is claimed since {on_one_line(since)}. End that with: {place.command(*words)}")
    if len(runs) > len(shown):
        say(f"There are more than {limit:,}; --limit 0 shows all.")


async def _runs(
    place: Place, project: str | None, status: tuple[str, ...], limit: int
) -> tuple[list[ListedRun], Mapping[str | None, datetime]]:
    async with reading(place) as storage:
        if project is not None and await storage.get_project(project) is None:
            raise NotFoundError("project", project, "'starfish-storage projects' lists all projects")
        found = await storage.ledger.list_runs(project, status, limit + 1 if limit else None)
        return found, await storage.ledger.list_drains()
