"""The page of a run: how far it is, who works on it, what has failed, what it is made of, and what to do next."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from starfish_storage.errors import NotFoundError, StorageError
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import RunProgress, limit_name
from starfish_storage.runs.calls import notes_text
from starfish_storage.runs.segment_history import newest, stretches
from starfish_storage.viewer.gathering import WaitingTime
from starfish_storage.viewer.json_tree import Room, tree_of
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.plots import plots_of, rows_of, timeline_json

_MOST_SEGMENTS = 10
_MOST_ACTIONS = 20


async def run_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page of the run that ``id`` names."""
    ledger, patience = sheet.storage.ledger, WaitingTime()
    progress = await _run(sheet, parameters)
    job = progress.job
    segments, earlier = newest(stretches(await ledger.list_segments(job.master_job_id)), _MOST_SEGMENTS)
    config, problem = await _config(sheet, job)
    room = Room()
    shown = await _progress(sheet, progress, patience)
    return await sheet.page(
        "run.html",
        **shown,
        timeline=await sheet.numbers.timeline(progress, "records" if progress.state is None else "attempts", patience),
        errors=await sheet.numbers.errors(progress, patience),
        steps=await sheet.numbers.steps(progress, patience),
        plots_of=plots_of,
        rows_of=rows_of,
        actions=await ledger.list_actions(target=job.master_job_id, limit=_MOST_ACTIONS),
        segments=segments,
        earlier_segments=earlier,
        config=None if config is None else tree_of(config, room),
        config_problem=problem,
        limit=await ledger.get_limit(limit_name(job.master_job_id, config or {})),
        schema=tree_of(job.output_schema, room),
        summary=None if job.summary is None else tree_of(job.summary, room),
        reviews=await sheet.storage.annotations.count(job.master_job_id),
        commands=_commands(sheet, shown["run"].progress),
    )


async def run_progress(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the part of the page that changes while the run goes on."""
    progress = await _run(sheet, parameters)
    return await sheet.page("run_progress.html", **await _progress(sheet, progress, WaitingTime()))


async def run_timeline(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return what the run did over time as JSON, for the plots."""
    progress = await _run(sheet, parameters)
    of = "records" if progress.state is None else "attempts"
    found = await sheet.numbers.timeline(progress, of, WaitingTime())
    return JSONResponse(timeline_json(found, is_over=progress.is_over))


async def _run(sheet: Sheet, parameters: QueryParams) -> RunProgress:
    given = parameters.get("id", "")
    job = await sheet.storage.get_master_job(given)
    if job is None:
        raise NotFoundError("run", given, "it may have been deleted; the first page lists all runs")
    (progress,) = await sheet.storage.ledger.get_progress([job], with_inputs=False)
    return progress


async def _progress(sheet: Sheet, progress: RunProgress, patience: WaitingTime) -> dict[str, Any]:
    ledger = sheet.storage.ledger
    calls = await sheet.numbers.calls(progress, patience)
    return {
        "run": await sheet.numbers.counted(progress, patience),
        "workers": await ledger.list_workers(progress.job.master_job_id),
        "now": await ledger.now(),
        "calls": calls,
        "not_kept": None if calls is None else notes_text(calls.value.notes),
    }


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
    made = [status for status in ("completed", "filtered", "duplicate") if progress.records.get(status)]
    failed = progress.records.get("failed")
    if made or not failed:  # most of what failed has no data
        which = [word for one in made for word in ("--status", one)] if "completed" not in made else []
        commands["Export its records"] = sheet.command("export", run, "FILE.jsonl", *which)
    if failed:
        commands["List what failed"] = sheet.command("records", run, "--status", "failed")
    commands["Copy it into one file"] = sheet.command("archive", run, "FILE.zip")
    commands["Write it as pages to hand on"] = sheet.command("view", "--bundle", run, "DIRECTORY")
    return commands
