"""``starfish-storage delete``: remove a run, or a project with its runs, for good."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from starfish_storage.cli.opening import existing, reading
from starfish_storage.cli.options import RunName, example, with_json, with_store
from starfish_storage.cli.output import say, show_json
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.wording import money, number_of

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Doomed:
    """What is to be deleted.

    Attributes:
        kind: "run" or "project".
        id: its id.
        name: how people call it; None without a name.
        runs: how many master jobs go; 1 for a run.
        inputs: how many execution jobs go with them.
        records: how many records.
        cost: what their attempts have cost, in the currency of their prices.
        live_workers: how many workers are at them now.
    """

    kind: str
    id: str
    name: str | None
    runs: int
    inputs: int
    records: int
    cost: float
    live_workers: int

    def __str__(self) -> str:
        named = f" ({self.name})" if self.name else ""
        runs = "" if self.kind == "run" else f"{number_of(self.runs, 'run')}, "
        rows = f"{number_of(self.inputs, 'input')} and {number_of(self.records, 'record')}"
        paid = f", for which {money(self.cost)} was paid" if self.cost else ""
        workers = f" {number_of(self.live_workers, 'worker')} at it will stop." if self.live_workers else ""
        return f"{self.kind} {self.id}{named} with {runs}{rows}{paid}.{workers}"

    def to_json(self, *, deleted: bool) -> dict[str, Any]:
        """Return what is printed with ``--json``."""
        return {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "runs": self.runs,
            "inputs": self.inputs,
            "records": self.records,
            "cost": self.cost,
            "live_workers": self.live_workers,
            "deleted": deleted,
        }


@click.command("delete", epilog=example("delete capitals-1 --dry-run"))
@click.argument("id", type=RunName(), metavar="RUN|PROJECT")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@with_json
@with_store
def delete_command(place: Place, id: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete a run with its inputs, records and data, or a project with all its runs.

    It goes in parts, so that others can go on writing. If it is interrupted, a part is left: run it again. What lies in
    packs keeps its space until `collect`.
    """
    place.refuse_archive()
    if not dry_run:
        place.refuse_writing()
    doomed = asyncio.run(_look(place, id))
    if not dry_run:
        if not yes:
            _ask(doomed)
        asyncio.run(_delete(place, doomed))
    if as_json:
        show_json(doomed.to_json(deleted=not dry_run))
    else:
        say(f"{'Would delete' if dry_run else 'Deleted'} {doomed}")


def _ask(doomed: _Doomed) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"This would delete {doomed} Run it again with --yes.")
    click.confirm(f"Delete {doomed} It cannot be undone. Go on?", abort=True, err=True)


async def _look(place: Place, id: str) -> _Doomed:
    async with reading(place) as storage:
        project = await storage.get_project(id)
        if project is None:
            run = await find_run(storage, id, "run or project")
            return await _counted(storage, "run", run.master_job_id, run.name, [run])
        runs: list[GenerationMasterJob] = []
        while page := await storage.list_master_jobs(id, limit=_PAGE, offset=len(runs)):
            runs += page
        return await _counted(storage, "project", project.project_id, project.name, runs)


async def _counted(
    storage: Storage, kind: str, id: str, name: str | None, runs: Sequence[GenerationMasterJob]
) -> _Doomed:
    ledger = storage.ledger
    inputs = records = workers = 0
    cost = 0.0
    now = await ledger.now()
    for progress in await ledger.get_progress(runs):
        inputs += sum(progress.inputs.values())
        records += sum(progress.records.values())
        cost += progress.state.cost if progress.state else 0
        workers += sum(worker.lease_expires > now for worker in await ledger.list_workers(progress.job.master_job_id))
    return _Doomed(kind, id, None if name == id else name, len(runs), inputs, records, cost, workers)


async def _delete(place: Place, doomed: _Doomed) -> None:
    async with existing(place) as storage:
        if doomed.kind == "run":
            await storage.delete_master_job(doomed.id)
        else:
            await storage.delete_project(doomed.id, cascade=True)
