"""The contract of master jobs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from starfish_storage.errors import (
    AlreadyExistsError,
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidReferenceError,
    InvalidStatusError,
    NotFoundError,
    ParentNotFoundError,
)
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.statuses import MASTER_JOB_STATUSES
from starfish_storage.testing.hostile import HOSTILE_IDS, NAMES_OF_NOTHING, NOT_JSON, hostile_references
from starfish_storage.testing.samples import (
    MASTER_JOB,
    PROJECT,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    as_foreign_model,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import StorageSuite, assert_same, assert_utc, refused

SUMMARY = {"completed": 7, "filtered": 1, "duplicate": 2, "failed": 3, "cost": 1.5, "by model": {"a": [1, 2]}}


async def start(storage: Storage, master_job_id: str = MASTER_JOB) -> GenerationMasterJob:
    """Save a project and start a master job in it."""
    await storage.save_project(a_project())
    job = a_master_job(storage, master_job_id)
    await storage.log_master_job_start(job)
    return job


async def stored(storage: Storage, master_job_id: str = MASTER_JOB) -> GenerationMasterJob:
    """Return a master job that has to be there."""
    job = await storage.get_master_job(master_job_id)
    assert job is not None
    return job


class MasterJobTests(StorageSuite):
    """Starting, ending, updating and reading master jobs."""

    async def test_the_newest_is_the_one_stored_last_whatever_its_times_say(self, storage: Storage) -> None:
        """Also after it was changed, or the one after it was deleted."""
        assert await storage.get_newest_master_job() is None
        await storage.save_project(a_project())
        for number, job_id in enumerate(("b", "c", "a")):
            job = a_master_job(storage, job_id)
            await storage.log_master_job_start(job.model_copy(update={"creation_time": at(-3600 * number)}))
        await storage.update_master_job_status("b", "running", at(5))
        newest = await storage.get_newest_master_job()
        assert newest == await stored(storage, "a")
        await storage.delete_master_job("a")
        newest = await storage.get_newest_master_job()
        assert newest == await stored(storage, "c")

    async def test_a_master_job_reads_back_as_it_was_started(self, storage: Storage) -> None:
        """Every field is there."""
        job = await start(storage)
        found = await stored(storage)
        assert found == job
        assert_same(found.output_schema, job.output_schema)
        assert_utc(found.creation_time, found.start_time, found.end_time, found.last_update_time)

    async def test_a_master_job_of_defaults_reads_back(self, storage: Storage) -> None:
        """Optional fields stay None."""
        await storage.save_project(a_project())
        job = GenerationMasterJob(
            project_id=PROJECT,
            request_config_ref=storage.generate_request_config_path("m"),
            output_schema={},
            storage_uri="file:///x",
            target_record_count=0,
        )
        await storage.log_master_job_start(job)
        assert await storage.get_master_job(job.master_job_id) == job

    async def test_an_unknown_master_job_is_none(self, storage: Storage) -> None:
        """Reading what is not there is no error."""
        assert await storage.get_master_job("nobody") is None

    async def test_a_second_start_is_refused_and_leaves_the_first(self, storage: Storage) -> None:
        """Starting it a second time is refused."""
        job = await start(storage)
        await storage.log_execution_job_start(an_execution_job())
        with refused(AlreadyExistsError, MASTER_JOB):
            await storage.log_master_job_start(a_master_job(storage, name="another", status="pending"))
        assert await stored(storage) == job
        assert len(await storage.list_execution_jobs(MASTER_JOB)) == 1

    async def test_a_start_in_an_unknown_project_is_refused(self, storage: Storage) -> None:
        """The message names the project."""
        with refused(ParentNotFoundError, "no-project"):
            await storage.log_master_job_start(a_master_job(storage, project_id="no-project"))
        assert await storage.list_master_jobs() == []

    async def test_the_end_sets_status_summary_counts_and_times(self, storage: Storage) -> None:
        """The summary is kept whole, and its four known names become the counts."""
        job = await start(storage)
        await storage.log_master_job_end(MASTER_JOB, "completed_with_errors", SUMMARY, at(500), at(501))
        found = await stored(storage)
        assert_same(found.summary, SUMMARY)
        assert found == job.model_copy(
            update={
                "status": "completed_with_errors",
                "summary": SUMMARY,
                "completed_record_count": 7,
                "filtered_record_count": 1,
                "duplicate_record_count": 2,
                "failed_record_count": 3,
                "end_time": at(500),
                "last_update_time": at(501),
            }
        )
        assert_utc(found.end_time, found.last_update_time)

    async def test_counts_that_a_summary_lacks_are_zero(self, storage: Storage) -> None:
        """A count that the summary does not name is zero."""
        await start(storage)
        await storage.log_master_job_end(MASTER_JOB, "completed", {"completed": 5, "total_cost": 3}, at(1), at(2))
        found = await stored(storage)
        assert found.summary == {"completed": 5, "total_cost": 3}
        assert (found.completed_record_count, found.filtered_record_count) == (5, 0)
        assert (found.duplicate_record_count, found.failed_record_count) == (0, 0)

    async def test_the_last_end_counts(self, storage: Storage) -> None:
        """A second end replaces the first; ending without a summary clears it and its counts."""
        await start(storage)
        await storage.log_master_job_end(MASTER_JOB, "completed", SUMMARY, at(1), at(2))
        await storage.log_master_job_end(MASTER_JOB, "failed", None, at(3), at(4))
        found = await stored(storage)
        assert (found.status, found.summary, found.completed_record_count) == ("failed", None, 0)
        assert (found.end_time, found.last_update_time) == (at(3), at(4))

    async def test_an_end_of_an_unknown_job_is_refused(self, storage: Storage) -> None:
        """And no master job is created."""
        with refused(NotFoundError, "nobody"):
            await storage.log_master_job_end("nobody", "completed", {}, at(1), at(2))
        assert await storage.list_master_jobs() == []

    async def test_a_status_update_changes_status_and_time_only(self, storage: Storage) -> None:
        """Everything else stays, its execution jobs too."""
        await save_run(storage)
        before = await stored(storage)
        await storage.update_master_job_status(MASTER_JOB, "cancelled", at(600))
        changed = {"status": "cancelled", "last_update_time": at(600)}
        assert await stored(storage) == before.model_copy(update=changed)
        assert len(await storage.list_execution_jobs(MASTER_JOB)) == 1

    async def test_a_status_update_of_an_unknown_job_is_refused(self, storage: Storage) -> None:
        """The message names it."""
        with refused(NotFoundError, "nobody"):
            await storage.update_master_job_status("nobody", "running", at(1))

    async def test_every_status_is_accepted(self, storage: Storage) -> None:
        """At the start, as an update and at the end."""
        await storage.save_project(a_project())
        for status in MASTER_JOB_STATUSES:
            await storage.log_master_job_start(a_master_job(storage, status, status=status))
            assert (await stored(storage, status)).status == status
            await storage.update_master_job_status(status, "pending", at(1))
            await storage.update_master_job_status(status, status, at(1))
            assert (await stored(storage, status)).status == status
            await storage.update_master_job_status(status, "pending", at(1))
            await storage.log_master_job_end(status, status, None, at(1), at(2))
            assert (await stored(storage, status)).status == status

    async def test_unknown_statuses_are_refused(self, storage: Storage) -> None:
        """Everywhere, and nothing changes. ``filtered`` is a status of records, not of master jobs."""
        job = await start(storage)
        unknown: list[Any] = ["unknown", "COMPLETED", "", "filtered", None, 3, []]
        for status in unknown:
            other = a_master_job(storage, "other").model_copy(update={"status": status})
            with refused(InvalidStatusError, status):
                await storage.log_master_job_start(other)
            with refused(InvalidStatusError, status):
                await storage.update_master_job_status(MASTER_JOB, status, at(1))
            with refused(InvalidStatusError, status):
                await storage.log_master_job_end(MASTER_JOB, status, {}, at(1), at(2))
        assert await storage.list_master_jobs() == [job]

    async def test_naive_times_are_utc_and_other_zones_are_converted(self, storage: Storage) -> None:
        """On the way out every time is aware and in UTC."""
        await start(storage)
        naive = datetime(2026, 1, 31, 12)  # noqa: DTZ001 (what is tested)
        elsewhere = datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2)))
        await storage.log_master_job_end(MASTER_JOB, "completed", None, naive, elsewhere)
        found = await stored(storage)
        assert (found.end_time, found.last_update_time) == (at(0), at(0))
        assert_utc(found.end_time, found.last_update_time)
        await storage.update_master_job_status(MASTER_JOB, "failed", naive + timedelta(seconds=9))
        assert (await stored(storage)).last_update_time == at(9)

    async def test_an_output_schema_may_be_a_json_string(self, storage: Storage) -> None:
        """It reads back as the object."""
        await storage.save_project(a_project())
        await storage.log_master_job_start(a_master_job(storage, output_schema='{"type": ["object", null]}'))
        assert (await stored(storage)).output_schema == {"type": ["object", None]}

    async def test_a_foreign_model_with_the_attributes_is_accepted(self, storage: Storage) -> None:
        """Another library's model will do, with JSON as text and without our own additions."""
        await storage.save_project(a_project())
        foreign = as_foreign_model(a_master_job(storage), output_schema='{"type": "object"}')
        del foreign.summary
        await storage.log_master_job_start(foreign)
        assert await stored(storage) == a_master_job(storage, output_schema={"type": "object"}, summary=None)

    async def test_a_summary_that_is_not_json_is_refused(self, storage: Storage) -> None:
        """The job stays as it is."""
        job = await start(storage)
        for make, _ in NOT_JSON.values():
            value = make()
            if value is not None:
                with refused(InvalidDataError, "summary"):
                    await storage.log_master_job_end(MASTER_JOB, "completed", value, at(1), at(2))
        assert await stored(storage) == job

    async def test_an_output_schema_that_is_not_json_is_refused(self, storage: Storage) -> None:
        """And no job is made."""
        await storage.save_project(a_project())
        for make, _ in NOT_JSON.values():
            job = a_master_job(storage).model_copy(update={"output_schema": make()})
            with refused(InvalidDataError, "output_schema"):
                await storage.log_master_job_start(job)
        assert await storage.list_master_jobs() == []

    async def test_counts_that_are_no_integers_are_refused(self, storage: Storage) -> None:
        """The message names the count; the job stays as it is."""
        job = await start(storage)
        for count in ("7", 1.5, None, 2**63):
            with refused(InvalidInputError, "completed"):
                await storage.log_master_job_end(MASTER_JOB, "completed", {"completed": count}, at(1), at(2))
        assert await stored(storage) == job

    async def test_times_that_are_none_are_refused(self, storage: Storage) -> None:
        """An update without its time is no update."""
        job = await start(storage)
        no_moments: list[Any] = [None, "2026-01-31", 0]
        for moment in no_moments:
            with refused(InvalidInputError, "update_time"):
                await storage.update_master_job_status(MASTER_JOB, "running", moment)
        assert await stored(storage) == job

    async def test_request_configurations_elsewhere_are_refused(self, storage: Storage) -> None:
        """It is deleted with the job: it must not lie elsewhere, nor be something of the store's."""
        await storage.save_project(a_project())
        for reference in (reference for reference in hostile_references() if reference not in NAMES_OF_NOTHING):
            job = a_master_job(storage).model_copy(update={"request_config_ref": reference})
            with refused(InvalidReferenceError, reference):
                await storage.log_master_job_start(job)
        assert await storage.list_master_jobs() == []

    async def test_record_data_is_no_request_configuration(self, storage: Storage) -> None:
        """Else deleting the job would delete a record's data."""
        await save_run(storage)
        reference = await storage.save_record(a_record(), {"a": 1})
        with refused(InvalidReferenceError, reference):
            await storage.log_master_job_start(a_master_job(storage, "other", request_config_ref=reference))

    async def test_hostile_ids_are_refused(self, storage: Storage) -> None:
        """In every call that writes; the message names the id."""
        job = await start(storage)
        for hostile in HOSTILE_IDS:
            for field in ("master_job_id", "project_id"):
                with refused(InvalidIdError, hostile):
                    await storage.log_master_job_start(
                        a_master_job(storage, "other").model_copy(update={field: hostile})
                    )
            with refused(InvalidIdError, hostile):
                await storage.log_master_job_end(hostile, "completed", None, at(1), at(2))
            with refused(InvalidIdError, hostile):
                await storage.update_master_job_status(hostile, "completed", at(1))
        assert await storage.list_master_jobs() == [job]
