"""The table of the records of a run: filters, order and place stand in the URL. What it shows can be downloaded."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from starfish_storage.codec import decode, readable_text
from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.filtering import COMPARISONS, FACTS, MISSING, Sample, filter_records, on_one_line, value_of
from starfish_storage.interface import ScannedRecord
from starfish_storage.models import RECORD_STATUSES, GenerationMasterJob
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import LARGEST_COMPARED, PAGE, RecordPage, record_page
from starfish_storage.viewer.table_state import MOST_COLUMNS, TableState, number_of, state_of
from starfish_storage.viewer.words import file_name, link

_USUAL_COLUMNS = 6
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


async def records_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the table of the run that ``run`` names."""
    state = state_of(parameters)
    query = state.query
    job = await _job(sheet, state)
    page = await record_page(sheet.storage, query, state.columns)
    found = _fields_of(page, job.output_schema)
    counts = await sheet.storage.count_records_for_master_job(query.master_job_id)
    return await sheet.page(
        "records.html",
        job=job,
        query=query,
        page=page,
        accounts=await sheet.storage.ledger.account_for_inputs([one.job_id for one in page.lines]),
        columns=state.columns or found[:_USUAL_COLUMNS],
        fields=list(dict.fromkeys([*found, *state.columns]))[:MOST_COLUMNS],
        state=state.parameters,
        counts=counts,
        seen=number_of(parameters, "seen"),
        total=sum(count for status, count in counts.items() if status in (query.statuses or RECORD_STATUSES)),
        statuses=RECORD_STATUSES,
        comparisons=COMPARISONS,
        facts=FACTS,
        largest=LARGEST_COMPARED,
        commands=_commands(sheet, state),
        show_new=_show_new(state, page),
    )


async def records_download(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return all records that the table shows, on whatever page, as JSON Lines, or as CSV of the columns chosen.

    Records without data, and those whose data is lost or damaged, are left out. In constant memory.
    """
    state = state_of(parameters)
    form = parameters.get("form", "jsonl")
    if form not in _FORMS:
        raise InvalidInputError(f"form must be one of {', '.join(_FORMS)}.")
    job = await _job(sheet, state)
    query = state.query
    if form == "csv" and not state.columns:
        page = await record_page(sheet.storage, query)
        state = TableState(query, _fields_of(page, job.output_schema))
    batches = filter_records(
        sheet.storage,
        query.master_job_id,
        query.every_condition,
        query.statuses or None,
        sample=Sample(PAGE, query.seed) if query.order == "random" else None,
        newest_first=query.order == "newest",
    )
    media_type, write = _FORMS[form]
    headers = {"Content-Disposition": f'attachment; filename="{file_name(query.master_job_id)}.{form}"'}
    return StreamingResponse(write(batches, state), media_type=media_type, headers=headers)


async def _json_lines(batches: AsyncGenerator[list[ScannedRecord]], _: TableState) -> AsyncGenerator[bytes]:
    async with aclosing(batches):
        async for batch in batches:
            yield b"".join(on_one_line(record).payload or b"" for record in batch)


async def _csv(batches: AsyncGenerator[list[ScannedRecord]], state: TableState) -> AsyncGenerator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_csv_cell(one) for one in ("record_uid", "status", *state.columns)])
    async with aclosing(batches):
        async for batch in batches:
            for record in map(on_one_line, batch):
                if record.payload is not None:
                    data = decode(record.payload)
                    values = (value_of(data, column) for column in state.columns)
                    writer.writerow(map(_csv_cell, (record.record_uid, record.status, *values)))
            yield text.getvalue().encode("utf-8", "backslashreplace")
            text.seek(0)
            text.truncate()


_FORMS = {"jsonl": ("application/jsonl", _json_lines), "csv": ("text/csv; charset=utf-8", _csv)}


def _csv_cell(value: object) -> str:
    """Return a value as a cell of CSV; text that a spreadsheet would take for a formula gets an apostrophe."""
    if value is MISSING or value is None:
        return ""
    if not isinstance(value, str):
        return readable_text(value)
    return f"'{value}" if value.startswith(_FORMULAS) else value


async def _job(sheet: Sheet, state: TableState) -> GenerationMasterJob:
    run = state.query.master_job_id
    job = await sheet.storage.get_master_job(run)
    if job is None:
        raise NotFoundError("run", run, "it may have been deleted; the first page lists all runs")
    return job


def _commands(sheet: Sheet, state: TableState) -> dict[str, str]:
    """Return the commands about the records that the table shows. Where it shows all, export has to be told so."""
    run = state.query.master_job_id
    every = [] if state.query.statuses else ["--all-statuses"]
    listed = sheet.command("records", run, *state.words)
    return {"Export them": sheet.command("export", run, "FILE.jsonl", *every, *state.words), "List them": listed}


def _show_new(state: TableState, page: RecordPage) -> str:
    """Return where new records are: at the end of the last page, or on the first one of the newest."""
    query = state.query
    if query.order == "oldest" and not page.following and page.stopped is None:
        return link("/records", state.parameters, after=query.after, before=query.before)
    return link("/records", state.parameters | {"order": "newest", "seed": None})


def _fields_of(page: RecordPage, schema: dict[str, Any]) -> Sequence[str]:
    """Return the fields that the table can show: those of the schema, then those of the records."""
    properties = schema.get("properties")
    fields = dict.fromkeys(cast("dict[str, object]", properties) if isinstance(properties, dict) else ())
    for line in page.lines:
        fields |= dict.fromkeys(line.fields)
    return list(fields)[:MOST_COLUMNS]
