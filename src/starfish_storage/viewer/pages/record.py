"""The page of a record: its data as what it is, where it came from, what it cost, and what it was before."""

from __future__ import annotations

import difflib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from starfish_storage.codec import readable_text
from starfish_storage.errors import DataTooLargeError, InvalidInputError, NotFoundError, StorageError
from starfish_storage.filtering import fitting
from starfish_storage.interface import DataPlace, Storage
from starfish_storage.models import Record
from starfish_storage.runs import RecordedCall, Step, holding
from starfish_storage.viewer.blocks import DataBlock, blocks_of
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import neighbours, scanned
from starfish_storage.viewer.table_state import state_of
from starfish_storage.viewer.words import file_name

_MOST_CALLS = 50
_MOST_COMPARED = 200_000  # characters of each of two versions
_MOST_DIFFERENCES = 2000  # lines
LARGEST_SHOWN = 4_000_000
"""Bytes of the largest data that a page lays out; of what is larger it shows the beginning."""
_BEGINNING = 20_000  # bytes
_NEW_LINE = re.compile(r"(?<!\\)((?:\\\\)*\\n)")


@dataclass(frozen=True, slots=True)
class ShownData:
    """The data of a record on its page.

    Attributes:
        data: it, if it can be read and laid out.
        problem: why it cannot be read.
        size: its bytes; None if they are not known.
        beginning: of data that is too large to be laid out.
    """

    data: dict[str, Any] | None = None
    problem: StorageError | None = None
    size: int | None = None
    beginning: str | None = None


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A recorded request with its answer, or a reply to a named step.

    Attributes:
        step: the stored reply.
        seconds: how long the answer took; None if that is not known.
        http_status: of the answer; None for a named step.
        asked: what was asked; none if that was not kept.
        answered: what came back.
        problem: why it cannot be read.
    """

    step: Step
    seconds: float | None = None
    http_status: int | None = None
    asked: Sequence[DataBlock] = ()
    answered: Sequence[DataBlock] = ()
    problem: StorageError | None = None


async def record_page(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the page of the record that ``uid`` names, or of its ``version``; beside the table that it stands in."""
    record, storage, ledger = await _record(sheet, parameters), sheet.storage, sheet.storage.ledger
    state = state_of(parameters).of_run(record.master_job_id)
    number, against = _version(parameters, "version"), _version(parameters, "against")
    shown = await _data(sheet, record, number)
    job = await storage.get_execution_job(record.job_id)
    calls = await ledger.list_calls(record.job_id)
    versions = await ledger.list_versions(record.record_uid)
    previous, following = await neighbours(storage, state.query, record)
    room = Room()
    return await sheet.page(
        "record.html",
        record=record,
        number=number,
        against=against,
        blocks=() if shown.data is None else blocks_of(shown.data, room),
        shown=shown,
        place=await _place(storage, record) if number is None else None,
        job=job,
        input=() if job is None or job.run_config is None else blocks_of(job.run_config, room),
        attempts=await ledger.list_attempts(record.job_id),
        calls=[_shown(one, room) for one in islice(calls, _MOST_CALLS)],
        number_of_calls=len(calls),
        segment=(await ledger.find_segments([record.record_uid])).get(record.record_uid),
        versions=versions,
        differences=await _differences(sheet, record, shown.data, number, against),
        state=state.parameters,
        previous=previous,
        following=following,
        said=holding(await storage.annotations.list([record.record_uid])),
        commands=await _commands(sheet, record),
    )


