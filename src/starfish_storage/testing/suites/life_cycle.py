"""The contract of a storage's life: from `setup` to `close`, and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starfish_storage.errors import InvalidDataError, NotSetUpError, StorageClosedError
from starfish_storage.interface import Storage
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    PROJECT,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, collected, refused, skip_unless

Call = Callable[[Storage], Awaitable[Any]]

EVERY_CALL: dict[str, Call] = {
    "save_project": lambda s: s.save_project(a_project()),
    "get_project": lambda s: s.get_project(PROJECT),
    "list_projects": lambda s: s.list_projects(),
    "delete_project": lambda s: s.delete_project(PROJECT),
    "log_master_job_start": lambda s: s.log_master_job_start(a_master_job(s)),
    "log_master_job_end": lambda s: s.log_master_job_end(MASTER_JOB, "completed", {}, at(1), at(2)),
    "update_master_job_status": lambda s: s.update_master_job_status(MASTER_JOB, "running", at(1)),
    "get_master_job": lambda s: s.get_master_job(MASTER_JOB),
    "get_newest_master_job": lambda s: s.get_newest_master_job(),
    "list_master_jobs": lambda s: s.list_master_jobs(),
    "delete_master_job": lambda s: s.delete_master_job(MASTER_JOB),
    "log_execution_job_start": lambda s: s.log_execution_job_start(an_execution_job()),
    "log_execution_job_end": lambda s: s.log_execution_job_end(JOB, "completed", {}, at(1), at(2)),
    "get_execution_job": lambda s: s.get_execution_job(JOB),
    "list_execution_jobs": lambda s: s.list_execution_jobs(MASTER_JOB),
    "list_execution_jobs_by_master_id_and_config_hash": lambda s: s.list_execution_jobs_by_master_id_and_config_hash(
        MASTER_JOB, "hash", "completed"
    ),
    "completed_config_hashes": lambda s: s.completed_config_hashes(MASTER_JOB),
    "log_record_metadata": lambda s: s.log_record_metadata(a_record()),
    "get_record_metadata": lambda s: s.get_record_metadata(RECORD),
    "get_records_for_master_job": lambda s: s.get_records_for_master_job(MASTER_JOB),
    "count_records_for_master_job": lambda s: s.count_records_for_master_job(MASTER_JOB),
    "list_record_metadata": lambda s: s.list_record_metadata(MASTER_JOB, JOB),
    "iter_records": lambda s: collected(s.iter_records(MASTER_JOB)),
    "scan_records": lambda s: collected(s.scan_records(MASTER_JOB)),
    "scan_lines": lambda s: collected(s.scan_lines(MASTER_JOB)),
    "read_scanned": lambda s: collected(s.read_scanned([])),
    "iter_record_data": lambda s: collected(s.iter_record_data("data/00/record-1.json")),
    "locate_record_data": lambda s: s.locate_record_data("data/00/record-1.json"),
    "measure_size": lambda s: s.measure_size(),
    "search_records": lambda s: s.search_records("word"),
    "find_matching": lambda s: s.find_matching("word", ["record-1"]),
    "index_records": lambda s: s.index_records(),
    "drop_search_index": lambda s: s.drop_search_index(),
    "save_request_config": lambda s: s.save_request_config(s.generate_request_config_path(MASTER_JOB), {}),
    "get_request_config": lambda s: s.get_request_config(s.generate_request_config_path(MASTER_JOB)),
    "save_record_data": lambda s: s.save_record_data(RECORD, MASTER_JOB, JOB, {}),
    "get_record_data": lambda s: s.get_record_data("data/00/record-1.json"),
    "get_records_data": lambda s: s.get_records_data([]),
    "save_record": lambda s: s.save_record(a_record(), {}),
    "save_records": lambda s: s.save_records([]),
}
"""By name: one call of every method that needs an open store."""


async def save_something(storage: Storage) -> list[object]:
    """Save one of everything and return what the storage then says."""
    await save_run(storage)
    await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"model": "m"})
    await storage.save_record(a_record(), {"answer": 42})
    await storage.log_execution_job_end(JOB, "completed", {"completed": 1}, at(1), at(2))
    await storage.log_master_job_end(MASTER_JOB, "completed", {"completed": 1, "cost": 0.5}, at(3), at(4))
    return await what_is_there(storage)


async def what_is_there(storage: Storage) -> list[object]:
    """Return what a storage says of what `save_something` saved."""
    record = await storage.get_record_metadata(RECORD)
    assert record is not None
    return [
        await storage.list_projects(),
        await storage.list_master_jobs(),
        await storage.list_execution_jobs(MASTER_JOB),
        await storage.completed_config_hashes(MASTER_JOB),
        await storage.get_records_for_master_job(MASTER_JOB),
        await storage.count_records_for_master_job(MASTER_JOB),
        await storage.get_record_data(str(record.output_ref)),
        await storage.get_request_config(storage.generate_request_config_path(MASTER_JOB)),
    ]


class LifeCycleTests(StorageSuite):
    """Setting up, closing and opening again."""

    async def test_every_method_is_called_below(self) -> None:
        """No method of the contract is left out of these tests."""
        methods = {name for name, value in vars(Storage).items() if callable(value)}
        for part in Storage.__mro__[1:-2]:
            methods |= {name for name, value in vars(part).items() if callable(value)}
        public = {name for name in methods if not name.startswith("_")}
        assert public == {*EVERY_CALL, "setup", "close", "generate_request_config_path"}

    async def test_use_before_setup_and_after_close_is_refused(self, store: StoreUnderTest) -> None:
        """Of every method, with the remedy, and nothing is written."""
        storage = store.open()
        for call in EVERY_CALL.values():
            with refused(NotSetUpError, "setup()"):
                await call(storage)
        await storage.setup()
        await storage.close()
        for call in EVERY_CALL.values():
            with refused(StorageClosedError, "setup()"):
                await call(storage)
        assert store.raw_keys() == set()

    async def test_setup_and_close_are_idempotent(self, store: StoreUnderTest) -> None:
        """In any order; closing what was never open too."""
        storage = store.open()
        await storage.close()
        for _ in range(2):
            await storage.setup()
        await storage.save_project(a_project())
        await storage.setup()
        assert await storage.get_project(PROJECT) == a_project()
        for _ in range(2):
            await storage.close()

    async def test_a_closed_storage_can_be_set_up_again(self, store: StoreUnderTest) -> None:
        """The same object, several times."""
        storage = store.open()
        await storage.setup()
        saved = await save_something(storage)
        for _ in range(3):
            await storage.close()
            await storage.setup()
            assert await what_is_there(storage) == saved
        await storage.close()

    async def test_everything_is_there_after_opening_again(self, store: StoreUnderTest) -> None:
        """Another object opens the store, and it keeps working."""
        async with store.open() as storage:
            saved = await save_something(storage)
        async with store.open() as again:
            assert await what_is_there(again) == saved
            await again.save_record(a_record("record-2"), {"answer": 43})
            assert await again.count_records_for_master_job(MASTER_JOB) == {"completed": 2}

    async def test_a_block_closes_after_an_error_too(self, store: StoreUnderTest) -> None:
        """What was saved before it stays."""
        storage = store.open()
        with refused(InvalidDataError, RECORD):
            async with storage as same:
                assert same is storage
                await storage.save_project(a_project())
                await storage.save_record_data(RECORD, MASTER_JOB, JOB, {"a": object()})
        with refused(StorageClosedError):
            await storage.get_project(PROJECT)
        async with storage:
            assert await storage.get_project(PROJECT) == a_project()

    async def test_two_storages_see_each_others_writes(self, store: StoreUnderTest) -> None:
        """Needs ``SHARED``."""
        async with store.open() as one, store.open() as other:
            skip_unless(one, "SHARED")
            saved = await save_something(one)
            assert await what_is_there(other) == saved
            await other.save_record(a_record("record-2"), {"answer": 43})
            assert await one.count_records_for_master_job(MASTER_JOB) == {"completed": 2}
            await one.close()
            await other.save_record(a_record("record-3"), {"answer": 44})
            assert await other.count_records_for_master_job(MASTER_JOB) == {"completed": 3}

    async def test_the_storage_says_where_it_lies(self, store: StoreUnderTest) -> None:
        """Without being opened."""
        assert store.open().storage_uri == store.uri

    async def test_capabilities_are_declared_without_opening(self, store: StoreUnderTest) -> None:
        """They are known flags, and the published ones are there."""
        storage = store.open()
        known = {"QUERY_METADATA", "FILTER_STATUS", "STORE_LARGE_CONFIG", "ATOMIC_RECORDS"}
        known |= {"DELETE", "POWER_SAFE", "SHARED", "RELOCATABLE", "RUNS"}
        assert isinstance(storage.capabilities, frozenset)
        assert storage.capabilities <= known
        assert storage.capabilities >= {"QUERY_METADATA", "FILTER_STATUS"}


class RelocationTests(StorageSuite):
    """Moving a store; needs ``RELOCATABLE``."""

    async def test_everything_is_there_after_moving(self, store: StoreUnderTest) -> None:
        """References name the new place; those given out at the old one are understood."""
        async with store.open() as storage:
            skip_unless(storage, "RELOCATABLE")
            saved = await save_something(storage)
            job = a_master_job(storage, "master-2", storage_uri=store.uri)
            await storage.log_master_job_start(job)
            record = await storage.get_record_metadata(RECORD)
            config = storage.generate_request_config_path(MASTER_JOB)
            old_prefix, old_uri = store.reference_prefix, store.uri
        assert record is not None
        store.move()
        async with store.open() as moved:
            await self.check_moved(store, moved, old_prefix)
            assert await moved.get_record_data(str(record.output_ref)) == saved[6]
            assert await moved.get_records_data([str(record.output_ref)]) == [saved[6]]
            assert await moved.get_request_config(config) == saved[7]
            found = await moved.get_master_job("master-2")
            assert found is not None
            assert (found.storage_uri, store.uri != old_uri) == (store.uri, True)

    async def check_moved(self, store: StoreUnderTest, moved: Storage, old_prefix: str) -> None:
        """Check that every reference names the new place and can be followed."""
        assert store.reference_prefix != old_prefix
        record = await moved.get_record_metadata(RECORD)
        job = await moved.get_master_job(MASTER_JOB)
        assert record is not None
        assert job is not None
        assert record.output_ref == store.reference(store.key(str(record.output_ref)))
        assert await moved.get_record_data(str(record.output_ref)) == {"answer": 42}
        assert job.request_config_ref == moved.generate_request_config_path(MASTER_JOB)
        assert await moved.get_request_config(job.request_config_ref) == {"model": "m"}
        listed = await moved.get_records_for_master_job(MASTER_JOB)
        assert listed == [record] == await moved.list_record_metadata(MASTER_JOB, JOB)

    async def test_records_read_before_the_move_can_be_logged_after_it(self, store: StoreUnderTest) -> None:
        """Their old references are taken and turned into the new ones."""
        async with store.open() as storage:
            skip_unless(storage, "RELOCATABLE")
            await save_something(storage)
            record = await storage.get_record_metadata(RECORD)
            job = a_master_job(storage, "master-2")
        assert record is not None
        store.move()
        async with store.open() as moved:
            record.status = "filtered"
            await moved.log_record_metadata(record)
            found = await moved.get_record_metadata(RECORD)
            assert found is not None
            assert (found.status, store.key(str(found.output_ref))) != ("completed", None)
            await moved.log_master_job_start(job)
            started = await moved.get_master_job("master-2")
            assert started is not None
            assert started.request_config_ref == moved.generate_request_config_path("master-2")

    async def test_a_moved_store_goes_on(self, store: StoreUnderTest) -> None:
        """It is written to, and moved again."""
        async with store.open() as storage:
            skip_unless(storage, "RELOCATABLE")
            await save_something(storage)
        for number in range(2, 4):
            store.move()
            async with store.open() as moved:
                await moved.save_record(a_record(RECORD), {"answer": 42})
                reference = await moved.save_record(a_record(f"record-{number}"), {"answer": number})
                assert reference.startswith(store.reference_prefix)
                assert await moved.count_records_for_master_job(MASTER_JOB) == {"completed": number}
