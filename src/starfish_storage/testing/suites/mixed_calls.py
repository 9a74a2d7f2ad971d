"""Any calls at the same time leave a whole store: whichever of them succeed, and in whatever order."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from starfish_storage.identifiers import fold
from starfish_storage.interface import Storage
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.testing.samples import a_master_job, a_project, a_record, an_execution_job, at
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, outcome, skip_unless

_examples = itertools.count()

MASTER_JOBS = ("m1", "m2")
UIDS = ("abc", "ABC", "def", "r.1")
"""Few, so that calls meet; two that differ only in case."""


class Drawn(NamedTuple):
    """A call to make, and what it is about."""

    kind: str
    master_job_id: str
    uid: str
    other_uid: str
    number: int

    def prefixed(self, prefix: str) -> Drawn:
        """Return the same call about other ids."""
        return Drawn(self.kind, prefix + self.master_job_id, prefix + self.uid, prefix + self.other_uid, self.number)


def job_of(master_job_id: str) -> str:
    """Return the one execution job of a master job."""
    return f"job of {master_job_id}"


def _start(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    return storage.log_master_job_start(a_master_job(storage, drawn.master_job_id))


def _start_job(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    return storage.log_execution_job_start(an_execution_job(job_of(drawn.master_job_id), drawn.master_job_id))


def _end_job(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    return storage.log_execution_job_end(job_of(drawn.master_job_id), "completed", {}, at(1), at(2))


def _save_config(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    return storage.save_request_config(storage.generate_request_config_path(drawn.master_job_id), {"n": drawn.number})


def _save_data(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    return storage.save_record_data(drawn.uid, drawn.master_job_id, job_of(drawn.master_job_id), {"n": drawn.number})


def _save_two(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    status = RECORD_STATUSES[drawn.number % len(RECORD_STATUSES)]
    records = [
        a_record(uid, job_of(drawn.master_job_id), drawn.master_job_id, status=status, error_message=str(drawn.number))
        for uid in dict.fromkeys([drawn.uid, drawn.other_uid])
    ]
    return storage.save_records([(record, {"n": drawn.number}) for record in records])


async def _log_with_data_of_other(storage: Storage, drawn: Drawn) -> None:
    other = await storage.get_record_metadata(drawn.other_uid)
    record = a_record(drawn.uid, job_of(drawn.master_job_id), drawn.master_job_id)
    record.output_ref = None if other is None else other.output_ref
    await storage.log_record_metadata(record)


def _delete(storage: Storage, drawn: Drawn) -> Awaitable[object]:
    return storage.delete_master_job(drawn.master_job_id)


CALLS: dict[str, Callable[[Storage, Drawn], Awaitable[object]]] = {
    "start": _start,
    "start job": _start_job,
    "end job": _end_job,
    "save config": _save_config,
    "save data": _save_data,
    "save two": _save_two,
    "log with data of other": _log_with_data_of_other,
    "delete": _delete,
}

calls_at_once = st.lists(
    st.builds(
        Drawn,
        st.sampled_from([*CALLS, "save two", "log with data of other"]),
        st.sampled_from(MASTER_JOBS),
        st.sampled_from(UIDS),
        st.sampled_from(UIDS),
        st.integers(0, 99),
    ),
    min_size=2,
    max_size=12,
)


async def check_whole(storage: Storage, store: StoreUnderTest, prefix: str) -> None:
    """Assert that every row and file has its owner, and that no two file names differ only in case."""
    keys = {key for key in store.raw_keys() if key.rpartition("/")[2].startswith(prefix)}
    assert len({fold(key) for key in keys}) == len(keys), keys
    for master_job_id in (prefix + name for name in MASTER_JOBS):
        jobs = {job.job_id for job in await storage.list_execution_jobs(master_job_id)}
        records = await storage.get_records_for_master_job(master_job_id)
        assert {record.job_id for record in records} <= jobs
        counted = await storage.count_records_for_master_job(master_job_id)
        assert counted == Counter(record.status for record in records)
        for record in records:
            if record.output_ref is not None:
                assert store.key(record.output_ref) in keys, record
                await storage.get_record_data(record.output_ref)


class MixedCallTests(StorageSuite):
    """Needs ``DELETE`` and ``ATOMIC_RECORDS``."""

    @pytest_asyncio.fixture
    async def storage(self, store: StoreUnderTest) -> AsyncIterator[Storage]:
        """Yield a storage with a project."""
        async with store.open() as storage:
            skip_unless(storage, "DELETE")
            skip_unless(storage, "ATOMIC_RECORDS")
            await storage.save_project(a_project())
            yield storage

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])
    @given(batches=st.lists(calls_at_once, min_size=1, max_size=4))
    async def test_any_calls_at_once_leave_a_whole_store(
        self, storage: Storage, store: StoreUnderTest, batches: list[list[Drawn]]
    ) -> None:
        """Every call succeeds or raises an error of the family."""
        prefix = f"{next(_examples)}-"  # one store for all examples, so each has ids of its own
        for master_job_id in MASTER_JOBS:
            start = Drawn("start", prefix + master_job_id, "", "", 0)
            await _start(storage, start)
            await _start_job(storage, start)
        for batch in batches:
            calls: list[Any] = [outcome(CALLS[drawn.kind](storage, drawn.prefixed(prefix))) for drawn in batch]
            await asyncio.gather(*calls)
            await check_whole(storage, store, prefix)
        await storage.close()
        await storage.setup()
        await check_whole(storage, store, prefix)
