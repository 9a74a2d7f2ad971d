"""Runs side by side: a row for each input, in an order that all runs share, and what each run made of it.

The inputs of all runs come in the order of their digests, so they are merged like sorted lists: of each run, no more
than a portion is held, and a page begins where the last one ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from starfish_storage.codec import canonical_json
from starfish_storage.errors import DataTooLargeError, InvalidInputError, NotFoundError, StorageError
from starfish_storage.filtering import Fitting, fitting
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.runs import InputAccount, InputOfContent
from starfish_storage.viewer.matching import KeyedRun
from starfish_storage.viewer.record_pages import scanned

PAGE = 25
"""Rows of a page."""
LONGEST_LOOK = 0.2
"""Seconds after which a page that is not full ends, and says how to go on."""
LARGEST_COMPARED = 1 << 20
"""Bytes of the largest data that is read: fifty rows of it are in memory at a time."""
MOST_RUNS = 6

_PORTION = 100  # inputs that are read at a time of each run
_BATCH = 50  # rows whose data is in memory at a time
_UNFINISHED = ("pending", "running")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class ComparedOutcome:
    """What a run has made of an input.

    Attributes:
        job: the input in that run.
        records: its outputs, in order.
        data: the data of each; None where it has none, or it cannot be read.
        problem: why one cannot be read.
        account: what it cost.
    """

    job: InputOfContent
    records: Sequence[Record] = ()
    data: Sequence[dict[str, Any] | None] = ()
    problem: StorageError | None = None
    account: InputAccount | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it, or an output of it, failed."""
        return self.job.status == "failed" or any(one.status == "failed" for one in self.records)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.job.status not in _UNFINISHED

    @property
    def seconds(self) -> float | None:
        """How long its outputs took; None without any."""
        if not self.records:
            return None
        began, ended = (sorted(getattr(one, name) for one in self.records) for name in ("start_time", "end_time"))
        return (ended[-1] - began[0]).total_seconds()


