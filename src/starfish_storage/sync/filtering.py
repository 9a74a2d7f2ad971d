# Made by scripts/make_sync.py from starfish_storage.filtering: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.filtering`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from starfish_storage import filtering as asynchronous
from starfish_storage.filtering.condition import Condition
from starfish_storage.filtering.fitting import Looked, Sample
from starfish_storage.interface import ScannedRecord
from starfish_storage.sync.stores import Store, each_with_store, with_store


def filter_records(
    master_job_id: str,
    where: Iterable[str | Condition] = (),
    statuses: Sequence[str] | None = None,
    *,
    store: Store,
    search: str | None = None,
    sample: Sample | None = None,
    newest_first: bool = False,
    with_data: bool = True,
    largest: int | None = None,
) -> Generator[list[ScannedRecord]]:
    """Stream the records of a run that fit, with their data, oldest first; of a sample, in the order of its shuffle.

    Data that is lost or damaged ends nothing: its record carries the error, and fits no condition about the data.

    Args:
        store: the store. An open one, or a path or URI, which is opened for this call.
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
    return each_with_store(
        store,
        lambda storage: asynchronous.filter_records(
            storage,
            master_job_id,
            where,
            statuses,
            search=search,
            sample=sample,
            newest_first=newest_first,
            with_data=with_data,
            largest=largest,
        ),
    )


def fitting(
    records: Sequence[ScannedRecord],
    conditions: Sequence[Condition],
    *,
    store: Store,
    largest: int | None = None,
    with_data: bool = True,
    are_read: bool = False,
) -> Generator[Looked]:
    """Stream those of some records that fit, in their order: once, and more often where their data is large.

    Args:
        store: the store. An open one, or a path or URI, which is opened for this call.
        records: as they were scanned.
        conditions: all of which a record fits.
        largest: bytes of the largest data that is read; larger data fits no condition but that about ``@length``.
        with_data: read the data of what fits, also where no condition is about it.
        are_read: the records were scanned with their data.
    """
    return each_with_store(
        store,
        lambda storage: asynchronous.fitting(
            storage, records, conditions, largest=largest, with_data=with_data, are_read=are_read
        ),
    )


def reviews_of(record_uids: Sequence[str], *, store: Store) -> dict[str, dict[str, object]]:
    """Return, by record, the facts that people have said: ``@verdict`` and so on; what nobody said is `MISSING`."""
    return with_store(store, lambda storage: asynchronous.reviews_of(storage, record_uids))
