"""Pages of the records of a run: they begin where the last one ended, and end when they are full or time is up.

Oldest first, a page never moves while a run writes: what is new comes at the end. That is why it is the usual order.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, cast

from starfish_storage.errors import DataTooLargeError, InvalidInputError, NotFoundError
from starfish_storage.filtering import MISSING, Condition, Fitting, about_data_alone, fitting, value_of
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.models import Record
from starfish_storage.viewer.words import cell
from starfish_storage.wording import size

PAGE = 50
"""Records of a page."""
LONGEST_LOOK = 0.08
"""Seconds after which a page that is not full ends, and says how to go on: conditions are compared record by record."""
_LONGEST_LOOK_ASIDE = 0.04  # seconds
LARGEST_COMPARED = 4_000_000
"""Bytes of the largest data that conditions look into: a page is to take neither long nor much memory."""
LARGEST_IN_A_ROW = 1 << 19
"""Bytes of the largest data whose fields stand in a table."""

Order = Literal["oldest", "newest", "random"]

_MOST_FIELDS = 100
_BATCH = 100
_BATCH_OF_ROWS = 300  # where no data is read


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records of a run are shown, in which order, and from where on.

    Attributes:
        master_job_id: the run.
        statuses: in one of these; none: in any.
        error: whose error contains this, whatever its case.
        conditions: all of which a record fits.
        order: by the time when they were made, or that of a shuffle, whose first page is a sample.
        seed: of the shuffle.
        after: uid of the record behind which a page begins.
        before: uid of the record before which a page ends.
    """

    master_job_id: str
    statuses: Sequence[str] = ()
    error: str = ""
    conditions: Sequence[Condition] = ()
    order: Order = "oldest"
    seed: int = 0
    after: str | None = None
    before: str | None = None

    @property
    def every_condition(self) -> list[Condition]:
        """The conditions, with that about the error."""
        return [*([Condition("@error", "has", self.error)] if self.error else ()), *self.conditions]

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves out records of the run."""
        return bool(self.statuses or self.error or self.conditions)


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
        bytes: the size of its data; None if it has none, or it cannot be read.
        problem: why its data cannot be read, or is not shown here.
        numbers: which of the fields are numbers.
    """

    uid: str
    job_id: str
    status: str
    ended: datetime
    error: str | None
    fields: Mapping[str, str]
    bytes: int | None
    problem: str | None = None
    numbers: frozenset[str] = frozenset()


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


