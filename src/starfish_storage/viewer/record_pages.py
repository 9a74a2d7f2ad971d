"""Pages of the records of a run: they begin where the last one ended, and end when they are full or time is up.

Oldest first, a page never moves while a run writes: what is new comes at the end. That is why it is the usual order.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import SEE_DAMAGE, InvalidInputError, NotFoundError, StorageError, StoreDamagedError
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.models import Record
from starfish_storage.viewer.field_filter import FieldFilter
from starfish_storage.viewer.words import cell

PAGE = 50
"""Records of a page."""
LONGEST_LOOK = 0.2
"""Seconds after which a page that is not full ends, and says how to go on: filters are compared record by record."""

_MOST_FIELDS = 100
_BATCH = 100


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records of a run are shown, in which order, and from where on.

    Attributes:
        master_job_id: the run.
        statuses: in one of these; none: in any.
        error: whose error contains this, whatever its case.
        filters: what must be in the data.
        newest_first: the order.
        after: uid of the record behind which a page begins.
        before: uid of the record before which a page ends.
    """

    master_job_id: str
    statuses: Sequence[str] = ()
    error: str = ""
    filters: Sequence[FieldFilter] = ()
    newest_first: bool = False
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record in a table.

    Attributes:
        uid: its uid.
        job_id: the execution job that it came from.
        status: what became of it.
        ended: when its status was settled (UTC).
        error: what went wrong with it.
        fields: the fields of its data, each as a text that is cut.
        problem: why its data cannot be read.
    """

    uid: str
    job_id: str
    status: str
    ended: datetime
    error: str | None
    fields: Mapping[str, str]
    problem: str | None = None


@dataclass(slots=True)
class RecordPage:
    """A page of records.

    Attributes:
        lines: its records.
        following: whether there may be more behind the last one.
        preceding: whether there may be more before the first one.
        stopped: the uid at which the look ended before the page was full; None if it is full or there are no more.
        looked_at: how many records were compared.
    """

    lines: list[RecordLine] = field(default_factory=list[RecordLine])
    following: bool = False
    preceding: bool = False
    stopped: str | None = None
    looked_at: int = 0


_DataFound = tuple[Record | ScannedRecord, Mapping[str, Any] | None, StorageError | None]


async def record_page(storage: Storage, query: RecordQuery) -> RecordPage:
    """Read a page.

    Raises:
        NotFoundError: the record where it begins or ends is not in the run any more.
        InvalidInputError: it is to begin and to end somewhere.
        InvalidStatusError: a status is unknown.
    """
    if query.after is not None and query.before is not None:
        raise InvalidInputError("a page begins after a record, or ends before one; not both.")
    uid = query.before if query.after is None else query.after
    border = None if uid is None else await _border(storage, query.master_job_id, uid)
    backwards = query.before is not None
    newest_first = query.newest_first != backwards
    source = _newest_first(storage, query, border) if newest_first else _oldest_first(storage, query, border)
    page = await _filled(source, query)
    has_more = page.stopped is not None or len(page.lines) > PAGE
    page.lines = page.lines[:PAGE]
    if backwards:
        page.lines.reverse()
    page.preceding, page.following = (has_more, True) if backwards else (border is not None, has_more)
    return page


async def _filled(source: AsyncGenerator[_DataFound], query: RecordQuery) -> RecordPage:
    page = RecordPage()
    until = time.monotonic() + LONGEST_LOOK
    async with aclosing(source):
        async for record, data, problem in source:
            page.looked_at += 1
            if _fits(query, record, data):
                page.lines.append(_line(record, data, problem))
                if len(page.lines) > PAGE:
                    break
            if time.monotonic() > until:
                page.stopped = record.record_uid
                break
    return page


def _fits(query: RecordQuery, record: Record | ScannedRecord, data: Mapping[str, Any] | None) -> bool:
    if query.error and query.error.casefold() not in (record.error_message or "").casefold():
        return False
    return all(one.fits(data) for one in query.filters)


def _line(record: Record | ScannedRecord, data: Mapping[str, Any] | None, problem: StorageError | None) -> RecordLine:
    ended = record.end_time if isinstance(record.end_time, datetime) else datetime.fromisoformat(record.end_time)
    fields = {name: cell(value) for name, value in islice((data or {}).items(), _MOST_FIELDS)}
    return RecordLine(
        record.record_uid,
        record.job_id,
        record.status,
        ended,
        record.error_message,
        fields,
        None if problem is None else str(problem),
    )


async def _border(storage: Storage, master_job_id: str, uid: str) -> Record:
    record = await storage.get_record_metadata(uid)
    if record is None or record.master_job_id != master_job_id:
        raise NotFoundError("record", uid, "it is not in this run any more; begin at the first page")
    return record


async def _oldest_first(storage: Storage, query: RecordQuery, after: Record | None) -> AsyncGenerator[_DataFound]:
    begin = None if after is None else _scanned(after)
    batches = storage.scan_records(query.master_job_id, query.statuses or None, after=begin, batch_size=_BATCH)
    async for batch in batches:
        for one in batch:
            yield _decoded(one)


def _decoded(record: ScannedRecord) -> _DataFound:
    data: object = None
    if record.payload is not None:
        try:
            data = decode(record.payload)
        except (ValueError, RecursionError):
            pass  # as data in a store of Starfish, which has no digests, may be
        if not isinstance(data, dict):
            return (
                record,
                None,
                StoreDamagedError(f"data of record {record.record_uid!r}", f"it is not JSON; {SEE_DAMAGE}"),
            )
    return record, cast("dict[str, Any] | None", data), record.error


async def _newest_first(storage: Storage, query: RecordQuery, after: Record | None) -> AsyncGenerator[_DataFound]:
    waiting: list[Record] = []
    records = storage.iter_records(query.master_job_id, query.statuses or None, after=after, batch_size=_BATCH)
    async for record in records:
        waiting.append(record)
        if len(waiting) == _BATCH:
            for found in await _with_data(storage, waiting):
                yield found
            waiting = []
    for found in await _with_data(storage, waiting):
        yield found


async def _with_data(storage: Storage, records: Sequence[Record]) -> list[_DataFound]:
    """Return records with their data. One that cannot be read carries its error, and the others are read."""
    refs = [one.output_ref for one in records if one.output_ref is not None]
    try:
        data = iter(await storage.get_records_data(refs))
        return [(one, None if one.output_ref is None else next(data), None) for one in records]
    except StorageError:
        return [await _one_with_data(storage, one) for one in records]


async def _one_with_data(storage: Storage, record: Record) -> _DataFound:
    try:
        return record, None if record.output_ref is None else await storage.get_record_data(record.output_ref), None
    except StorageError as error:
        return record, None, error


def _scanned(record: Record) -> ScannedRecord:
    """Return a record as the place where a scan begins."""
    start, end, changed = (
        one.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        for one in (record.start_time, record.end_time, record.last_update_time)
    )
    return ScannedRecord(
        record.record_uid,
        record.job_id,
        record.master_job_id,
        record.status,
        record.output_ref,
        start,
        end,
        changed,
        record.error_message,
        None,
        None,
        None,
    )


async def neighbours(storage: Storage, record: Record) -> tuple[str | None, str | None]:
    """Return the uids of the records of the run before and after one, by the time they were made."""
    older = storage.iter_records(record.master_job_id, after=record, batch_size=1)
    newer = storage.scan_records(record.master_job_id, after=_scanned(record), batch_size=1)
    previous = await anext(aiter(older), None)
    following = await anext(aiter(newer), None)
    return None if previous is None else previous.record_uid, following[0].record_uid if following else None