async def record_data(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the data of a record as it is stored, whatever its size: it is read and sent in pieces."""
    record, number = await _record(sheet, parameters), _version(parameters, "version")
    if number is not None:
        version = await sheet.storage.ledger.get_version_data(record.record_uid, number)
        return _download(record, iter_of([readable_text(version, 2).encode("utf-8", "surrogatepass")]))
    if record.output_ref is None:
        raise NotFoundError("data of record", record.record_uid, f"a record that is {record.status} may have none")
    pieces = aiter(sheet.storage.iter_record_data(record.output_ref))
    first = await anext(pieces, b"")  # before the answer begins, so that a page can say what is wrong
    return _download(record, iter_of([first], pieces))


def _download(record: Record, pieces: AsyncIterator[bytes]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{file_name(record.record_uid)}.json"'}
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


async def iter_of(first: Iterable[bytes], rest: AsyncIterator[bytes] | None = None) -> AsyncGenerator[bytes]:
    """Yield pieces, and then the rest of them."""
    for piece in first:
        yield piece
    if rest is not None:
        async for piece in rest:
            yield piece


async def _record(sheet: Sheet, parameters: QueryParams) -> Record:
    uid = parameters.get("uid", "")
    record = await sheet.storage.get_record_metadata(uid)
    if record is None:
        raise NotFoundError("record", uid, "it may have been deleted; the first page lists all runs")
    return record


async def _place(storage: Storage, record: Record) -> DataPlace | None:
    try:
        return None if record.output_ref is None else await storage.locate_record_data(record.output_ref)
    except StorageError:
        return None  # its data cannot be read, which is shown


def _version(parameters: QueryParams, name: str) -> int | None:
    given = parameters.get(name)
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or len(given) > 9:  # noqa: PLR2004 (digits)
        raise InvalidInputError(f"{name} must be the number of a version.")
    return int(given)


async def _data(sheet: Sheet, record: Record, number: int | None) -> ShownData:
    """Return the data of a record; or why it cannot be read: what else is known of it is shown all the same.

    Raises:
        NotFoundError: it has no such version.
    """
    if number is None:
        return await current_data(sheet, record)
    try:
        return ShownData(await sheet.storage.ledger.get_version_data(record.record_uid, number))
    except StorageError as error:
        if type(error) is NotFoundError:
            raise
        return ShownData(problem=error)


async def current_data(sheet: Sheet, record: Record) -> ShownData:
    """Return the data of a record as it is now, or as much of it as a page can show."""
    async for looked in fitting(sheet.storage, [scanned(record)], (), largest=LARGEST_SHOWN):
        (found,) = looked.fits
        if not isinstance(found.problem, DataTooLargeError):
            length = None if found.record.payload is None else len(found.record.payload)
            return ShownData(found.data, found.problem, length)
        pieces = sheet.storage.iter_record_data(found.problem.path, chunk_size=_BEGINNING)
        beginning = await anext(aiter(pieces), b"")
        return ShownData(size=found.problem.size, beginning=beginning.decode("utf-8", "replace"))
    return ShownData()


def _shown(step: Step, room: Room) -> ShownCall:
    try:
        call = RecordedCall.of(step)
    except StorageError as error:
        return ShownCall(step, problem=error)
    asked = () if call.request is None else blocks_of(call.request, room)
    return ShownCall(step, call.seconds, call.http_status, asked, blocks_of(_answer(call.response), room))


def _answer(response: Any) -> Any:
    """Return the messages of an answer where it has some, in place of what surrounds them."""
    fields = cast("dict[str, Any]", response) if isinstance(response, dict) else {}
    choices = fields.get("choices")
    if not isinstance(choices, list):
        return cast("object", response)
    found = [cast("dict[str, Any]", one) for one in cast("list[object]", choices) if isinstance(one, dict)]
    messages = [one["message"] for one in found if one.get("message")]
    return {"message": messages} | {name: value for name, value in fields.items() if name != "choices"}


async def _differences(
    sheet: Sheet, record: Record, data: dict[str, Any] | None, number: int | None, against: int | None
) -> list[str] | None:
    """Return the lines in which a version differs from another, or from the current output.

    None if there is nothing to compare, or it is too large for that.
    """
    if data is None or (number is None and against is None):
        return None
    other = (await _data(sheet, record, against)).data
    if other is None:
        return None
    old, new = (readable_text(one, 2) for one in (data, other))
    if max(len(old), len(new)) > _MOST_COMPARED:
        return None
    before, after = (f"version {one}" if one is not None else "current" for one in (number, against))
    lines = difflib.unified_diff(_lines(old), _lines(new), before, after, lineterm="")
    return list(islice(lines, _MOST_DIFFERENCES))


def _lines(text: str) -> list[str]:
    r"""Return the lines of readable JSON, with those within a text apart: one word that differs is not the whole text.

    >>> _lines('{"a": "one\\ntwo"}')
    ['{"a": "one\\n', '    two"}']
    """
    return [line for whole in text.splitlines() for line in _NEW_LINE.sub(r"\1\n    ", whole).split("\n")]


async def _commands(sheet: Sheet, record: Record) -> dict[str, str]:
    commands = {"Show it in a terminal": sheet.command("record", record.record_uid)}
    if await sheet.storage.ledger.get_run(record.master_job_id) is not None:
        again = ["--input", record.job_id, "--status", "completed", "--status", "failed", "--status", "filtered"]
        commands["Run its input again"] = sheet.command("retry", record.master_job_id, *again, "--replace", "always")
    return commands
