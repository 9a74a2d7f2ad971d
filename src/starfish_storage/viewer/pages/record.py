"""The page of a record: its data as what it is, where it came from, what it cost, and what it was before."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from starfish_storage.codec import readable_text
from starfish_storage.errors import InvalidInputError, NotFoundError, StorageError
from starfish_storage.models import Record
from starfish_storage.runs import RecordedCall, Step, holding
from starfish_storage.viewer.blocks import DataBlock, blocks_of
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.pages.sheet import Sheet
from starfish_storage.viewer.record_pages import neighbours

_MOST_CALLS = 50
_MOST_COMPARED = 200_000  # characters of each of two versions
_MOST_DIFFERENCES = 2000  # lines
_CHUNK = 1 << 16


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
    """Return the page of the record that ``uid`` names, or of its ``version``."""
    record, storage, ledger = await _record(sheet, parameters), sheet.storage, sheet.storage.ledger
    number = _version(parameters)
    data, problem = await _data(sheet, record, number)
    job = await storage.get_execution_job(record.job_id)
    calls = await ledger.list_calls(record.job_id)
    previous, following = await neighbours(storage, record)
    room = Room()
    return await sheet.page(
        "record.html",
        record=record,
        number=number,
        blocks=() if data is None else blocks_of(data, room),
        problem=problem,
        job=job,
        input=() if job is None or job.run_config is None else blocks_of(job.run_config, room),
        attempts=await ledger.list_attempts(record.job_id),
        calls=[_shown(one, room) for one in islice(calls, _MOST_CALLS)],
        number_of_calls=len(calls),
        segment=(await ledger.find_segments([record.record_uid])).get(record.record_uid),
        versions=await ledger.list_versions(record.record_uid),
        differences=None if number is None or data is None else await _differences(sheet, record, data),
        previous=previous,
        following=following,
        said=holding(await storage.annotations.list([record.record_uid])),
        commands=await _commands(sheet, record),
    )


async def record_data(sheet: Sheet, parameters: QueryParams) -> Response:
    """Return the data of a record as a file of JSON, whatever its size."""
    record = await _record(sheet, parameters)
    data, problem = await _data(sheet, record, _version(parameters))
    if problem is not None:
        raise problem
    if data is None:
        raise NotFoundError("data of record", record.record_uid, f"a record that is {record.status} may have none")
    text = readable_text(data, 2)
    name = "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in record.record_uid)

    async def chunks() -> AsyncGenerator[bytes]:
        for begin in range(0, len(text), _CHUNK):
            yield text[begin : begin + _CHUNK].encode("utf-8", "surrogatepass")

    headers = {"Content-Disposition": f'attachment; filename="{name}.json"'}
    return StreamingResponse(chunks(), media_type="application/json", headers=headers)


async def _record(sheet: Sheet, parameters: QueryParams) -> Record:
    uid = parameters.get("uid", "")
    record = await sheet.storage.get_record_metadata(uid)
    if record is None:
        raise NotFoundError("record", uid, "it may have been deleted; the first page lists all runs")
    return record


def _version(parameters: QueryParams) -> int | None:
    given = parameters.get("version")
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or len(given) > 9:  # noqa: PLR2004 (digits)
        raise InvalidInputError("version must be the number of a version.")
    return int(given)


async def _data(sheet: Sheet, record: Record, number: int | None) -> tuple[dict[str, Any] | None, StorageError | None]:
    """Return the data of a record; or why it cannot be read: what else is known of it is shown all the same.

    Raises:
        NotFoundError: it has no such version.
    """
    try:
        if number is not None:
            return await sheet.storage.ledger.get_version_data(record.record_uid, number), None
        return None if record.output_ref is None else await sheet.storage.get_record_data(record.output_ref), None
    except StorageError as error:
        if type(error) is NotFoundError:
            raise
        return None, error


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


async def _differences(sheet: Sheet, record: Record, data: dict[str, Any]) -> list[str] | None:
    """Return the lines in which a version differs from the current output; None if they are too large for that."""
    current, problem = await _data(sheet, record, None)
    if current is None or problem is not None:
        return None
    texts = [readable_text(one, 2) for one in (data, current)]
    if max(map(len, texts)) > _MOST_COMPARED:
        return None
    old, new = (one.splitlines() for one in texts)
    lines = difflib.unified_diff(old, new, "this version", "current", lineterm="")
    return list(islice(lines, _MOST_DIFFERENCES))


async def _commands(sheet: Sheet, record: Record) -> dict[str, str]:
    commands = {"Show it in a terminal": sheet.command("record", record.record_uid)}
    if await sheet.storage.ledger.get_run(record.master_job_id) is not None:
        again = ["--input", record.job_id, "--status", "completed", "--status", "failed", "--status", "filtered"]
        commands["Run its input again"] = sheet.command("retry", record.master_job_id, *again, "--replace", "always")
    return commands
