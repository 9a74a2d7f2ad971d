"""Reviews: one record a page, what may be said of it, and what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import RedirectResponse, Response

from starfish_storage.errors import InvalidInputError, NotFoundError, RecordChangedError, StorageError
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.runs import Annotation, AnnotationKind, holding
from starfish_storage.viewer.blocks import blocks_of
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.pages.record import current_data
from starfish_storage.viewer.pages.review_queue import Queue, next_in
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.reviewed_json import json_of, shown_json
from starfish_storage.viewer.visitors import author_of, remember_author
from starfish_storage.viewer.words import link

LARGEST_EDIT = 2_000_000
"""Characters of JSON that can be edited in a browser."""

RATINGS = (1, 2, 3, 4, 5)

_MOST_LABELS = 50


async def review_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the record that ``at`` names, or lead to the next one that the reviewer has not judged."""
    queue, at = Queue.of(parameters), parameters.get("at")
    await _need_run(sheet, queue)
    author = _author(sheet)
    if author is None:
        return await author_page(sheet, parameters)
    if at is not None:
        return await _record_page(sheet, queue, await _record(sheet, queue, at))
    found = await next_in(sheet.storage, queue, author, parameters.get("after") or None)
    if found.uid is not None:
        return _to(queue, at=found.uid)
    return await sheet.page(
        "review_end.html", queue=queue, found=found, begun_at=parameters.get("after"), **await _counts(sheet, queue)
    )


async def author_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the form that asks a reviewer's name."""
    _need_reviewing(sheet)
    return await sheet.page("review_author.html", queue=Queue.of(parameters), at=parameters.get("at"))


