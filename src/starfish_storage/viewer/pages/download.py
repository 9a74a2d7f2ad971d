"""What the table of records shows, as a file: the whole run goes by, and memory holds one part of it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from starfish_storage.codec import decode, line_without_halves, readable_text
from starfish_storage.errors import DataTooLargeError, InvalidInputError, StorageError
from starfish_storage.filtering import MISSING, Sample, filter_records, on_one_line, value_of
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.spreadsheet_cells import harmless
from starfish_storage.surrogates import replaced
from starfish_storage.viewer.pages.records import fields_of, job_of
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import LARGEST_COMPARED, PAGE, RecordQuery, record_page
from starfish_storage.viewer.table_state import state_of
from starfish_storage.viewer.words import file_name

_PIECE = 1 << 18  # bytes that are sent at once, about
_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


async def records_download(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return all records that the table shows, as JSON Lines, or as CSV of the columns chosen.

    Records without data, and those whose data is lost or damaged, are left out.
    """
    state = state_of(parameters)
    form = parameters.get("form", "jsonl")
    if form not in _TYPES:
        raise InvalidInputError(f"form must be one of {', '.join(_TYPES)}.")
    job = await job_of(sheet, state)
    page = await record_page(sheet.storage, state.query)  # before the answer begins: then a page can say what is wrong
    if form == "jsonl":
        pieces = _json_lines(sheet.storage, state.query)
    else:
        columns = state.columns or fields_of(page, job.output_schema)
        pieces = _csv(sheet.storage, state.query, columns)
    headers = {"Content-Disposition": f'attachment; filename="{file_name(state.query.master_job_id)}.{form}"'}
    return StreamingResponse(pieces, media_type=_TYPES[form], headers=headers)


async def _json_lines(storage: Storage, query: RecordQuery) -> AsyncGenerator[bytes]:
    # Conditions about data need all of it; without any, large data is passed on in parts.
    about_data = any(one.fact in (None, "@length") for one in query.every_condition)
    waiting: list[bytes] = []
    size = 0
    async for record in _records(storage, query, None if about_data else LARGEST_COMPARED):
        if isinstance(record.error, DataTooLargeError):
            yield b"".join(waiting)
            waiting, size = [], 0
            async for part in _large_line(storage, record.error.path):
                yield part
        else:
            line, _ = line_without_halves(on_one_line(record).payload or b"")
            waiting.append(line)
            size += len(line)
        if size > _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


async def _large_line(storage: Storage, reference: str) -> AsyncGenerator[bytes]:
    """Yield data as a line. Between the values of JSON a new line is a blank, and within one there is none."""
    last = b""
    try:
        async for part in storage.iter_record_data(reference):
            yield last.replace(b"\n", b" ").replace(b"\r", b" ")
            last = part
    except StorageError:  # it was replaced meanwhile: what was sent is no JSON, and whoever reads it sees that
        pass
    yield last.rstrip().replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


async def _csv(storage: Storage, query: RecordQuery, columns: Iterable[str]) -> AsyncGenerator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(_cell, ("record_uid", "status", *columns)))
    async for record in _records(storage, query, None):
        payload = on_one_line(record).payload
        if payload is not None:
            data = decode(payload)
            writer.writerow(map(_cell, (record.record_uid, record.status, *(value_of(data, one) for one in columns))))
        if text.tell() > _PIECE:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    content = replaced(text.getvalue())[0].encode()
    text.seek(0)
    text.truncate()
    return content


async def _records(storage: Storage, query: RecordQuery, largest: int | None) -> AsyncGenerator[ScannedRecord]:
    batches = filter_records(
        storage,
        query.master_job_id,
        query.every_condition,
        query.statuses or None,
        sample=Sample(PAGE, query.seed) if query.order == "random" else None,
        newest_first=query.order == "newest",
        largest=largest,
    )
    async with aclosing(batches):
        async for batch in batches:
            for record in batch:
                yield record


def _cell(value: object) -> str:
    """Return a value as a cell of CSV, as an export writes it."""
    if value is MISSING or value is None:
        return ""
    if not isinstance(value, str):
        return readable_text(value)
    return harmless(value)
