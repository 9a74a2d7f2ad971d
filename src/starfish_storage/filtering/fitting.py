"""Choosing records by conditions, the cheap ones first: what the rows know, what was paid, then the data itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import SEE_DAMAGE, DataTooLargeError, InvalidInputError, StorageError, StoreDamagedError
from starfish_storage.filtering.condition import MISSING, Condition, conditions_of
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.runs import InputAccount, holding


@dataclass(frozen=True, slots=True)
class Sample:
    """A uniform sample: the first records, of those that fit, in the order of a shuffle.

    Attributes:
        size: how many records.
        seed: of the shuffle; the same seed gives the same sample, as long as no records come or go.
    """

    size: int
    seed: int = 0

    def checked(self) -> Sample:
        """Return the sample itself.

        Raises:
            InvalidInputError: its size is negative, or no number of records.
        """
        size = cast("object", self.size)
        if not isinstance(size, int) or isinstance(size, bool):
            raise InvalidInputError(f"a sample has a number of records, not {type(size).__name__}.")
        if self.size < 0:
            raise InvalidInputError(f"a sample of {self.size} records cannot be drawn: give 0 or more.")
        return self


def sample_of(given: object) -> Sample | None:
    """Return a sample that was asked for; None: none was.

    Raises:
        InvalidInputError: it is none.
    """
    if given is not None and not isinstance(given, Sample):
        raise InvalidInputError(f"a sample must be a Sample, such as Sample(100), not {type(given).__name__}.")
    return None if given is None else given.checked()


@dataclass(frozen=True, slots=True)
class Fitting:
    """A record that fits.

    Attributes:
        record: as it was scanned, with its data if that was read.
        data: its data, decoded; None if it has none, if it was not read, or if it cannot be read.
        problem: why its data cannot be read.
    """

    record: ScannedRecord
    data: dict[str, Any] | None = None
    problem: StorageError | None = None


async def filter_records(
    storage: Storage,
    master_job_id: str,
    where: Iterable[str | Condition] = (),
    statuses: Sequence[str] | None = None,
    *,
    search: str | None = None,
    sample: Sample | None = None,
    newest_first: bool = False,
    with_data: bool = True,
    largest: int | None = None,
) -> AsyncGenerator[list[ScannedRecord]]:
    """Stream the records of a run that fit, with their data, oldest first; of a sample, in the order of its shuffle.

    Data that is lost or damaged ends nothing: its record carries the error, and fits no condition about the data.

    Args:
        storage: the store, set up.
        master_job_id: the run; one that does not exist has no records.
        where: conditions, all of which a record fits: see `Condition.parse`.
        statuses: only records in one of these statuses.
        search: only records that this query finds: see `RecordSearch.search_records`. The index is made first.
        sample: of the records that fit; None: all of them.
        newest_first: in place of oldest first; not with a sample.
        with_data: read the data also where no condition is about it.
        largest: bytes of the largest data that is read, as in `fitting`.

    Raises:
        InvalidInputError: a condition, or the query, is none. `InvalidStatusError` if a status is unknown.
    """
    conditions, drawn = conditions_of(where), sample_of(sample)
    left, seed = (None, None) if drawn is None else (drawn.size, drawn.seed)
    is_whole = left is None and not conditions and search is None
    reading = (with_data and is_whole) or (search is None and about_data_alone(conditions))
    scan = storage.scan_records(
        master_job_id, statuses, seed=seed, backwards=newest_first and not drawn, with_data=reading, largest=largest
    )
    async with aclosing(cast("AsyncGenerator[list[ScannedRecord]]", scan)) as batches:
        async for batch in batches if search is None else _matching(storage, batches, search):
            if is_whole:
                yield batch
                continue
            looks = fitting(storage, batch, conditions, largest=largest, with_data=with_data, are_read=reading)
            async for looked in looks:
                chosen = [one.record for one in looked.fits[:left]]
                if chosen:
                    yield chosen
                left = None if left is None else left - len(chosen)
                if left == 0:
                    return


async def _matching(
    storage: Storage, batches: AsyncGenerator[list[ScannedRecord]], search: str
) -> AsyncGenerator[list[ScannedRecord]]:
    """Yield those records that a query finds, once the index is up to date."""
    await storage.find_matching(search, ())  # what is wrong with it is said before anything is done
    await storage.index_records()
    async for batch in batches:
        found = await storage.find_matching(search, [record.record_uid for record in batch])
        yield [record for record in batch if record.record_uid in found]


@dataclass(frozen=True, slots=True)
class Looked:
    """A part of what was looked at.

    Attributes:
        count: how many of the records have been looked at with it.
        fits: those of this part that fit, in their order.
    """

    count: int
    fits: list[Fitting]


async def fitting(
    storage: Storage,
    records: Sequence[ScannedRecord],
    conditions: Sequence[Condition],
    *,
    largest: int | None = None,
    with_data: bool = True,
    are_read: bool = False,
) -> AsyncGenerator[Looked]:
    """Stream those of some records that fit, in their order: once, and more often where their data is large.

    Args:
        storage: the store, set up.
        records: as they were scanned.
        conditions: all of which a record fits.
        largest: bytes of the largest data that is read; larger data fits no condition but that about ``@length``.
        with_data: read the data of what fits, also where no condition is about it.
        are_read: the records were scanned with their data.
    """
    by_row = [one for one in conditions if one.fact == "@error"]
    by_failure = [one for one in conditions if one.fact == "@failure"]
    by_cost = [one for one in conditions if one.fact in _PAID]
    by_people = [one for one in conditions if one.fact in _SAID]
    by_data = [one for one in conditions if one.fact in (None, "@length")]
    chosen = [record for record in records if all(one.fits(_or_missing(record.error_message)) for one in by_row)]
    if by_failure and chosen:
        kinds = await storage.ledger.find_failures([record.record_uid for record in chosen])
        chosen = [one for one in chosen if all(each.fits(kinds.get(one.record_uid, MISSING)) for each in by_failure)]
    if by_cost and chosen:
        accounts = await storage.ledger.account_for_inputs(list({record.job_id for record in chosen}))
        chosen = [record for record in chosen if _fits_account(by_cost, accounts.get(record.job_id))]
    if by_people and chosen:
        said = await reviews_of(storage, [record.record_uid for record in chosen])
        chosen = [record for record in chosen if all(one.fits(said[record.record_uid][one.field]) for one in by_people)]
    if chosen and (by_data or with_data):
        async for batch in _at_once(chosen) if are_read else storage.read_scanned(chosen, largest=largest):
            found = [_decoded(record) for record in batch]
            done = batch[-1].record_uid
            count = len(records)
            if done != chosen[-1].record_uid:
                count = next(number for number, one in enumerate(records, 1) if one.record_uid == done)
            yield Looked(count, [one for one in found if all(_fits_data(condition, one) for condition in by_data)])
    elif records:
        yield Looked(len(records), [Fitting(record) for record in chosen])


def about_data_alone(conditions: Sequence[Condition]) -> bool:
    """Return whether each record's data is to be read: then a scan does so faster than `fitting`."""
    return bool(conditions) and all(one.fact in (None, "@length") for one in conditions)


