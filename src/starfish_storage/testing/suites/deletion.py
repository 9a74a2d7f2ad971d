"""The contract of deleting master jobs and projects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from starfish_storage.errors import DataNotFoundError, InvalidIdError, NotEmptyError, NotFoundError
from starfish_storage.interface import Storage
from starfish_storage.testing.hostile import HOSTILE_IDS
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    PROJECT,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    save_run,
)
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, outcome, refused, skip_unless


async def save_two_runs(storage: Storage) -> None:
    """Save two runs in one project, each with a request configuration and a record."""
    for number in ("1", "2"):
        await save_run(storage, f"master-{number}", f"job-{number}")
        path = storage.generate_request_config_path(f"master-{number}")
        await storage.save_request_config(path, {"run": number})
        await storage.save_record(a_record(f"record-{number}", f"job-{number}", f"master-{number}"), {"run": number})


async def reference_of(storage: Storage, record_uid: str = RECORD) -> str:
    """Return the reference to the data of a record that has to be there."""
    record = await storage.get_record_metadata(record_uid)
    assert record is not None
    return str(record.output_ref)


class DeletionTests(StorageSuite):
    """Needs ``DELETE``."""

    @pytest_asyncio.fixture
    async def storage(self, store: StoreUnderTest) -> AsyncIterator[Storage]:
        """Yield a storage with two runs, if it can delete."""
        async with store.open() as storage:
            skip_unless(storage, "DELETE")
            await save_two_runs(storage)
            yield storage

    async def test_a_master_job_goes_with_everything_in_it(self, storage: Storage, store: StoreUnderTest) -> None:
        """Execution jobs, records, data and request configuration; the other one stays whole."""
        reference, config = await reference_of(storage), storage.generate_request_config_path(MASTER_JOB)
        await storage.delete_master_job(MASTER_JOB)
        assert await storage.get_master_job(MASTER_JOB) is None
        assert await storage.get_execution_job(JOB) is None
        assert await storage.get_record_metadata(RECORD) is None
        assert await storage.list_execution_jobs(MASTER_JOB) == []
        assert await storage.get_records_for_master_job(MASTER_JOB) == []
        assert await storage.count_records_for_master_job(MASTER_JOB) == {}
        assert await storage.completed_config_hashes(MASTER_JOB) == set()
        with refused(DataNotFoundError, reference):
            await storage.get_record_data(reference)
        with refused(DataNotFoundError, config):
            await storage.get_request_config(config)
        other = await reference_of(storage, "record-2")
        assert store.raw_keys() == {
            store.key(other),
            store.key(storage.generate_request_config_path("master-2")),
        }

    async def test_the_other_master_job_stays_whole(self, storage: Storage) -> None:
        """With its jobs, records, data, configuration and counts; and so does the project."""
        await storage.delete_master_job(MASTER_JOB)
        assert await storage.get_project(PROJECT) == a_project()
        assert await storage.list_master_jobs() == [a_master_job(storage, "master-2")]
        assert await storage.list_execution_jobs("master-2") == [an_execution_job("job-2", "master-2")]
        assert await storage.count_records_for_master_job("master-2") == {"completed": 1}
        assert await storage.get_record_data(await reference_of(storage, "record-2")) == {"run": "2"}
        assert await storage.get_request_config(storage.generate_request_config_path("master-2")) == {"run": "2"}

    async def test_a_deletion_outlives_the_storage(self, storage: Storage, store: StoreUnderTest) -> None:
        """Nothing comes back when the store is opened again."""
        await storage.delete_master_job(MASTER_JOB)
        keys = store.raw_keys()
        await storage.close()
        await storage.setup()
        assert await storage.get_master_job(MASTER_JOB) is None
        assert store.raw_keys() == keys

    async def test_deleting_what_is_not_there_is_an_error(self, storage: Storage) -> None:
        """Also when it was deleted before."""
        await storage.delete_master_job(MASTER_JOB)
        with refused(NotFoundError, MASTER_JOB):
            await storage.delete_master_job(MASTER_JOB)
        with refused(NotFoundError, "nobody"):
            await storage.delete_project("nobody", cascade=True)

    async def test_what_was_deleted_can_be_made_anew(self, storage: Storage) -> None:
        """Under the same ids, in another case too, and starting from nothing."""
        await storage.delete_master_job(MASTER_JOB)
        await save_run(storage)
        assert await storage.list_record_metadata(MASTER_JOB, JOB) == []
        reference = await storage.save_record(a_record(), {"run": "anew"})
        assert await storage.get_record_data(reference) == {"run": "anew"}
        await storage.delete_master_job(MASTER_JOB)
        await save_run(storage, MASTER_JOB.upper(), JOB.upper())
        await storage.save_record(a_record(RECORD.upper(), JOB.upper(), MASTER_JOB.upper()), {})
        await storage.delete_master_job(MASTER_JOB.upper())
        await save_run(storage)
        await storage.save_record(a_record(), {})

    async def test_data_that_is_left_behind_keeps_its_name(self, storage: Storage, store: StoreUnderTest) -> None:
        """Its record refers to no data when it is deleted; another spelling of its uid would still be the same file."""
        await storage.save_record_data("LEFT", MASTER_JOB, JOB, {"left": 1})
        await storage.log_record_metadata(a_record("LEFT"))
        await storage.delete_master_job(MASTER_JOB)
        saved = await outcome(storage.save_record_data("left", MASTER_JOB, JOB, {"left": 2}))
        names = [key.rpartition("/")[2] for key in store.raw_keys() if "left" in key.lower()]
        assert len(names) == 1, (saved, names)

    async def test_a_configuration_that_is_left_behind_keeps_its_name(
        self, storage: Storage, store: StoreUnderTest
    ) -> None:
        """Its master job was started with the configuration of another, and took only that along."""
        await storage.save_request_config(storage.generate_request_config_path("LEFT"), {"left": 1})
        shared = storage.generate_request_config_path(MASTER_JOB)
        await storage.log_master_job_start(a_master_job(storage, "LEFT", request_config_ref=shared))
        await storage.delete_master_job("LEFT")
        saved = await outcome(storage.save_request_config(storage.generate_request_config_path("left"), {"left": 2}))
        names = [key.rpartition("/")[2] for key in store.raw_keys() if "left" in key.lower()]
        assert len(names) == 1, (saved, names)

    async def test_a_project_that_is_not_empty_is_kept(self, storage: Storage) -> None:
        """Unless the caller passes ``cascade``."""
        with refused(NotEmptyError, PROJECT):
            await storage.delete_project(PROJECT)
        assert [job.master_job_id for job in await storage.list_master_jobs(PROJECT)] == ["master-2", MASTER_JOB]
        assert await storage.get_record_metadata(RECORD) is not None

    async def test_an_empty_project_is_deleted(self, storage: Storage) -> None:
        """Others stay."""
        await storage.save_project(a_project("empty"))
        await storage.delete_project("empty")
        assert [project.project_id for project in await storage.list_projects()] == [PROJECT]
        with refused(NotFoundError, "empty"):
            await storage.delete_project("empty")

    async def test_a_project_goes_with_everything_in_it(self, storage: Storage, store: StoreUnderTest) -> None:
        """With ``cascade``; another project's jobs stay."""
        await save_run(storage, "master-3", "job-3", "project-3")
        reference = await storage.save_record(a_record("record-3", "job-3", "master-3"), {"run": "3"})
        await storage.delete_project(PROJECT, cascade=True)
        assert [project.project_id for project in await storage.list_projects()] == ["project-3"]
        assert [job.master_job_id for job in await storage.list_master_jobs()] == ["master-3"]
        assert store.raw_keys() == {store.key(reference)}

    async def test_borrowed_data_stays_while_it_is_needed(self, storage: Storage) -> None:
        """A record of another master job refers to it: its row must not point at nothing."""
        reference = await reference_of(storage)
        borrower = a_record("borrower", "job-2", "master-2", status="duplicate", output_ref=reference)
        await storage.log_record_metadata(borrower)
        await storage.delete_master_job(MASTER_JOB)
        assert await storage.get_record_metadata("borrower") == borrower
        assert await storage.get_record_data(reference) == {"run": "1"}
        await storage.delete_master_job("master-2")
        with refused(DataNotFoundError, reference):
            await storage.get_record_data(reference)

    async def test_borrowed_data_stays_with_its_owner(self, storage: Storage) -> None:
        """The borrower's deletion does not take it along."""
        reference = await reference_of(storage)
        await storage.log_record_metadata(a_record("borrower", "job-2", "master-2", output_ref=reference))
        await storage.delete_master_job("master-2")
        assert await storage.get_record_data(reference) == {"run": "1"}

    async def test_data_borrowed_within_what_is_deleted_goes(self, storage: Storage, store: StoreUnderTest) -> None:
        """Whichever of the two master jobs of a project is deleted first."""
        reference = await reference_of(storage)
        other = await reference_of(storage, "record-2")
        await storage.log_record_metadata(a_record("borrower-1", "job-1", "master-1", output_ref=reference))
        await storage.log_record_metadata(a_record("borrower-2", "job-2", "master-2", output_ref=reference))
        await storage.log_record_metadata(a_record("borrower-3", "job-1", "master-1", output_ref=other))
        await storage.delete_project(PROJECT, cascade=True)
        assert store.raw_keys() == set()

    async def test_a_shared_request_configuration_stays_while_it_is_needed(self, storage: Storage) -> None:
        """Another master job was started with the same one."""
        config = storage.generate_request_config_path(MASTER_JOB)
        await storage.log_master_job_start(a_master_job(storage, "master-3", request_config_ref=config))
        await storage.delete_master_job(MASTER_JOB)
        assert await storage.get_request_config(config) == {"run": "1"}
        await storage.delete_master_job("master-3")
        with refused(DataNotFoundError, config):
            await storage.get_request_config(config)

    async def test_records_of_another_master_job_stay(self, storage: Storage) -> None:
        """Even one that says it came from a job of this one, if such a record can be saved at all."""
        stray = a_record("stray", "job-1", "master-2")
        saved = await outcome(storage.save_record(stray, {"a": 1}))
        await storage.delete_master_job(MASTER_JOB)
        found = await storage.get_record_metadata("stray")
        if isinstance(saved, str):
            assert found == stray, "a record of master-2 was deleted with master-1"
        else:
            assert found is None

    async def test_the_store_goes_on_after_a_master_job_that_named_no_configuration(
        self, storage: Storage, store: StoreUnderTest
    ) -> None:
        """Deleting a master job removes a request configuration, and no other file of the store."""
        data = await reference_of(storage, "record-2")
        for number, named in enumerate(["metadata.db", "writer.lock", "data", "configs", store.key(data)]):
            job = a_master_job(storage, f"m{number}", request_config_ref=named)
            if await outcome(storage.log_master_job_start(job)) is None:
                await outcome(storage.delete_master_job(f"m{number}"))
        await storage.close()
        await storage.setup()
        assert await storage.get_record_data(data) == {"run": "2"}
        assert [job.master_job_id for job in await storage.list_master_jobs()] == ["master-2", MASTER_JOB]

    async def test_many_records_go_in_one_step(self, storage: Storage, store: StoreUnderTest) -> None:
        """More than are removed at once."""
        keys = store.raw_keys()
        await save_run(storage, "large", "large-job")
        await storage.save_records((a_record(f"r{number}", "large-job", "large"), {}) for number in range(2100))
        await storage.delete_master_job("large")
        assert store.raw_keys() == keys

    async def test_hostile_ids_are_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """The message names the id; nothing is deleted."""
        keys = store.raw_keys()
        for hostile in HOSTILE_IDS:
            with refused(InvalidIdError, hostile):
                await storage.delete_master_job(hostile)
            with refused(InvalidIdError, hostile):
                await storage.delete_project(hostile, cascade=True)
        assert store.raw_keys() == keys
        assert [job.master_job_id for job in await storage.list_master_jobs()] == ["master-2", MASTER_JOB]
