"""The contract of `iter_records`: a list of any length, in constant memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from starfish_storage.errors import InvalidInputError, InvalidStatusError
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.testing.samples import MASTER_JOB, a_record, at, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, collected, outcome, refused

MANY = 53


class StreamingTests(StorageSuite):
    """Iterating over records."""

    @pytest_asyncio.fixture
    async def storage(self, store: StoreUnderTest) -> AsyncIterator[Storage]:
        """Yield a storage with records of all statuses, many of one and the same moment."""
        async with store.open() as storage:
            await save_run(storage)
            await storage.save_records(
                (
                    a_record(
                        f"r{number * 37 % MANY:02}",
                        status=RECORD_STATUSES[number % len(RECORD_STATUSES)],
                        start_time=at(number // 20),
                    ),
                    {},
                )
                for number in range(MANY)
            )
            yield storage

    @pytest.mark.parametrize("statuses", [None, ["completed"], ["failed", "completed", "filtered"]], ids=repr)
    async def test_it_yields_what_the_list_returns(self, storage: Storage, statuses: list[str] | None) -> None:
        """Whatever is read at once, and across moments that many records share."""
        listed = await storage.get_records_for_master_job(MASTER_JOB, statuses)
        assert len(listed) == MANY or statuses is not None
        for batch_size in (1, 2, 3, 20, MANY - 1, MANY, MANY + 1, 1000):
            assert await collected(storage.iter_records(MASTER_JOB, statuses, batch_size=batch_size)) == listed

    async def test_it_goes_on_behind_a_record(self, storage: Storage) -> None:
        """The way to the next page: every position continues as the list does."""
        listed = await storage.get_records_for_master_job(MASTER_JOB)
        for position, record in enumerate(listed):
            found = await collected(storage.iter_records(MASTER_JOB, after=record, batch_size=10))
            assert found == listed[position + 1 :]

    async def test_it_goes_on_behind_a_record_that_is_not_there(self, storage: Storage) -> None:
        """A position needs time and uid only; the record may have been of another status, or be gone."""
        listed = await storage.get_records_for_master_job(MASTER_JOB)
        between = a_record(listed[5].record_uid + "~", start_time=listed[5].start_time)
        assert await collected(storage.iter_records(MASTER_JOB, after=between)) == listed[5:]
        completed = await storage.get_records_for_master_job(MASTER_JOB, ["completed"])
        found = await collected(storage.iter_records(MASTER_JOB, ["completed"], after=listed[5]))
        assert found == [record for record in completed if record in listed[6:]]
        assert await collected(storage.iter_records(MASTER_JOB, after=a_record("", start_time=at(-1)))) == []

    async def test_an_empty_master_job_yields_nothing(self, storage: Storage) -> None:
        """An unknown one neither."""
        assert await collected(storage.iter_records("nobody")) == []

    async def test_nothing_is_seen_twice_while_others_write(self, storage: Storage) -> None:
        """What is saved meanwhile may or may not be seen; the rest is seen once, in order."""
        before = await storage.get_records_for_master_job(MASTER_JOB)
        seen: list[Record] = []
        async for record in storage.iter_records(MASTER_JOB, batch_size=5):
            number = len(seen)
            if number % 5 == 0:
                await storage.save_record(a_record(f"new-{number}", start_time=at(number % 3)), {})
            seen.append(record)
        uids = [record.record_uid for record in seen]
        assert len(set(uids)) == len(uids)
        assert [record for record in seen if not record.record_uid.startswith("new-")] == before

    async def test_it_can_be_left_early(self, storage: Storage) -> None:
        """And nothing stays open behind it."""
        iterator = storage.iter_records(MASTER_JOB, batch_size=2)
        async for _ in iterator:
            break
        await iterator.aclose()  # type: ignore[attr-defined]
        await storage.close()
        await storage.setup()
        assert len(await collected(storage.iter_records(MASTER_JOB))) == MANY

    async def test_impossible_batches_are_refused(self, storage: Storage) -> None:
        """At the latest when the first record is asked for."""
        sizes: list[Any] = [0, -1, 2**63, None, 1.5, "1"]
        for size in sizes:
            got = await outcome(collected(storage.iter_records(MASTER_JOB, batch_size=size)))
            assert got is InvalidInputError, size

    async def test_positions_that_are_no_records_are_refused(self, storage: Storage) -> None:
        """A uid alone says not where it stood."""
        junk: list[Any] = ["r01", 7, object()]
        for one in junk:
            assert await outcome(collected(storage.iter_records(MASTER_JOB, after=one))) is InvalidInputError, one

    async def test_unknown_statuses_are_refused(self, storage: Storage) -> None:
        """As lists do."""
        with refused(InvalidStatusError, "unknown"):
            await collected(storage.iter_records(MASTER_JOB, ["unknown"]))
        with refused(InvalidInputError, "completed"):
            await collected(storage.iter_records(MASTER_JOB, "completed"))