async def _at_once(records: list[ScannedRecord]) -> AsyncGenerator[list[ScannedRecord]]:
    yield records


_PAID = ("@attempts", "@cost", "@tokens")
_SAID = ("@verdict", "@label", "@rating", "@comment")


async def reviews_of(storage: Storage, record_uids: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return, by record, the facts that people have said: ``@verdict`` and so on; what nobody said is `MISSING`."""
    held = holding(await storage.annotations.list(record_uids))
    said: dict[str, dict[str, list[Any]]] = {uid: {} for uid in record_uids}
    for one in held:
        said[one.record_uid].setdefault(one.kind, []).append(one.value)
    return {uid: _facts_of(values) for uid, values in said.items()}


def _facts_of(said: dict[str, list[Any]]) -> dict[str, object]:
    verdicts, ratings = set(said.get("verdict", ())), said.get("rating", ())
    return {
        "@verdict": "conflicting" if len(verdicts) > 1 else next(iter(verdicts), "unreviewed"),
        "@label": said.get("label", MISSING),
        "@rating": sum(ratings) / len(ratings) if ratings else MISSING,
        "@comment": said.get("comment", MISSING),
    }


def _or_missing(value: object) -> object:
    return MISSING if value is None else value


def _fits_account(conditions: Sequence[Condition], account: InputAccount | None) -> bool:
    if account is None:
        return all(one.fits(MISSING) for one in conditions)
    facts = {
        "@attempts": account.attempts,
        "@cost": account.cost,
        "@tokens": account.input_tokens + account.output_tokens,
    }
    return all(one.fits(facts[one.field]) for one in conditions)


def _fits_data(condition: Condition, found: Fitting) -> bool:
    if condition.fact == "@length":
        return condition.fits(_length(found))
    return found.problem is None and condition.fits_data(found.data)


def _length(found: Fitting) -> object:
    if found.record.payload is not None:
        return len(found.record.payload.rstrip(b"\n"))
    return found.problem.size if isinstance(found.problem, DataTooLargeError) else MISSING


def _decoded(record: ScannedRecord) -> Fitting:
    if record.payload is None:
        return Fitting(record, problem=record.error)
    data: object = None
    try:
        data = decode(record.payload)
    except (ValueError, RecursionError):
        pass  # as data in a store of Starfish, which has no digests, may be
    if isinstance(data, dict):
        return Fitting(record, cast("dict[str, Any]", data))
    reason = f"it is not a JSON object; {SEE_DAMAGE}"
    return Fitting(record, problem=StoreDamagedError(f"data of record {record.record_uid!r}", reason))