async def record_page(
    storage: Storage, query: RecordQuery, columns: Sequence[str] = (), most: int | None = None
) -> RecordPage:
    """Read a page.

    Args:
        storage: the store.
        query: which page.
        columns: fields within fields that lines are to have too.
        most: how many records; as many as a page has, if not given.

    Raises:
        NotFoundError: the record where it begins or ends is not in the run any more.
        InvalidInputError: it is to begin and to end somewhere.
        InvalidStatusError: a status is unknown.
    """
    if query.after is not None and query.before is not None:
        raise InvalidInputError("a page begins after a record, or ends before one; not both.")
    most = PAGE if most is None else most
    page, found = await _found(storage, query, most + 1, LONGEST_LOOK)
    has_more = page.stopped is not None or len(found) > most
    if len(found) == most:
        page.stopped = None  # it is full: whether more follow, the next page finds out
    page.lines = await _lines(storage, found[:most], columns)
    if query.before is not None:
        page.lines.reverse()
    is_first = query.after is None
    page.preceding, page.following = (has_more, True) if query.before is not None else (not is_first, has_more)
    return page


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What stands beside a record in a table.

    Attributes:
        uid: the next record that fits; None if there is none, or it was not found soon.
        stopped: the record at which the look for it has ended; None if it came to an end.
    """

    uid: str | None
    stopped: str | None


async def neighbours(storage: Storage, query: RecordQuery, record: Record) -> tuple[Neighbour, Neighbour]:
    """Return what stands before and after a record in the order of a query. Raises nothing of its own."""
    before = replace(query, before=record.record_uid, after=None)
    after = replace(query, after=record.record_uid, before=None)
    return await _neighbour(storage, before), await _neighbour(storage, after)


async def _neighbour(storage: Storage, query: RecordQuery) -> Neighbour:
    page, found = await _found(storage, query, 1, _LONGEST_LOOK_ASIDE)
    return Neighbour(found[0].record.record_uid if found else None, page.stopped)


async def _found(storage: Storage, query: RecordQuery, most: int, seconds: float) -> tuple[RecordPage, list[Fitting]]:
    """Return the next records that fit, away from where the query begins or ends, and how far the look went."""
    conditions, page, found = query.every_condition, RecordPage(), list[Fitting]()
    reads_data = any(one.fact in (None, "@length") for one in conditions)
    until = time.monotonic() + seconds
    batch_size = _BATCH if reads_data else _BATCH_OF_ROWS if conditions else most
    async with aclosing(await _scan(storage, query, batch_size)) as batches:
        async for batch in batches:
            before = page.looked_at
            are_read = about_data_alone(conditions)
            looks = fitting(storage, batch, conditions, largest=LARGEST_COMPARED, with_data=False, are_read=are_read)
            async for looked in looks:
                found += looked.fits
                page.looked_at = before + looked.count
                if len(found) >= most:
                    return page, found[:most]
                if time.monotonic() > until:
                    page.stopped = batch[looked.count - 1].record_uid
                    return page, found
    return page, found


async def _scan(storage: Storage, query: RecordQuery, batch_size: int) -> AsyncGenerator[list[ScannedRecord]]:
    uid = query.before if query.after is None else query.after
    backwards = query.before is not None
    scan = storage.scan_records(
        query.master_job_id,
        query.statuses or None,
        after=None if uid is None else scanned(await _border(storage, query.master_job_id, uid)),
        batch_size=batch_size,
        backwards=(query.order == "newest") != backwards,
        seed=query.seed if query.order == "random" else None,
        with_data=about_data_alone(query.every_condition),
        largest=LARGEST_COMPARED,
    )
    return cast("AsyncGenerator[list[ScannedRecord]]", scan)


async def _border(storage: Storage, master_job_id: str, uid: str) -> Record:
    record = await storage.get_record_metadata(uid)
    if record is None or record.master_job_id != master_job_id:
        raise NotFoundError("record", uid, "it is not in this run any more; begin at the first page")
    return record


async def _lines(storage: Storage, found: Sequence[Fitting], columns: Sequence[str]) -> list[RecordLine]:
    """Return lines with the fields of the data, which is read for them alone."""
    records = [one.record._replace(payload=None, error=None) for one in found]
    lines: list[RecordLine] = []
    async for looked in fitting(storage, records, (), largest=LARGEST_IN_A_ROW):
        lines += [_line(one, columns) for one in looked.fits]
    return lines


def _line(found: Fitting, columns: Sequence[str]) -> RecordLine:
    record, data = found.record, found.data or {}
    values = dict(islice(data.items(), _MOST_FIELDS))
    for name in columns:
        if name not in values and (value := value_of(data, name)) is not MISSING:
            values[name] = value
    fields = {name: cell(value) for name, value in values.items()}
    numbers = frozenset(
        name for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)
    )
    problem, length = found.problem, None if record.payload is None else len(record.payload)
    if isinstance(problem, DataTooLargeError):
        length, told = problem.size, f"{size(problem.size)} of data: open the record to see it"
    else:
        told = None if problem is None else str(problem)
    ended = datetime.fromisoformat(record.end_time)
    return RecordLine(
        record.record_uid, record.job_id, record.status, ended, record.error_message, fields, length, told, numbers
    )


def scanned(record: Record) -> ScannedRecord:
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
