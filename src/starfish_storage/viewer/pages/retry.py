"""Running again what the table of a run shows: its inputs go back to pending, and a command runs them.

The viewer runs no code of the user. It does what ``retry`` does before it calls the function; what is pending is then
run by the workers that the run has, or by ``resume``.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.datastructures import QueryParams
from starlette.responses import RedirectResponse, Response

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.models import GenerationMasterJob
from starfish_storage.statuses import EXECUTION_JOB_STATUSES
from starfish_storage.times import utc_now
from starfish_storage.viewer.pages.review_queue import Queue
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import record_page
from starfish_storage.viewer.table_state import state_of
from starfish_storage.viewer.words import link
from starfish_storage.wording import number_of

LONGEST_RESET = 2.0
"""Seconds after which a reset ends, and the page says how to go on."""
LONGEST_LOOK = 0.2
"""Seconds for which is counted what would be reset."""

_UNFINISHED = ("pending", "running")
_ENDED = [one for one in EXECUTION_JOB_STATUSES if one not in _UNFINISHED]


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found of the records that a table shows.

    Attributes:
        inputs: how many inputs they came of.
        stopped: the record at which the look has ended; None if it came to an end.
    """

    inputs: int
    stopped: str | None


async def retry_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return what is to be run again, and the form that does it; afterwards, what was done and what goes on."""
    queue = Queue.of(parameters)
    job = await _job(sheet, queue)
    ledger = sheet.storage.ledger
    now = await ledger.now()
    done = _number(parameters.get("reset"))
    return await sheet.page(
        "retry.html",
        queue=queue,
        job=job,
        shown=None if done is not None else await _look(sheet, queue, parameters.get("after") or None),
        done=done,
        after=parameters.get("after") or None,
        is_alive=any(one.lease_expires > now for one in await ledger.list_workers(job.master_job_id)),
        resume=sheet.command("resume", job.master_job_id),
        inputs=await ledger.count_inputs(job.master_job_id),
    )


async def reset_shown(sheet: Sheet, form: QueryParams) -> Response:
    """Return the inputs of the records that the table shows to pending. What came of them stays until then."""
    queue = Queue.of(form)
    job = await _job(sheet, queue)
    ledger, run = sheet.storage.ledger, job.master_job_id
    until = time.monotonic() + LONGEST_RESET
    number, stopped = _number(form.get("so_far")) or 0, None
    async for job_ids, place in _pages(sheet, queue, form.get("after") or None):
        number += await ledger.reset_inputs(run, _ENDED, job_ids=job_ids) if job_ids else 0
        if place is not None and time.monotonic() > until:
            stopped = place
            break
    if stopped is None and number:
        await ledger.note_action("retry", "run", run, number_of(number, "input"))
    await _reopen(sheet, run)
    address = link("/retry", queue.to_parameters(reset=number, after=stopped))
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


async def _reopen(sheet: Sheet, run: str) -> None:
    """Say that a run that had ended has not: `resume` is for those that have something to do."""
    job = await sheet.storage.get_master_job(run)
    waiting = (await sheet.storage.ledger.count_inputs(run)).get("pending")
    if job is not None and waiting and job.status not in _UNFINISHED:
        await sheet.storage.update_master_job_status(run, "pending", utc_now())


async def _look(sheet: Sheet, queue: Queue, after: str | None) -> Shown:
    until = time.monotonic() + LONGEST_LOOK
    number = 0
    async for job_ids, place in _pages(sheet, queue, after):
        number += len(job_ids)
        if place is not None and time.monotonic() > until:
            return Shown(number, place)
    return Shown(number, None)


async def _pages(sheet: Sheet, queue: Queue, after: str | None) -> AsyncGenerator[tuple[Sequence[str], str | None]]:
    """Yield the inputs of each page of the table, and the record behind which the next one begins."""
    query = state_of(QueryParams([(name, one) for name, values in queue.state.items() for one in values])).query
    seen: set[str] = set()
    while True:
        page = await record_page(sheet.storage, replace(query, after=after))
        after = page.stopped or (page.lines[-1].uid if page.lines else None)
        has_more = after is not None and (page.following or page.stopped is not None)
        job_ids = list(dict.fromkeys(one.job_id for one in page.lines if one.job_id not in seen))
        seen = set(job_ids)  # the records of an input stand beside each other
        yield job_ids, after if has_more else None
        if not has_more:
            return


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 12 else None  # noqa: PLR2004 (digits)


async def _job(sheet: Sheet, queue: Queue) -> GenerationMasterJob:
    """Return the run.

    Raises:
        InvalidInputError: the viewer only shows, or the run has no function that could be called again.
    """
    run = queue.master_job_id
    if sheet.reviewer is None:
        raise InvalidInputError(
            f"this viewer only shows. Start it again with: {sheet.command('view', '--review')}, or use: "
            f"{sheet.command('retry', run)}"
        )
    job = await sheet.storage.get_master_job(run)
    if job is None:
        raise NotFoundError("run", run, "it may have been deleted; the first page lists all runs")
    if await sheet.storage.ledger.get_run(run) is None:
        raise InvalidInputError(f"master job {run!r} was not started by generate(), so it cannot be run again.")
    config = await sheet.storage.get_request_config(job.request_config_ref)
    if "import" in config and "function" not in config:
        raise InvalidInputError(f"run {run!r} was imported: there is no function to run again.")
    return job
