"""The contract of `scan_records`: all records of a master job with their data, as they are stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from starfish_storage.codec import content_digest
from starfish_storage.errors import (
    DataLostError,
    DataNotFoundError,
    DataTooLargeError,
    InvalidInputError,
    InvalidReferenceError,
    InvalidStatusError,
    StorageError,
    StoreDamagedError,
)
from starfish_storage.interface import ScannedLines, ScannedRecord, Storage
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.testing.samples import MASTER_JOB, RECORD, a_record, at, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, collected, outcome, refused

MANY = 53


class ScanningTests(StorageSuite):
    """Scanning records with their data."""

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
                    {"number": number, "text": "naïve\n\u2028"},
                )
                for number in range(MANY)
            )
            yield storage

    @pytest.mark.parametrize("statuses", [None, ["completed"], ["failed", "completed", "filtered"]], ids=repr)
    async def test_it_yields_records_oldest_first(self, storage: Storage, statuses: list[str] | None) -> None:
        """The list the other way round, whatever is read at once, and across moments that many records share."""
        listed = await storage.get_records_for_master_job(MASTER_JOB, statuses)
        for batch_size in (1, 2, 20, MANY - 1, MANY, MANY + 1, 1000):
            found = await scanned(storage, statuses, batch_size=batch_size)
            assert [record.record_uid for record in found] == [record.record_uid for record in reversed(listed)]

    async def test_a_batch_has_as_many_as_were_asked_for(self, storage: Storage) -> None:
        """But the last; none is empty."""
        sizes = [len(batch) for batch in await collected(storage.scan_records(MASTER_JOB, batch_size=20))]
        assert sizes == [20, 20, 13]
        sizes = [len(batch) for batch in await collected(storage.scan_records(MASTER_JOB, batch_size=MANY))]
        assert sizes == [MANY]

    async def test_batches_of_large_data_are_smaller(self, storage: Storage) -> None:
        """Memory is bounded by bytes: nothing is left out, and nothing comes twice."""
        text = "x" * (3 << 20)
        for number in range(7):
            await storage.save_record(a_record(f"large-{number:02}", start_time=at(100 + number)), {"text": text})
        await storage.log_record_metadata(a_record("without", output_ref=None, start_time=at(200)))
        batches = await collected(storage.scan_records(MASTER_JOB))
        assert max(sum(len(record.payload or b"") for record in batch) for batch in batches) < 20 << 20
        found = [record.record_uid for batch in batches for record in batch]
        assert found[-8:] == [*(f"large-{number:02}" for number in range(7)), "without"]
        assert len(found) == len(set(found)) == MANY + 8

    async def test_it_says_what_is_stored(self, storage: Storage) -> None:
        """Fields as the record has them, data byte for byte."""
        record = a_record("all-fields", status="failed", start_time=at(99.000001), error_message="it broke")
        reference = await storage.save_record(record, {"b": 1, "a": [None, 2**70]})
        found = (await scanned(storage))[-1]
        assert found.record_uid == "all-fields"
        assert (found.job_id, found.master_job_id, found.status) == (record.job_id, MASTER_JOB, "failed")
        assert found.output_ref == reference
        assert found.start_time == "2026-01-31T12:01:39.000001Z"
        assert found.end_time == record.end_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert found.last_update_time == record.last_update_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert found.error_message == "it broke"
        assert found.payload is not None
        assert json.loads(found.payload) == {"b": 1, "a": [None, 2**70]}
        assert found.sha256 == content_digest(found.payload)
        assert found.error is None

    async def test_a_record_without_data_has_none(self, storage: Storage) -> None:
        """Finding nothing is not an error."""
        await storage.log_record_metadata(a_record(RECORD, output_ref=None, start_time=at(99)))
        found = (await scanned(storage))[-1]
        assert (found.output_ref, found.sha256, found.payload, found.error) == (None, None, None, None)

    async def test_data_that_several_records_refer_to_is_that_of_each(self, storage: Storage) -> None:
        """A record may refer to the data of another."""
        first = (await storage.get_records_for_master_job(MASTER_JOB))[-1]
        await storage.log_record_metadata(a_record("borrower", output_ref=first.output_ref, start_time=at(99)))
        found = await scanned(storage)
        assert found[-1].record_uid == "borrower"
        assert found[-1].payload == found[0].payload

    async def test_what_was_replaced_is_not_seen(self, storage: Storage) -> None:
        """The last version is."""
        for version in range(3):
            await storage.save_record(a_record(RECORD, start_time=at(99)), {"version": version})
        assert json.loads((await scanned(storage))[-1].payload or b"") == {"version": 2}

    async def test_lost_and_damaged_data_is_an_error_of_its_record(
        self, storage: Storage, store: StoreUnderTest
    ) -> None:
        """And ends nothing: the others are handed out."""
        before = await scanned(storage)
        await storage.close()  # everything is in place then
        await storage.setup()
        keys = {key.rsplit("/", 1)[-1][:3]: key for key in store.raw_keys()}
        lost, damaged = before[3], before[10]
        store.raw_delete(keys[lost.record_uid])
        store.raw_write(keys[damaged.record_uid], b'{"number": 1}\n')
        found = await scanned(storage, batch_size=4)
        assert type(found[3].error) is DataLostError
        assert type(found[10].error) is StoreDamagedError
        for one in (found[3], found[10]):
            assert one.payload is None
            assert one.record_uid in str(one.error)
        whole = [number for number in range(MANY) if number not in (3, 10)]
        assert [found[number] for number in whole] == [before[number] for number in whole]
        lines = await as_lines(storage)
        assert [(uid, payload) for uid, payload, _ in lines] == [(one.record_uid, one.payload) for one in found]
        assert [number for number, (*_, error) in enumerate(lines) if error is not None] == [3, 10]
        assert [str(lines[number][2]) for number in (3, 10)] == [str(found[number].error) for number in (3, 10)]

    @pytest.mark.parametrize("statuses", [None, ["completed"], ["failed", "completed", "filtered"]], ids=repr)
    async def test_lines_are_the_data_of_all_records_in_their_order(
        self, storage: Storage, statuses: list[str] | None
    ) -> None:
        """Whether they come as lines or as records; also of records without data, and of the data of others."""
        for _ in range(2):
            found = await scanned(storage, statuses)
            lines = await as_lines(storage, statuses)
            assert lines == [(one.record_uid, one.payload, None) for one in found]
            first = (await storage.get_records_for_master_job(MASTER_JOB))[-1]
            await storage.log_record_metadata(a_record("borrower", output_ref=first.output_ref, start_time=at(1.5)))
            await storage.log_record_metadata(a_record("without", output_ref=None, start_time=at(0.5)))
        assert await collected(storage.scan_lines("nobody")) == []
        with refused(InvalidStatusError, "unknown"):
            await collected(storage.scan_lines(MASTER_JOB, ["unknown"]))

    async def test_it_goes_on_behind_a_record(self, storage: Storage) -> None:
        """Every position continues as the whole scan does, also if that record is gone meanwhile."""
        found = await scanned(storage)
        for position, record in enumerate(found):
            assert await scanned(storage, after=record, batch_size=10) == found[position + 1 :]
        between = found[5]._replace(record_uid=found[5].record_uid + "~")
        assert await scanned(storage, after=between) == found[6:]

    async def test_backwards_it_yields_the_newest_first(self, storage: Storage) -> None:
        """The same the other way round, from every position."""
        for statuses in (None, ["failed", "completed"]):
            found = await scanned(storage, statuses)
            back = found[::-1]
            assert await scanned(storage, statuses, backwards=True, batch_size=7) == back
            for position in (0, 5, len(back) - 1):
                after = back[position]
                assert await scanned(storage, statuses, backwards=True, after=after) == back[position + 1 :]

    async def test_a_seed_shuffles(self, storage: Storage) -> None:
        """The same seed in the same way, other seeds in others; each record once, from every position, both ways."""
        whole = await scanned(storage)
        orders: set[tuple[str, ...]] = set()
        for seed in (0, 1, 7, -1, 2**63):
            found = await scanned(storage, seed=seed)
            assert sorted(found) == sorted(whole)
            assert await scanned(storage, seed=seed, batch_size=7) == found
            assert await scanned(storage, seed=seed, backwards=True, batch_size=10) == found[::-1]
            orders.add(tuple(record.record_uid for record in found))
        assert len(orders) == 5
        assert tuple(record.record_uid for record in whole) not in orders
        found = await scanned(storage, seed=7)
        for position in (0, 20, MANY - 1):
            assert await scanned(storage, seed=7, after=found[position], batch_size=9) == found[position + 1 :]
            back = await scanned(storage, seed=7, after=found[position], backwards=True)
            assert back == found[:position][::-1]
        some = await scanned(storage, ["failed", "completed"], seed=7)
        assert some == [record for record in found if record.status in ("failed", "completed")]
        with refused(InvalidInputError, "seed"):
            await scanned(storage, seed="7")

    async def test_data_is_read_where_it_is_wanted(self, storage: Storage) -> None:
        """Records without their data get it later; what is larger than was asked for is not read."""
        whole = await scanned(storage)
        bare = await scanned(storage, with_data=False)
        assert bare == [record._replace(payload=None) for record in whole]
        assert [one for batch in await collected(storage.read_scanned(bare)) for one in batch] == whole
        large = await storage.save_record(a_record("large", start_time=at(99)), {"text": "x" * 1000})
        await storage.log_record_metadata(a_record("without", output_ref=None, start_time=at(100)))
        bare = await scanned(storage, with_data=False)
        *small, too_large, without = [
            one for batch in await collected(storage.read_scanned(bare, largest=1000)) for one in batch
        ]
        assert small == whole
        assert without == bare[-1]
        assert too_large._replace(error=None) == bare[-2]
        assert isinstance(too_large.error, DataTooLargeError)
        assert (too_large.error.path, too_large.error.size, too_large.error.largest) == (large, 1012, 1000)
        again = (await scanned(storage, largest=1000))[-2]
        assert again._replace(error=None) == too_large._replace(error=None)
        assert isinstance(again.error, DataTooLargeError)

    async def test_data_is_read_in_pieces(self, storage: Storage, store: StoreUnderTest) -> None:
        """As it is stored; damage is found at the end."""
        reference = await storage.save_record(a_record("large", start_time=at(99)), {"text": "x" * 1000})
        payload = (await scanned(storage))[-1].payload
        for size in (100, 1011, 1012, 1013, 1 << 20):
            pieces = await collected(storage.iter_record_data(reference, chunk_size=size))
            assert b"".join(pieces) == payload
            assert max(map(len, pieces)) <= size
        await storage.close()
        await storage.setup()
        store.raw_write(next(key for key in store.raw_keys() if "large" in key), b'{"text": "yyyyyyyyyy"}\n')
        for size in (5, 100):
            with refused(StoreDamagedError):
                await collected(storage.iter_record_data(reference, chunk_size=size))
        for missing, error in (("data/82/r1.json", DataNotFoundError), ("../etc/passwd", InvalidReferenceError)):
            with refused(error):
                await collected(storage.iter_record_data(missing))
        for junk in (0, -1, 1.5, None):
            with refused(InvalidInputError, "chunk_size"):
                size_of_junk: Any = junk
                await collected(storage.iter_record_data(reference, chunk_size=size_of_junk))

    async def test_an_unknown_master_job_has_nothing(self, storage: Storage) -> None:
        """No batch at all."""
        assert await collected(storage.scan_records("nobody")) == []

    async def test_nothing_is_seen_twice_while_others_write(self, storage: Storage) -> None:
        """What is saved meanwhile may or may not be seen; the rest is seen once, in order."""
        before = [record.record_uid for record in await scanned(storage)]
        seen: list[str] = []
        async for batch in storage.scan_records(MASTER_JOB, batch_size=5):
            await storage.save_record(a_record(f"new-{len(seen)}", start_time=at(len(seen) % 3)), {})
            seen += [record.record_uid for record in batch]
        assert len(set(seen)) == len(seen)
        assert [uid for uid in seen if not uid.startswith("new-")] == before

    async def test_impossible_batches_are_refused(self, storage: Storage) -> None:
        """At the latest when the first is asked for."""
        sizes: list[Any] = [0, -1, 2**63, None, 1.5, "1"]
        for size in sizes:
            got = await outcome(collected(storage.scan_records(MASTER_JOB, batch_size=size)))
            assert got is InvalidInputError, size

    async def test_what_cannot_be_asked_for_is_refused(self, storage: Storage) -> None:
        """Positions that are no records, and unknown statuses."""
        with refused(InvalidInputError):
            junk: Any = "r01"
            await collected(storage.scan_records(MASTER_JOB, after=junk))
        with refused(InvalidStatusError, "unknown"):
            await collected(storage.scan_records(MASTER_JOB, ["unknown"]))


async def as_lines(
    storage: Storage, statuses: list[str] | None = None
) -> list[tuple[str, bytes | None, StorageError | None]]:
    """Return uid, data and error of all records that a scan of lines finds."""
    found: list[tuple[str, bytes | None, StorageError | None]] = []
    async for batch in storage.scan_lines(MASTER_JOB, statuses):
        if isinstance(batch, ScannedLines):
            found += [(uid, line, None) for uid, line in zip(batch.record_uids, batch.lines, strict=True)]
        else:
            found += [(one.record_uid, one.payload, one.error) for one in batch]
    return found


async def scanned(storage: Storage, statuses: list[str] | None = None, **options: Any) -> list[ScannedRecord]:
    """Return all records that a scan finds."""
    return [
        record for batch in await collected(storage.scan_records(MASTER_JOB, statuses, **options)) for record in batch
    ]
