"""The contract of lists: order, pages and filters, for all of them alike."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Protocol, get_args

import pytest_asyncio
from pydantic import BaseModel

from starfish_storage.errors import InvalidInputError, InvalidStatusError
from starfish_storage.interface import Storage
from starfish_storage.statuses import StatusExecutionJob, StatusMasterJob, StatusRecord
from starfish_storage.testing.samples import (
    MASTER_JOB,
    PROJECT,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, collected, refused

IDS_BY_TIME = {"a": 5, "b": 1, "c": 5, "d": 3, "e": 1, "f": 9, "g": 5}
"""The ids of what is listed, and the seconds at which each was created; several at once."""

NEWEST_FIRST = ["f", "g", "c", "a", "d", "e", "b"]


class Lister(Protocol):
    """Lists something of a storage, by pages and by status."""

    def __call__(self, storage: Storage, **selection: Any) -> Awaitable[Sequence[Any]]:
        """Return what is listed."""
        ...


def list_projects(storage: Storage, **selection: Any) -> Awaitable[Sequence[Any]]:
    """Return projects."""
    return storage.list_projects(**selection)


def list_master_jobs(storage: Storage, **selection: Any) -> Awaitable[Sequence[Any]]:
    """Return all master jobs."""
    return storage.list_master_jobs(**selection)


def list_master_jobs_of_project(storage: Storage, **selection: Any) -> Awaitable[Sequence[Any]]:
    """Return the master jobs of one project."""
    return storage.list_master_jobs(PROJECT, **selection)


def list_execution_jobs(storage: Storage, **selection: Any) -> Awaitable[Sequence[Any]]:
    """Return the execution jobs of one master job."""
    return storage.list_execution_jobs(MASTER_JOB, **selection)


def list_records(storage: Storage, **selection: Any) -> Awaitable[Sequence[Any]]:
    """Return the records of one master job."""
    return storage.get_records_for_master_job(MASTER_JOB, **selection)


async def list_by_iterating(storage: Storage, **selection: Any) -> Sequence[Any]:
    """Return what iterating over the records of one master job yields."""
    return await collected(storage.iter_records(MASTER_JOB, batch_size=2, **selection))


LISTS: dict[str, Lister] = {
    "projects": list_projects,
    "master jobs": list_master_jobs,
    "master jobs of a project": list_master_jobs_of_project,
    "execution jobs": list_execution_jobs,
    "records": list_records,
}
"""By name: the lists that have pages."""

FILTERED: dict[str, tuple[Lister, tuple[str, ...]]] = {
    "master jobs": (list_master_jobs, get_args(StatusMasterJob)),
    "master jobs of a project": (list_master_jobs_of_project, get_args(StatusMasterJob)),
    "execution jobs": (list_execution_jobs, get_args(StatusExecutionJob)),
    "records": (list_records, get_args(StatusRecord)),
    "iterated records": (list_by_iterating, get_args(StatusRecord)),
}
"""By name: the lists that filter by status, and the statuses each knows."""


def id_of(item: BaseModel) -> str:
    """Return the id of a model: its first field."""
    return next(iter(item.model_dump().values()))


async def save_one_of_each(storage: Storage, id: str, seconds: float, number: int) -> None:
    """Save a project, a master job, an execution job and a record of one id, with the statuses of that number."""

    def status_of(known: tuple[str, ...]) -> str:
        return known[number % len(known)]

    moment = at(seconds)
    await storage.save_project(a_project(id, name="same for all"))
    await storage.log_master_job_start(
        a_master_job(storage, id, creation_time=moment, status=status_of(get_args(StatusMasterJob)))
    )
    await storage.log_execution_job_start(
        an_execution_job(id, creation_time=moment, status=status_of(get_args(StatusExecutionJob)))
    )
    await storage.log_record_metadata(a_record(id, id, start_time=moment, status=status_of(get_args(StatusRecord))))


class ListingTests(StorageSuite):
    """Order, pages and filters."""

    @pytest_asyncio.fixture
    async def storage(self, store: StoreUnderTest) -> AsyncIterator[Storage]:
        """Yield a storage with some of each, saved in no particular order, beside others that must not be listed."""
        async with store.open() as storage:
            await save_run(storage, MASTER_JOB, "another-job", PROJECT)
            await save_run(storage, "another-master", "a-job-of-another-master", "another-project")
            await storage.log_record_metadata(a_record("another", "a-job-of-another-master", "another-master"))
            for number, (its_id, seconds) in enumerate(IDS_BY_TIME.items()):
                await save_one_of_each(storage, its_id, seconds, number)
            yield storage

    async def test_newest_first_then_by_id_descending(self, storage: Storage) -> None:
        """A total order."""
        for name in ["master jobs", "master jobs of a project", "execution jobs", "records"]:
            found = [id_of(item) for item in await LISTS[name](storage)]
            assert [its_id for its_id in found if its_id in IDS_BY_TIME] == NEWEST_FIRST

    async def test_lists_hold_what_belongs_to_them(self, storage: Storage) -> None:
        """And nothing of another project or master job."""
        assert {id_of(job) for job in await storage.list_master_jobs(PROJECT)} == {*IDS_BY_TIME, MASTER_JOB}
        assert {id_of(job) for job in await storage.list_master_jobs("another-project")} == {"another-master"}
        assert {id_of(job) for job in await storage.list_master_jobs()} == {*IDS_BY_TIME, MASTER_JOB, "another-master"}
        assert {id_of(job) for job in await storage.list_execution_jobs(MASTER_JOB)} == {*IDS_BY_TIME, "another-job"}
        assert {id_of(record) for record in await storage.get_records_for_master_job(MASTER_JOB)} == {*IDS_BY_TIME}
        assert await storage.list_master_jobs("nobody") == []
        assert await storage.list_execution_jobs("nobody") == []
        assert await storage.get_records_for_master_job("nobody") == []

    async def test_the_records_of_one_job(self, storage: Storage) -> None:
        """Newest first, then by uid, descending; master job and job have to fit."""
        for uid, seconds in (("x", 1), ("y", 2), ("z", 2)):
            await storage.log_record_metadata(a_record(uid, "another-job", start_time=at(seconds)))
        found = await storage.list_record_metadata(MASTER_JOB, "another-job")
        assert [record.record_uid for record in found] == ["z", "y", "x"]
        assert await storage.list_record_metadata("another-master", "another-job") == []
        assert await storage.list_record_metadata(MASTER_JOB, "nobody") == []

    async def test_pages_are_slices_of_the_whole(self, storage: Storage) -> None:
        """``offset`` without ``limit`` is all the rest; beyond the end there is nothing."""
        for lister in LISTS.values():
            whole = await lister(storage)
            for limit, offset in itertools.product((None, 0, 1, 3, 7, 1000), (None, 0, 1, 6, 7, 1000)):
                start = offset or 0
                expected = whole[start:] if limit is None else whole[start : start + limit]
                assert await lister(storage, limit=limit, offset=offset) == expected, (limit, offset)

    async def test_impossible_pages_are_refused(self, storage: Storage) -> None:
        """The message says which value."""
        for lister in LISTS.values():
            for value in (-1, -(2**70), 2**63, 1.5, "1", True):
                with refused(InvalidInputError, "limit"):
                    await lister(storage, limit=value)
                with refused(InvalidInputError, "offset"):
                    await lister(storage, offset=value)

    async def test_filters_by_status(self, storage: Storage) -> None:
        """None, one, several, the same twice and all of them, in any order and in any collection."""
        for lister, known in FILTERED.values():
            whole = await lister(storage)
            assert await lister(storage, status_filter=None) == whole
            assert await lister(storage, status_filter=[]) == whole
            assert await lister(storage, status_filter=list(known)) == whole
            for status in known:
                expected = [item for item in whole if item.status == status]
                assert await lister(storage, status_filter=[status]) == expected
                assert await lister(storage, status_filter=(status, status)) == expected
            for some in itertools.permutations(known[:4], 3):
                expected = [item for item in whole if item.status in some]
                assert await lister(storage, status_filter=list(some)) == expected
                assert await lister(storage, status_filter=set(some)) == expected

    async def test_pages_of_a_filtered_list(self, storage: Storage) -> None:
        """They are slices of the filtered list."""
        for lister, known in (FILTERED[name] for name in FILTERED if name in LISTS):
            some = list(known[1:6])
            whole = await lister(storage, status_filter=some)
            for limit, offset in itertools.product((None, 1, 2), (None, 1, 2)):
                expected = whole[offset or 0 :][:limit]
                assert await lister(storage, status_filter=some, limit=limit, offset=offset) == expected

    async def test_unknown_statuses_are_refused(self, storage: Storage) -> None:
        """Also beside known ones: a filter with a slip in it would hide what is there."""
        unknown: list[Any] = ["unknown", "Completed", "", None, 7, []]
        for lister, _ in FILTERED.values():
            for status in unknown:
                with refused(InvalidStatusError, status):
                    await lister(storage, status_filter=["completed", status])

    async def test_a_filter_has_to_be_a_list(self, storage: Storage) -> None:
        """A bare string would be taken for a list of letters."""
        for lister, _ in FILTERED.values():
            for junk in ("completed", 7, iter(["completed"])):
                with refused(InvalidInputError, "completed"):
                    await lister(storage, status_filter=junk)

    async def test_counts_are_filtered_as_lists_are(self, storage: Storage) -> None:
        """And refuse what they refuse."""
        whole = await storage.count_records_for_master_job(MASTER_JOB)
        assert whole == dict.fromkeys(get_args(StatusRecord), 1)
        some = await storage.count_records_for_master_job(MASTER_JOB, ["failed", "completed", "failed"])
        assert some == {"completed": 1, "failed": 1}
        with refused(InvalidStatusError, "unknown"):
            await storage.count_records_for_master_job(MASTER_JOB, ["failed", "unknown"])
        with refused(InvalidInputError, "completed"):
            await storage.count_records_for_master_job(MASTER_JOB, "completed")

    async def test_lists_follow_a_change_of_status(self, storage: Storage) -> None:
        """What changes its status leaves one filtered list and joins the other, in its place."""
        await storage.update_master_job_status("f", "cancelled", at(1))
        await storage.log_execution_job_end("f", "cancelled", {}, at(1), at(1))
        await storage.log_record_metadata(a_record("f", "f", start_time=at(9), status="cancelled"))
        for name in ("master jobs", "execution jobs", "records", "iterated records"):
            found = [id_of(item) for item in await FILTERED[name][0](storage, status_filter=["cancelled"])]
            assert found[0] == "f", name