async def edit_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the data of the record that ``at`` names, to be edited."""
    queue = Queue.of(parameters)
    if _author(sheet) is None:
        return await author_page(sheet, parameters)
    record = await _record(sheet, queue, parameters.get("at", ""))
    found = await current_data(sheet, record)
    if found.problem is not None:
        raise found.problem
    if found.data is None and found.size is None:
        raise NotFoundError("data of record", record.record_uid, f"a record that is {record.status} may have none")
    text = "" if found.data is None else await asyncio.to_thread(shown_json, found.data)
    if found.data is None or len(text) > LARGEST_EDIT:
        raise InvalidInputError(
            f"record {record.record_uid!r} has too much data to be edited in a browser; in Python, "
            "storage.annotations.edit_record takes any size."
        )
    return await _edit_form(sheet, queue, record, text)


async def save_author(sheet: Sheet, form: QueryParams) -> Response:
    """Keep the name of a reviewer in the browser."""
    _need_reviewing(sheet)
    author = author_of(form.get("author", ""))
    queue = Queue.of(form)
    response = _to(queue, at=form.get("at") or None)
    remember_author(response, author)
    return response


async def save_review(sheet: Sheet, form: QueryParams) -> Response:
    """Store what a form says of a record, and lead to the next one after a verdict, else to the same."""
    queue, author = Queue.of(form), _need_author(sheet)
    record = await _record(sheet, queue, form.get("at", ""))
    if not _is_as_seen(record, form):
        return await _record_page(sheet, queue, record, changed=True, given=dict(form))
    kind, value = _said(form)
    said = await sheet.storage.annotations.add(record.record_uid, kind, value, author=author)
    queue = queue.with_done(said)
    if kind == "verdict":
        return _to(queue, after=record.record_uid)
    return _to(queue, at=record.record_uid)


async def save_edit(sheet: Sheet, form: QueryParams) -> Response:
    """Give a record the data of a form, and keep what it had as a version."""
    queue, author = Queue.of(form), _need_author(sheet)
    record = await _record(sheet, queue, form.get("at", ""))
    text = form.get("data", "")
    try:
        said = await sheet.storage.annotations.edit_record(
            record.record_uid, await asyncio.to_thread(json_of, text), author=author, replaces=form.get("seen", "")
        )
    except (InvalidInputError, RecordChangedError) as error:
        return await _edit_form(sheet, queue, record, text, error, form.get("seen"))
    return _to(queue.with_done(said), at=record.record_uid)


async def undo_review(sheet: Sheet, form: QueryParams) -> Response:
    """Take back an annotation of the reviewer, and lead to its record."""
    queue, author = Queue.of(form), _need_author(sheet)
    withdrawn = await sheet.storage.annotations.withdraw(form.get("annotation", ""), author=author)
    return _to(queue.without(withdrawn), at=withdrawn.record_uid)


def _to(queue: Queue, **further: Any) -> Response:
    """Lead to a page by an address of its own: to load it again does nothing again."""
    return RedirectResponse(link("/review", queue.to_parameters(**further)), HTTPStatus.SEE_OTHER)


def _said(form: QueryParams) -> tuple[AnnotationKind, Any]:
    """Return what a form says: each of its buttons is a kind and a value."""
    if "verdict" in form:
        return "verdict", form["verdict"]
    if "rating" in form:
        if form["rating"] not in map(str, RATINGS):
            raise InvalidInputError(f"a rating is one of {', '.join(map(str, RATINGS))}.")
        return "rating", int(form["rating"])
    kind: AnnotationKind = "label" if "label" in form else "comment"
    text = form.get(kind, "").replace("\r\n", "\n").strip()
    if not text:
        raise InvalidInputError(f"the {kind} is empty; go back, and write one.")
    return kind, text


def _is_as_seen(record: Record, form: QueryParams) -> bool:
    return record.last_update_time.isoformat() == form.get("seen")


async def _record_page(
    sheet: Sheet, queue: Queue, record: Record, *, changed: bool = False, given: Mapping[str, str] | None = None
) -> Response:
    storage = sheet.storage
    shown = await current_data(sheet, record)
    job = await storage.get_execution_job(record.job_id)
    room = Room()
    annotations = await storage.annotations.list([record.record_uid])
    held = {one.annotation_id for one in holding(annotations)}
    author = _author(sheet)
    return await sheet.page(
        "review.html",
        HTTPStatus.CONFLICT if changed else HTTPStatus.OK,
        queue=queue,
        record=record,
        blocks=() if shown.data is None else blocks_of(shown.data, room),
        shown=shown,
        input=() if job is None or job.run_config is None else blocks_of(job.run_config, room),
        own=[one for one in annotations if one.author == author and one.annotation_id in held],
        others=[one for one in annotations if one.author != author and one.annotation_id in held],
        last=await _last(storage, queue),
        ratings=RATINGS,
        changed=changed,
        given=given or {},
        **await _counts(sheet, queue),
    )


async def _edit_form(
    sheet: Sheet,
    queue: Queue,
    record: Record,
    text: str,
    problem: StorageError | None = None,
    seen: str | None = None,
) -> Response:
    is_changed = isinstance(problem, RecordChangedError)
    status = HTTPStatus.OK if problem is None else HTTPStatus.CONFLICT if is_changed else HTTPStatus.BAD_REQUEST
    now = (await current_data(sheet, record)).data if is_changed else None
    return await sheet.page(
        "review_edit.html",
        status,
        queue=queue,
        record=record,
        text=text,
        problem=problem,
        now=() if now is None else blocks_of(now, Room()),
        # Who is told of the change, and saves again, means it; who is told of a comma does not know of a change yet.
        seen=record.last_update_time.isoformat() if seen is None or is_changed else seen,
    )


async def _last(storage: Storage, queue: Queue) -> Annotation | None:
    """Return what was said last, if it still holds."""
    if not queue.undo:
        return None
    annotation_id, _, uid = queue.undo[-1].partition(":")
    found = await storage.annotations.list([uid])
    return next((one for one in found if one.annotation_id == annotation_id and one.withdrawn is None), None)


async def _counts(sheet: Sheet, queue: Queue) -> dict[str, Any]:
    run = queue.master_job_id
    counts = await sheet.storage.annotations.count(run)
    records = await sheet.storage.count_records_for_master_job(run)
    return {
        "job": await sheet.storage.get_master_job(run),
        "counts": counts,
        "labels": sorted(counts.labels, key=lambda one: -counts.labels[one])[:_MOST_LABELS],  # to choose from
        "judged": counts.accepted + counts.rejected + counts.conflicting,
        "completed": records.get("completed", 0),
    }


def _need_reviewing(sheet: Sheet) -> None:
    if sheet.reviewer is None:
        raise InvalidInputError(
            f"this viewer only shows. To review, start it again with: {sheet.command('view', '--review')}"
        )


def _author(sheet: Sheet) -> str | None:
    """Return the name of the reviewer; None if it is to be asked."""
    _need_reviewing(sheet)
    return None if sheet.reviewer is None else sheet.reviewer.author


def _need_author(sheet: Sheet) -> str:
    author = _author(sheet)
    if author is None:
        raise InvalidInputError("nobody has said who reviews: give your name on the page of reviews.")
    return author


async def _need_run(sheet: Sheet, queue: Queue) -> None:
    _need_reviewing(sheet)
    if await sheet.storage.get_master_job(queue.master_job_id) is None:
        raise NotFoundError("run", queue.master_job_id, "it may have been deleted; the first page lists all runs")


async def _record(sheet: Sheet, queue: Queue, uid: str) -> Record:
    record = await sheet.storage.get_record_metadata(uid)
    if record is None or record.master_job_id != queue.master_job_id:
        raise NotFoundError("record", uid, "it is not in this run, or was deleted; begin the review again")
    return record
