"""The page of a run: how far it is, who works on it, what has failed, what it is made of, and what to do next."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response

from starfish_storage.errors import NotFoundError, StorageError
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs.segment_history import newest, stretches
from starfish_storage.viewer.json_tree import Room, tree_of
from starfish_storage.viewer.pages.run_progress import RunProgress, progress_of
from starfish_storage.viewer.pages.sheet import Sheet

_MOST_SEGMENTS = 10


async def run_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page of the run that ``id`` names."""
    job = await _job(sheet, parameters)
    storage, ledger, run = sheet.storage, sheet.storage.ledger, job.master_job_id
    progress = await progress_of(storage, job, with_rate=True)
    segments, earlier = newest(stretches(await ledger.list_segments(run)), _MOST_SEGMENTS)
    config, problem = await _config(sheet, job)
    room = Room()
    return await sheet.page(
        "run.html",
        **await _progress(sheet, progress),
        errors=await ledger.list_errors(run),
        segments=segments,
        earlier_segments=earlier,
        steps=await ledger.count_steps(run),
        config=None if config is None else tree_of(config, room),
        config_problem=problem,
        schema=tree_of(job.output_schema, room),
        summary=None if job.summary is None else tree_of(job.summary, room),
        commands=_commands(sheet, progress),
    )


async def run_progress(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the part of the page that changes while the run goes on."""
    progress = await progress_of(sheet.storage, await _job(sheet, parameters), with_rate=True)
    return await sheet.page("run_progress.html", **await _progress(sheet, progress))


async def _progress(sheet: Sheet, progress: RunProgress) -> dict[str, Any]:
    ledger, run = sheet.storage.ledger, progress.job.master_job_id
    return {
        "run": progress,
        "workers": await ledger.list_workers(run),
        "now": await ledger.now(),
        "calls": await ledger.count_calls(run),
    }


async def _job(sheet: Sheet, parameters: QueryParams) -> GenerationMasterJob:
    given = parameters.get("id", "")
    job = await sheet.storage.get_master_job(given)
    if job is None:
        raise NotFoundError("run", given, "it may have been deleted; the first page lists all runs")
    return job


async def _config(sheet: Sheet, job: GenerationMasterJob) -> tuple[dict[str, Any] | None, StorageError | None]:
    try:
        return await sheet.storage.get_request_config(job.request_config_ref), None
    except StorageError as error:
        return None, error  # the rest of the page is worth seeing


def _commands(sheet: Sheet, progress: RunProgress) -> dict[str, str]:
    run = progress.job.master_job_id
    commands: dict[str, str] = {}
    if progress.state is not None and not progress.is_over:
        commands["Watch it in a terminal"] = sheet.command("watch", run)
        commands["Continue it, if nobody works on it"] = sheet.command("resume", run)
    if progress.state is not None and (progress.inputs.get("failed") or progress.records.get("failed")):
        commands["Run again what failed"] = sheet.command("retry", run)
    commands["Export its records"] = sheet.command("export", run, "FILE.jsonl")
    commands["Copy it into one file"] = sheet.command("archive", run, "FILE.zip")
    return commands
