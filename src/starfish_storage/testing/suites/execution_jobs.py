"""The contract of execution jobs, and the resume look-ups."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any

from starfish_storage.errors import (
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidStatusError,
    NotFoundError,
    ParentNotFoundError,
)
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationJob
from starfish_storage.statuses import EXECUTION_JOB_STATUSES
from starfish_storage.testing.hostile import HOSTILE_IDS, NOT_JSON
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    RECORD,
    a_master_job,
    a_record,
    an_execution_job,
    as_foreign_model,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import StorageSuite, assert_same, assert_utc, refused

COUNTS = {"completed": 5, "filtered": 6, "duplicate": 7, "failed": 8, "retried": 9}


def hash_of(run_config: object) -> str:
    """Return the published identity of an input, worked out anew."""
    return hashlib.sha256(json.dumps(run_config, sort_keys=True).encode()).hexdigest()


async def stored(storage: Storage, job_id: str = JOB) -> GenerationJob:
    """Return an execution job that has to be there."""
    job = await storage.get_execution_job(job_id)
    assert job is not None
    return job


class ExecutionJobTests(StorageSuite):
    """Starting, ending and reading execution jobs."""

    async def test_an_execution_job_reads_back_as_it_was_started(self, storage: Storage) -> None:
        """Every field is there."""
        await save_run(storage)
        found = await stored(storage)
        assert found == an_execution_job()
        assert_same(found.run_config, an_execution_job().run_config)
        assert_utc(found.creation_time, found.start_time, found.end_time, found.last_update_time)
        assert found.get_duration_seconds() == an_execution_job().get_duration_seconds() != 0

    async def test_an_execution_job_of_defaults_reads_back(self, storage: Storage) -> None:
        """Optional fields stay None."""
        await save_run(storage)
        job = GenerationJob(master_job_id=MASTER_JOB)
        await storage.log_execution_job_start(job)
        assert await stored(storage, job.job_id) == job
        assert (job.run_config, job.run_config_hash) == (None, None)

    async def test_an_unknown_execution_job_is_none(self, storage: Storage) -> None:
        """Reading what is not there is no error."""
        assert await storage.get_execution_job("nobody") is None

    async def test_starting_again_updates_and_keeps_the_records(self, storage: Storage) -> None:
        """It is an upsert, and updating never deletes."""
        await save_run(storage)
        reference = await storage.save_record(a_record(), {"answer": 42})
        again = an_execution_job(status="pending", worker_id=None, run_config={"other": 1}, creation_time=at(700))
        await storage.log_execution_job_start(again)
        assert await storage.list_execution_jobs(MASTER_JOB) == [again]
        assert len(await storage.list_record_metadata(MASTER_JOB, JOB)) == 1
        assert await storage.get_record_data(reference) == {"answer": 42}

    async def test_assigned_status_is_logged_by_starting_again(self, storage: Storage) -> None:
        """The way callers go: ``job.status = ...``, and log it again."""
        await save_run(storage)
        job = await stored(storage)
        job.status = "completed"
        await storage.log_execution_job_start(job)
        assert (await stored(storage)).status == "completed"

    async def test_a_job_of_an_unknown_master_job_is_refused(self, storage: Storage) -> None:
        """The message names the master job."""
        with refused(ParentNotFoundError, "no-master"):
            await storage.log_execution_job_start(an_execution_job(master_job_id="no-master"))
        assert await storage.get_execution_job(JOB) is None

    async def test_an_update_to_an_unknown_master_job_is_refused(self, storage: Storage) -> None:
        """The job stays where it is."""
        await save_run(storage)
        with refused(ParentNotFoundError, "no-master"):
            await storage.log_execution_job_start(an_execution_job(master_job_id="no-master", status="failed"))
        assert await stored(storage) == an_execution_job()

    async def test_a_job_moves_to_another_master_job_without_records_only(self, storage: Storage) -> None:
        """Its records are of the master job that they were saved for."""
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        for master_job_id in ("master-2", MASTER_JOB):
            await storage.log_execution_job_start(an_execution_job(master_job_id=master_job_id))
            assert await storage.list_execution_jobs(master_job_id) == [an_execution_job(master_job_id=master_job_id)]
        await storage.save_record(a_record(), {})
        with refused(InvalidInputError, "master-2"):
            await storage.log_execution_job_start(an_execution_job(master_job_id="master-2", status="failed"))
        assert await stored(storage) == an_execution_job()
        assert len(await storage.list_record_metadata(MASTER_JOB, JOB)) == 1

    async def test_the_end_sets_status_counts_times_and_error(self, storage: Storage) -> None:
        """And leaves the rest. Counts of other names are taken too."""
        await save_run(storage)
        await storage.log_execution_job_end(JOB, "failed", COUNTS, at(800), at(801), "it broke")
        found = await stored(storage)
        assert found == an_execution_job().model_copy(
            update={
                "status": "failed",
                "completed_record_count": 5,
                "filtered_record_count": 6,
                "duplicate_record_count": 7,
                "failed_record_count": 8,
                "end_time": at(800),
                "last_update_time": at(801),
                "error_message": "it broke",
            }
        )
        assert_utc(found.end_time, found.last_update_time)

    async def test_the_last_end_counts(self, storage: Storage) -> None:
        """Counts that are not given are zero; without an error message an earlier one is cleared."""
        await save_run(storage)
        await storage.log_execution_job_end(JOB, "failed", COUNTS, at(1), at(2), "it broke")
        await storage.log_execution_job_end(JOB, "completed", {"filtered": 1}, at(3), at(4))
        found = await stored(storage)
        assert (found.status, found.error_message, found.end_time) == ("completed", None, at(3))
        assert (found.completed_record_count, found.filtered_record_count) == (0, 1)
        assert (found.duplicate_record_count, found.failed_record_count) == (0, 0)

    async def test_an_end_of_an_unknown_job_is_refused(self, storage: Storage) -> None:
        """And no execution job is created."""
        await save_run(storage)
        with refused(NotFoundError, "nobody"):
            await storage.log_execution_job_end("nobody", "completed", {}, at(1), at(2))
        assert len(await storage.list_execution_jobs(MASTER_JOB)) == 1

    async def test_every_status_is_accepted(self, storage: Storage) -> None:
        """At the start and at the end."""
        await save_run(storage)
        for status in EXECUTION_JOB_STATUSES:
            await storage.log_execution_job_start(an_execution_job(status=status))
            assert (await stored(storage)).status == status
            await storage.log_execution_job_start(an_execution_job(status="pending"))
            await storage.log_execution_job_end(JOB, status, {}, at(1), at(2))
            assert (await stored(storage)).status == status

    async def test_unknown_statuses_are_refused(self, storage: Storage) -> None:
        """Everywhere, and nothing changes."""
        await save_run(storage)
        unknown: list[Any] = ["unknown", "Completed", "", "completed_with_errors", None, 3, []]
        for status in unknown:
            with refused(InvalidStatusError, status):
                await storage.log_execution_job_start(an_execution_job().model_copy(update={"status": status}))
            with refused(InvalidStatusError, status):
                await storage.log_execution_job_end(JOB, status, {}, at(1), at(2))
            with refused(InvalidStatusError, status):
                await storage.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, "h", status)
        assert await stored(storage) == an_execution_job()

    async def test_naive_times_are_utc_and_other_zones_are_converted(self, storage: Storage) -> None:
        """On the way out every time is aware and in UTC, and durations come out right."""
        naive = datetime(2026, 1, 31, 12)  # noqa: DTZ001 (what is tested)
        elsewhere = datetime(2026, 1, 31, 14, 0, 3, tzinfo=timezone(timedelta(hours=2)))
        await save_run(storage)
        await storage.log_execution_job_start(an_execution_job(start_time=naive, creation_time=elsewhere))
        await storage.log_execution_job_end(JOB, "completed", {}, elsewhere, naive)
        found = await stored(storage)
        assert (found.start_time, found.creation_time, found.end_time) == (at(0), at(3), at(3))
        assert_utc(found.start_time, found.creation_time, found.end_time, found.last_update_time)
        assert at(found.get_duration_seconds() or 0) == at(3)

    async def test_a_run_config_may_be_a_json_string(self, storage: Storage) -> None:
        """It reads back as the object, and hashes like it."""
        await save_run(storage)
        await storage.log_execution_job_start(an_execution_job(run_config='{"b": 1, "a": "é"}'))
        found = await stored(storage)
        assert found.run_config == {"b": 1, "a": "é"}
        assert found.run_config_hash == hash_of({"a": "é", "b": 1})

    async def test_a_foreign_model_with_the_attributes_is_accepted(self, storage: Storage) -> None:
        """Another library's model will do, and gets the hash it lacks."""
        await save_run(storage)
        foreign = as_foreign_model(an_execution_job(), job_id="f", run_config='{"q": 1}', run_config_hash=None)
        await storage.log_execution_job_start(foreign)
        found = await stored(storage, "f")
        assert found.run_config == {"q": 1}
        assert found.run_config_hash == hash_of({"q": 1})

    async def test_a_run_config_that_is_not_json_is_refused(self, storage: Storage) -> None:
        """And counts that are not, in the same words."""
        await save_run(storage)
        for make, _ in NOT_JSON.values():
            value = make()
            if value is not None:
                job = an_execution_job("other").model_copy(update={"run_config": value})
                with refused(InvalidDataError, "run_config"):
                    await storage.log_execution_job_start(job)
                with refused(InvalidDataError, "counts"):
                    await storage.log_execution_job_end(JOB, "completed", value, at(1), at(2))
        assert await storage.list_execution_jobs(MASTER_JOB) == [an_execution_job()]

    async def test_counts_that_are_no_integers_are_refused(self, storage: Storage) -> None:
        """The message names the count; the job stays as it is."""
        await save_run(storage)
        no_counts: list[Any] = ["7", 1.5, None, 2**63]
        for count in no_counts:
            with refused(InvalidInputError, "failed"):
                await storage.log_execution_job_end(JOB, "completed", {"failed": count}, at(1), at(2))
        assert await stored(storage) == an_execution_job()

    async def test_hostile_ids_are_refused(self, storage: Storage) -> None:
        """In every call that writes; the message names the id."""
        await save_run(storage)
        for hostile in HOSTILE_IDS:
            for field in ("job_id", "master_job_id"):
                with refused(InvalidIdError, hostile):
                    await storage.log_execution_job_start(an_execution_job("x").model_copy(update={field: hostile}))
            with refused(InvalidIdError, hostile):
                await storage.log_execution_job_end(hostile, "completed", {}, at(1), at(2))
        assert await storage.list_execution_jobs(MASTER_JOB) == [an_execution_job()]