@dataclass(slots=True)
class ComparedRow:
    """An input, and what each run has made of it.

    Attributes:
        outcomes: one for each run, in their order; None of a run that does not have the input.
        differs: whether runs that are done with it have made different things of it.
    """

    outcomes: Sequence[ComparedOutcome | None]
    differs: bool = False

    @property
    def there(self) -> list[ComparedOutcome]:
        """The outcomes that there are."""
        return [one for one in self.outcomes if one is not None]

    @property
    def has_failed(self) -> bool:
        """Whether one of the runs failed at it."""
        return any(one.has_failed for one in self.there)

    @property
    def position(self) -> tuple[bool, int]:
        """Where it stands among the inputs of the first run that has it, for sorting."""
        found = next((one.job.position for one in self.there if one.job.position is not None), None)
        return found is None, found or 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which rows of which runs are shown, and from where on.

    Attributes:
        runs: ids of the runs.
        only: ``different``, ``failed``, or empty for all rows.
        after: of each run, the id of the last execution job before the page; empty: it begins with the first. If they
            are matched by a field, the uid of a record.
        field: what records are matched by in place of their inputs; empty: by their inputs.
    """

    runs: Sequence[str]
    only: str = ""
    after: Sequence[str] = ()
    field: str = ""


@dataclass(slots=True)
class ComparedPage:
    """A page of rows.

    Attributes:
        rows: the rows.
        after: where the next page begins, as in `Comparison`; None: there are no more.
        looked_at: how many rows were compared.
        is_full: whether it ended because it was full.
    """

    rows: list[ComparedRow] = field(default_factory=list[ComparedRow])
    after: list[str] | None = None
    looked_at: int = 0
    is_full: bool = False


async def compared_page(
    storage: Storage, comparison: Comparison, keyed: Sequence[KeyedRun] | None = None
) -> ComparedPage:
    """Read a page.

    Args:
        storage: the store.
        comparison: which page.
        keyed: the records of each run by a field, if they are to be matched by that and not by their inputs.

    Raises:
        NotFoundError: an input where it is to begin is not there any more.
        InvalidInputError: the places are not those of these runs.
    """
    streams = await _streams(storage, comparison) if keyed is None else _keyed_streams(comparison, keyed)
    page = ComparedPage()
    until = time.monotonic() + LONGEST_LOOK
    while True:
        rows = [row for _ in range(min(_BATCH, PAGE - len(page.rows))) if (row := await _next_row(streams))]
        if not rows:
            break
        await _find_records(storage, rows, by_uid=keyed is not None)
        await _read(storage, rows)
        page.looked_at += len(rows)
        page.rows += [row for row in rows if _is_shown(row, comparison.only)]
        page.is_full = len(page.rows) >= PAGE
        if page.is_full or time.monotonic() > until:
            page.after = [one.place for one in streams] if await _has_more(streams) else None
            break
    await _account(storage, page.rows)
    page.rows.sort(key=lambda row: row.position)  # what fits on one page stands in the order of the first run
    return page


class _InputsInOrder:
    """The inputs of a run, in the order of their digests."""

    def __init__(self, storage: Storage, master_job_id: str, after: InputOfContent | None) -> None:
        self._storage = storage
        self._run = master_job_id
        self._last = after  # read, perhaps not taken
        self._waiting: list[InputOfContent] = []
        self._has_ended = False
        self.place = "" if after is None else after.job_id

    async def first(self) -> InputOfContent | None:
        """Return the next input that is not taken; None if there are no more."""
        while not self._waiting and not self._has_ended:
            found = await self._storage.ledger.list_inputs_by_content(self._run, after=self._last, limit=_PORTION)
            self._has_ended = len(found) < _PORTION
            self._last = found[-1] if found else self._last
            self._waiting = [one for one in reversed(found) if one.status != "cancelled"]  # gone from the list
        return self._waiting[-1] if self._waiting else None

    def take(self) -> InputOfContent:
        """Take it."""
        taken = self._waiting.pop()
        self.place = taken.job_id
        return taken


class _RecordsInOrder:
    """The records of a run by a field, in the order of its digests. Each stands for an input; its uid for the job."""

    def __init__(self, keyed: KeyedRun, after: str) -> None:
        self._records = keyed.records
        self._next = 0
        self.place = after
        if after:
            places = [number for number, one in enumerate(keyed.records, 1) if one.uid == after]
            if not places:
                raise NotFoundError("record", after, "it is not in this run any more; begin at the first page")
            self._next = places[0]

    async def first(self) -> InputOfContent | None:
        """Return the next record that is not taken; None if there are no more."""
        if self._next >= len(self._records):
            return None
        digest, uid = self._records[self._next]
        return InputOfContent(uid, None, "completed", digest, _LONG_AGO)

    def take(self) -> InputOfContent:
        """Take it."""
        digest, uid = self._records[self._next]
        self._next += 1
        self.place = uid
        return InputOfContent(uid, None, "completed", digest, _LONG_AGO)


_InOrder = _InputsInOrder | _RecordsInOrder


def _keyed_streams(comparison: Comparison, keyed: Sequence[KeyedRun]) -> list[_InOrder]:
    return [_RecordsInOrder(one, place) for one, place in zip(keyed, _places(comparison), strict=True)]


def _places(comparison: Comparison) -> Sequence[str]:
    """Return where the page begins in each run.

    Raises:
        InvalidInputError: it is said for another number of runs.
    """
    places = comparison.after or [""] * len(comparison.runs)
    if len(places) != len(comparison.runs):
        raise InvalidInputError("a page of a comparison begins at one place in each run; begin at the first page.")
    return places


async def _streams(storage: Storage, comparison: Comparison) -> list[_InOrder]:
    return [
        _InputsInOrder(storage, run, await _place(storage, run, place) if place else None)
        for run, place in zip(comparison.runs, _places(comparison), strict=True)
    ]


async def _place(storage: Storage, run: str, job_id: str) -> InputOfContent:
    job = await storage.get_execution_job(job_id)
    if job is None or job.master_job_id != run or job.run_config_hash is None:
        raise NotFoundError("execution job", job_id, "it is not in this run any more; begin at the first page")
    return InputOfContent(job.job_id, None, job.status, job.run_config_hash, job.creation_time)


async def _next_row(streams: Sequence[_InOrder]) -> ComparedRow | None:
    """Return the next input with what it is called in each run: the n-th of equal ones belongs to the n-th."""
    heads = [await one.first() for one in streams]
    digests = [one.digest for one in heads if one is not None]
    if not digests:
        return None
    least = min(digests)
    return ComparedRow(
        [
            None if head is None or head.digest != least else ComparedOutcome(stream.take())
            for stream, head in zip(streams, heads, strict=True)
        ]
    )


async def _has_more(streams: Sequence[_InOrder]) -> bool:
    return any([await one.first() is not None for one in streams])


async def _find_records(storage: Storage, rows: Sequence[ComparedRow], *, by_uid: bool) -> None:
    outcomes = [one for row in rows for one in row.there]
    if by_uid:
        for one in outcomes:
            record = await storage.get_record_metadata(one.job.job_id)
            if record is not None:  # deleted meanwhile
                one.records = [record]
                one.job = replace(one.job, job_id=record.job_id, status=record.status)
        return
    records = await storage.ledger.list_outputs([one.job.job_id for one in outcomes])
    for one in outcomes:
        one.records = [record for record in records.get(one.job.job_id, ()) if record.status != "cancelled"]


async def _read(storage: Storage, rows: Sequence[ComparedRow]) -> None:
    """Read the data of the outputs of rows, and compare it."""
    outcomes = [one for row in rows for one in row.there]
    records = [scanned(record) for one in outcomes for record in one.records]
    found: dict[str, Fitting] = {}
    async for looked in fitting(storage, records, (), largest=LARGEST_COMPARED):
        found |= {one.record.record_uid: one for one in looked.fits}
    for one in outcomes:
        read = [found[record.record_uid] for record in one.records]
        one.data = [each.data for each in read]
        one.problem = next((each.problem for each in read if each.problem is not None), None)
    await asyncio.to_thread(_compare, rows)  # what models wrote may be large, and others are not to wait


def _compare(rows: Sequence[ComparedRow]) -> None:
    for row in rows:
        made = [_canonical(one) for one in row.there if one.has_ended]
        row.differs = any(one != made[0] for one in made[1:])


def _canonical(outcome: ComparedOutcome) -> list[str | bytes]:
    """Return what is compared: the data of each output, whatever the order of its fields; its status without any.

    Of data that is too large to be read for this, the size.
    """
    unread = f"{outcome.problem.size} bytes" if isinstance(outcome.problem, DataTooLargeError) else ""
    return [
        f"{record.status} {unread}" if data is None else canonical_json(data, "a record")
        for record, data in zip(outcome.records, outcome.data, strict=True)
    ]


def _is_shown(row: ComparedRow, only: str) -> bool:
    if only == "failed":
        return row.has_failed
    return only != "different" or row.differs or row.has_failed


async def _account(storage: Storage, rows: Sequence[ComparedRow]) -> None:
    outcomes = [one for row in rows for one in row.there]
    accounts = await storage.ledger.account_for_inputs([one.job.job_id for one in outcomes])
    for one in outcomes:
        one.account = accounts.get(one.job.job_id)
