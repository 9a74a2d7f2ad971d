"""``starfish-storage show``: the project, run, input or record with an id."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from starfish_storage.cli.json_form import as_json as json_of
from starfish_storage.cli.opening import reading
from starfish_storage.cli.options import RunName, example, with_full, with_json, with_store
from starfish_storage.cli.output import show_fields, show_json, show_list, show_title
from starfish_storage.cli.place import Place
from starfish_storage.cli.record import JobView, RecordView, job_view, record_view, show_origin, show_record, text_shown
from starfish_storage.cli.records import RECORD_COLUMNS, record_cells
from starfish_storage.cli.run_lookup import find_run
from starfish_storage.cli.run_view import RunView, fields_of, run_as_json, show_runs, view_of
from starfish_storage.cli.segments import segments_as_json, show_segments
from starfish_storage.cli.timeline_view import timeline_as_json, timeline_of
from starfish_storage.cli.workers import show_workers
from starfish_storage.errors import NotFoundError, StorageError
from starfish_storage.interface import ListedRun, Storage
from starfish_storage.models import Project, Record
from starfish_storage.runs import CallLimit, limit_name

_RUNS_OF_PROJECT = 20


@dataclass(frozen=True, slots=True)
class _ProjectView:
    project: Project
    runs: Sequence[ListedRun]

    def to_json(self) -> dict[str, Any]:
        return {"project": json_of(self.project), "master_jobs": [run_as_json(run) for run in self.runs]}


@dataclass(frozen=True, slots=True)
class _ExecutionJobView:
    view: JobView
    records: Sequence[Record]

    def to_json(self) -> dict[str, Any]:
        return self.view.to_json() | {"records": json_of(self.records)}


_View = _ProjectView | RunView | _ExecutionJobView | RecordView
_KINDS = {_ProjectView: "project", RunView: "master_job", _ExecutionJobView: "execution_job", RecordView: "record"}


@click.command("show", epilog=example("show last"))
@click.argument("id", type=RunName(), metavar="ID")
@with_full
@with_json
@with_store
def show_command(place: Place, id: str, full: bool, as_json: bool) -> None:
    """Show the project, run, input or record that has this ID.

    For a run, the beginning of its id is enough, or `last` for the newest.
    """
    view = asyncio.run(_find(place, id))
    if as_json:
        more: dict[str, Any] = {}
        if isinstance(view, RunView) and view.timeline is not None:
            more = {"segments": segments_as_json(view.segments), "timeline": timeline_as_json(view.timeline)}
            more |= {"annotations": json_of(view.annotations), "limit": json_of(view.limit)}
        show_json({"kind": _KINDS[type(view)]} | view.to_json() | more)
    elif isinstance(view, _ProjectView):
        _show_project(view)
    elif isinstance(view, RunView):
        show_fields(fields_of(view) | {"annotations": str(view.annotations) or None})
        show_workers(view)
        show_segments(view.segments)
    elif isinstance(view, _ExecutionJobView):
        _show_execution_job(view, full=full)
    else:
        show_record(view, full=full)


async def _find(place: Place, id: str) -> _View:
    async with reading(place) as storage:
        project = await storage.get_project(id)
        if project is not None:
            return _ProjectView(project, await storage.ledger.list_runs(id, limit=_RUNS_OF_PROJECT))
        job = await storage.get_execution_job(id)
        if job is not None:
            records = await storage.list_record_metadata(job.master_job_id, job.job_id)
            return _ExecutionJobView(await job_view(storage, job), records)
        record = await storage.get_record_metadata(id)
        if record is not None:
            return await record_view(storage, record, is_copy=place.is_archive)
        return await _run(place, storage, id)


async def _run(place: Place, storage: Storage, id: str) -> RunView:
    run = await find_run(storage, id, "project, run, input or record")
    view = await view_of(place, storage, run.master_job_id)
    if view is None:
        raise NotFoundError("run", run.master_job_id, "it has just been deleted")
    segments = await storage.ledger.list_segments(run.master_job_id)
    counts = await storage.annotations.count(run.master_job_id)
    timeline, limit = await timeline_of(storage, view), await _limit(storage, view)
    return replace(view, segments=segments, timeline=timeline, annotations=counts, limit=limit)


async def _limit(storage: Storage, view: RunView) -> CallLimit | None:
    """Return the limit of a run's calls; None if it has none, or its configuration is lost.

    That is read only where there are limits to choose from: it may lie in a bucket that does not answer.
    """
    if view.state is None:
        return None
    own = await storage.ledger.get_limit(limit_name(view.job.master_job_id, {}))
    if own is not None or not await storage.ledger.list_limits():
        return own
    try:
        config = await storage.get_request_config(view.job.request_config_ref)
    except StorageError:
        return None  # `verify` tells about lost data
    return await storage.ledger.get_limit(limit_name(view.job.master_job_id, config))


def _show_project(view: _ProjectView) -> None:
    project = view.project
    show_fields(
        {
            "project": project.project_id,
            "name": project.name,
            "description": project.description,
            "created": project.created_when,
            "updated": project.updated_when,
        }
    )
    if view.runs:
        show_title("Newest runs")
        show_runs(view.runs)


def _show_execution_job(view: _ExecutionJobView, *, full: bool) -> None:
    job = view.view.job
    show_fields(
        {
            "input": job.job_id,
            "run": job.master_job_id,
            "status": job.status,
            "error": text_shown(job.error_message, full=full),
            "attempts": job.attempted_generations,
            "created": job.creation_time,
            "started": job.start_time,
            "ended": job.end_time,
            "worker": job.worker_id,
        }
    )
    if view.records:
        show_title("Records")
        show_list(RECORD_COLUMNS, view.records, record_cells)
    show_origin(view.view, full=full)