class ResumeTests(StorageSuite):
    """Finding out which inputs need not be paid for again."""

    async def test_the_hash_is_that_of_the_canonical_json(self, storage: Storage) -> None:
        """The order of keys does not matter; what Starfish hashes is what is hashed here."""
        await save_run(storage)
        config = {"z": [1, 2.5, None, True], "a": {"ü": "🐙", "b": ""}}
        await storage.log_execution_job_start(an_execution_job("a", run_config=config))
        await storage.log_execution_job_start(
            an_execution_job("b", run_config={"a": {"b": "", "ü": "🐙"}, "z": config["z"]})
        )
        assert (await stored(storage, "a")).run_config_hash == hash_of(config)
        assert (await stored(storage, "b")).run_config_hash == hash_of(config)

    async def test_a_given_hash_is_kept(self, storage: Storage) -> None:
        """Whoever gives one knows why."""
        await save_run(storage)
        await storage.log_execution_job_start(an_execution_job(run_config_hash="mine"))
        assert (await stored(storage)).run_config_hash == "mine"

    async def test_a_derived_hash_follows_the_input(self, storage: Storage) -> None:
        """Another input logged under the same id has another identity."""
        await save_run(storage)
        job = an_execution_job()
        job.run_config = {"another": "input"}
        await storage.log_execution_job_start(job)
        found = await storage.list_execution_jobs_by_master_id_and_config_hash(
            MASTER_JOB, hash_of({"another": "input"}), "running"
        )
        assert [job.job_id for job in found] == [JOB]

    async def test_the_jobs_of_one_input_in_one_status(self, storage: Storage) -> None:
        """Of this master job, with this hash, in this status, newest first, then by id, descending."""
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        for job_id, seconds, hashed, status, master_job_id in [
            ("a", 1, "h", "completed", MASTER_JOB),
            ("b", 2, "h", "completed", MASTER_JOB),
            ("c", 2, "h", "completed", MASTER_JOB),
            ("other-hash", 3, "i", "completed", MASTER_JOB),
            ("other-status", 3, "h", "failed", MASTER_JOB),
            ("other-master", 3, "h", "completed", "master-2"),
        ]:
            await storage.log_execution_job_start(
                an_execution_job(
                    job_id, master_job_id, run_config_hash=hashed, status=status, creation_time=at(seconds)
                )
            )
        look_up = storage.list_execution_jobs_by_master_id_and_config_hash
        assert [job.job_id for job in await look_up(MASTER_JOB, "h", "completed")] == ["c", "b", "a"]
        assert [job.job_id for job in await look_up(MASTER_JOB, "h", "failed")] == ["other-status"]
        assert await look_up(MASTER_JOB, "h", "pending") == []
        assert await look_up(MASTER_JOB, "nothing", "completed") == []
        assert await look_up("nobody", "h", "completed") == []

    async def test_all_completed_inputs_at_once(self, storage: Storage) -> None:
        """Each hash once; only of completed jobs of this master job; jobs without input have none."""
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        assert await storage.completed_config_hashes(MASTER_JOB) == set()
        for number, (hashed, status, master_job_id) in enumerate(
            [
                ("h", "completed", MASTER_JOB),
                ("h", "completed", MASTER_JOB),
                ("i", "completed", MASTER_JOB),
                ("j", "failed", MASTER_JOB),
                ("k", "completed", "master-2"),
            ]
        ):
            await storage.log_execution_job_start(
                an_execution_job(str(number), master_job_id, run_config_hash=hashed, status=status)
            )
        await storage.log_execution_job_start(an_execution_job("none", run_config=None, status="completed"))
        assert await storage.completed_config_hashes(MASTER_JOB) == {"h", "i"}
        await storage.log_execution_job_end("2", "failed", {}, at(1), at(2))
        await storage.log_execution_job_end(JOB, "completed", {}, at(1), at(2))
        config = an_execution_job().run_config
        assert await storage.completed_config_hashes(MASTER_JOB) == {"h", hash_of(config)}
        assert await storage.completed_config_hashes("nobody") == set()

    async def test_an_end_leaves_the_records(self, storage: Storage) -> None:
        """Updating never deletes."""
        await save_run(storage)
        await storage.save_record(a_record(), {})
        await storage.log_execution_job_end(JOB, "completed", {"completed": 1}, at(1), at(2))
        assert await storage.get_record_metadata(RECORD) is not None
