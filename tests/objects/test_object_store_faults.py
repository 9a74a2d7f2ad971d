"""The object store slow, failing and gone: calls wait within their limit, then fail and have changed nothing."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from conformance.object_stores import SQLiteObjectStore
from objects.conftest import LIMIT
from servers.proxies import FaultyHttp
from starfish_storage import Storage, StorageIOError, StorageUnavailableError
from starfish_storage.data.object_store import ObjectStoreDataHandler
from starfish_storage.keys import record_key
from starfish_storage.testing.samples import JOB, MASTER_JOB, RECORD, a_project, a_record, save_run
from starfish_storage.testing.suites.suite import refused

OLD, NEW = {"version": 1}, {"version": 2}


def is_put(method: str, path: str) -> bool:
    return method == "PUT" and "/staging/" not in path


def is_put_of(uid: str):
    return lambda method, path: method == "PUT" and f"/{uid}.json" in path


def lose_the_answer(network: FaultyHttp) -> None:
    """Let the next put take effect without an answer, and nothing that would change the bucket after it."""
    network.drop(times=1, only=is_put, forwarded=True)
    network.drop(only=lambda method, _: method not in ("GET", "HEAD"))


async def opened_with_record(store: SQLiteObjectStore) -> Storage:
    storage = store.open()
    await storage.setup()
    await save_run(storage)
    await storage.save_record(a_record(status="pending"), OLD)
    return storage


async def is_as_before(storage: Storage, store: SQLiteObjectStore) -> None:
    """Row and data are the old ones, to the storage and to whoever looks into the bucket."""
    record = await storage.get_record_metadata(RECORD)
    assert record is not None
    assert record.status == "pending"
    assert record.output_ref is not None
    assert await storage.get_record_data(record.output_ref) == OLD
    assert store.raw_read(store.key(record.output_ref)) == b'{"version":1}\n'


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_store_that_fails_now_and_then_is_asked_again(
    store: SQLiteObjectStore, network: FaultyHttp, status: int
) -> None:
    network.answer(status, times=2)
    async with store.open() as storage:
        await save_run(storage)
        network.answer(status, times=3)
        reference = await storage.save_record(a_record(), NEW)
        network.answer(status, times=2)
        assert await storage.get_record_data(reference) == NEW
        network.answer(status, times=2, only=lambda method, _: method == "POST")
        await storage.delete_master_job(MASTER_JOB)
        assert store.raw_keys() == set()


async def test_connections_that_break_are_made_again(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """Before or after what was asked for has been done."""
    async with store.open() as storage:
        await save_run(storage)
        network.drop(times=2)
        network.drop(times=2, only=is_put, forwarded=True)
        reference = await storage.save_record(a_record(), NEW)
        network.drop(times=1)
        assert await storage.get_record_data(reference) == NEW


async def test_an_answer_that_takes_too_long_is_not_waited_for(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    storage = await opened_with_record(store)
    network.delay(20, times=1)
    began = time.monotonic()
    await storage.save_record(a_record(), NEW)
    assert time.monotonic() - began < 5
    network.pass_on()
    await storage.close()


async def test_a_store_that_comes_back_in_time_is_waited_for(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    storage = await opened_with_record(store)
    network.drop()
    threading.Timer(LIMIT / 2, network.pass_on).start()
    began = time.monotonic()
    reference = await storage.save_record(a_record(), NEW)
    assert time.monotonic() - began >= LIMIT / 2
    assert await storage.get_record_data(reference) == NEW
    await storage.close()


async def test_a_store_that_stays_away_is_told_of(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """In time, with the place; the old version stays, and calls later work."""
    storage = await opened_with_record(store)
    network.answer(503)
    began = time.monotonic()
    with refused(StorageUnavailableError, "503"):
        await storage.save_record(a_record(), NEW)
    assert LIMIT <= time.monotonic() - began < LIMIT + 5
    with refused(StorageUnavailableError, store.data_uri):
        await storage.get_record_data(store.reference("data/00/other.json"))
    network.pass_on()
    await is_as_before(storage, store)
    reference = await storage.save_record(a_record(), NEW)
    assert await storage.get_record_data(reference) == NEW
    await storage.close()


@pytest.mark.parametrize("before", [True, False], ids=["overwriting", "new"])
async def test_a_put_whose_answer_is_lost_is_taken_back(
    store: SQLiteObjectStore, network: FaultyHttp, before: bool
) -> None:
    """It took effect, and the call failed: at the latest with the next write it is undone, and never seen before."""
    storage = store.open()
    await storage.setup()
    await save_run(storage)
    if before:
        await storage.save_record(a_record(status="pending"), OLD)
    lose_the_answer(network)
    with refused(StorageUnavailableError, store.data_uri):
        await storage.save_record(a_record(), NEW)
    assert b'"version":2' in (store.raw_read(record_key(RECORD)) or b"")
    if before:
        record = await storage.get_record_metadata(RECORD)
        assert record is not None
        assert record.output_ref is not None
        assert await storage.get_record_data(record.output_ref) == OLD
    network.pass_on()
    await storage.close()
    async with store.open() as storage:
        if before:
            await is_as_before(storage, store)
        else:
            assert await storage.get_record_metadata(RECORD) is None
            assert store.raw_keys() == set()


async def test_another_process_does_not_take_it_for_done(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """The journal knows what is to be undone until that is done; whoever has the lock does it."""
    storage = await opened_with_record(store)
    async with store.open() as other:
        await other.save_record(a_record("another"), OLD)
        lose_the_answer(network)
        with refused(StorageUnavailableError):
            await storage.save_record(a_record(), NEW)
        network.pass_on()
        await other.save_record(a_record("another"), NEW)
        await is_as_before(other, store)
    await storage.close()


async def test_rows_are_written_without_the_store(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """At once, also while there is something to be undone in it."""
    storage = await opened_with_record(store)
    lose_the_answer(network)
    with refused(StorageUnavailableError):
        await storage.save_record(a_record(), NEW)
    network.drop()
    await asyncio.sleep(5.1)  # by then it has been tried to undo it, in vain
    began = time.monotonic()
    for status in ("failed", "running"):
        await storage.update_master_job_status(MASTER_JOB, status, a_record().start_time)
    assert time.monotonic() - began < LIMIT
    network.pass_on()
    await storage.save_record(a_record("r2"), NEW)
    await storage.close()
    async with store.open() as storage:
        await is_as_before(storage, store)


async def test_what_is_refused_fails_alone(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """Of the calls of a group, and whole: of the records of a call all or none."""
    storage = await opened_with_record(store)
    network.answer(403, only=is_put_of("r3"))
    calls = [storage.save_record(a_record(f"r{number}"), NEW) for number in range(6)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, str, str, StorageIOError, str, str]
    assert "AccessDenied" in str(outcomes[3])
    with refused(StorageIOError, "AccessDenied"):
        await storage.save_records([(a_record(), NEW), (a_record("r3"), NEW), (a_record("r9"), NEW)])
    assert await storage.get_record_metadata("r3") is None
    assert await storage.get_record_metadata("r9") is None
    await is_as_before(storage, store)
    assert len(store.raw_keys()) == 6
    await storage.close()


async def test_a_group_waits_once(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """However many calls there are in it, and whatever they ask for."""
    storage = await opened_with_record(store)
    references = [await storage.save_record_data(f"r{n}", MASTER_JOB, JOB, OLD) for n in range(40)]
    network.delay(60, only=lambda method, _: method in ("GET", "HEAD"))
    for calls in (
        [storage.save_record(a_record(f"r{n}"), NEW) for n in range(200)],
        [storage.log_record_metadata(a_record(f"r{n}", output_ref=r)) for n, r in enumerate(references)],
        [storage.get_records_data(references)],
    ):
        began = time.monotonic()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StorageUnavailableError}
        assert time.monotonic() - began < LIMIT + 4  # a request that has begun takes a second more
    network.pass_on()
    await storage.close()
    async with store.open() as storage:
        assert [record.record_uid for record in await storage.get_records_for_master_job(MASTER_JOB)] == [RECORD]
        assert await storage.get_records_data(references) == [OLD] * 40


async def test_a_group_is_put_and_asked_for_in_parallel(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    storage = await opened_with_record(store)
    network.delay(0.05)
    began = time.monotonic()
    references = await storage.save_records([(a_record(f"r{n}"), NEW) for n in range(200)])
    await asyncio.gather(*(storage.log_record_metadata(a_record(f"s{n}", output_ref=references[n])) for n in range(99)))
    assert await storage.get_records_data(references) == [NEW] * 200
    await storage.delete_master_job(MASTER_JOB)
    assert time.monotonic() - began < 0.05 * 500 / 4
    await storage.close()


async def test_reading_holds_up_nobody(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """The event loop goes on while the store is waited for, of one record or of many."""
    storage = await opened_with_record(store)
    reference = await storage.save_record(a_record(), NEW)
    network.delay(0.5)
    reading = asyncio.gather(storage.get_record_data(reference), storage.get_records_data([reference]))
    longest, last = 0.0, time.monotonic()
    while not reading.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert await reading == [NEW, [NEW]]
    assert longest < 0.4
    await storage.close()


async def test_data_that_is_removed_later_is_removed(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """The rows are gone at once, and the objects when the store is back."""
    storage = await opened_with_record(store)
    other = store.open()
    await other.setup()
    network.answer(503, only=lambda method, _: method in ("POST", "DELETE"))
    await storage.delete_master_job(MASTER_JOB)
    assert await storage.get_record_metadata(RECORD) is None
    assert store.raw_keys() != set()
    network.pass_on()
    await other.save_project(a_project("another"))
    assert store.raw_keys() == set()  # by another process too: it does not take it for done
    await other.close()
    await storage.close()


def test_of_puts_that_fail_nothing_stays(s3_uri: str, network: FaultyHttp) -> None:
    """None of those that were made with it, where the caller said that they belong together."""
    handler = ObjectStoreDataHandler(s3_uri)
    handler.setup()
    keys = [record_key(f"r{number}") for number in range(10)]
    network.answer(403, only=is_put_of("r7"))
    with refused(StorageIOError, "AccessDenied"):
        handler.put_new([(key, b"{}\n") for key in keys])
    assert handler.existing(keys) == set()
    handler.close()


async def test_of_one_uid_given_twice_the_last_is_put(store: SQLiteObjectStore, network: FaultyHttp) -> None:
    """Puts of a group go side by side: the earlier one, if it were made and slow, would come to lie on top."""
    uid = "twice"
    async with store.open() as storage:
        await save_run(storage)
        references = await storage.save_records([(a_record(uid), OLD), (a_record(uid), NEW)])
        assert sum(is_put_of(uid)(method, path) for method, path in network.requests) == 1
        assert await storage.get_records_data(references) == [NEW, NEW]
