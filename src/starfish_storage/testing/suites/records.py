"""The contract of the metadata of records."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from starfish_storage.errors import (
    DataNotFoundError,
    InvalidIdError,
    InvalidInputError,
    InvalidStatusError,
    ParentNotFoundError,
)
from starfish_storage.interface import Storage
from starfish_storage.models import Record
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.testing.hostile import HOSTILE_IDS
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
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, assert_utc, refused


async def stored(storage: Storage, record_uid: str = RECORD) -> Record:
    """Return a record that has to be there."""
    record = await storage.get_record_metadata(record_uid)
    assert record is not None
    return record


class RecordTests(StorageSuite):
    """Logging and reading the metadata of records."""

    async def test_a_record_reads_back_as_it_was_logged(self, storage: Storage) -> None:
        """Every field is there, and ``output_ref`` is what saving the data returned."""
        await save_run(storage)
        reference = await storage.save_record_data(RECORD, MASTER_JOB, JOB, {"answer": 42})
        record = a_record(output_ref=reference)
        await storage.log_record_metadata(record)
        found = await stored(storage)
        assert found == record
        assert_utc(found.start_time, found.end_time, found.last_update_time)
        assert await storage.get_record_data(str(found.output_ref)) == {"answer": 42}

    async def test_a_record_without_data_reads_back(self, storage: Storage) -> None:
        """A failed record may have no data."""
        await save_run(storage)
        record = a_record(status="failed", output_ref=None, error_message=None)
        await storage.log_record_metadata(record)
        assert await stored(storage) == record

    async def test_an_unknown_record_is_none(self, storage: Storage) -> None:
        """Reading what is not there is no error."""
        assert await storage.get_record_metadata("nobody") is None

    async def test_what_is_read_can_be_changed_and_logged_again(self, storage: Storage) -> None:
        """It is an ordinary model: assigned values are validated, and copies and dumps work."""
        await save_run(storage)
        await storage.save_record(a_record(), {"a": 1})
        found = await stored(storage)
        assert Record(**found.model_dump()) == found == Record.model_validate_json(found.model_dump_json())
        found.status = "duplicate"
        with pytest.raises(ValueError, match="status"):
            found.status = "unknown"  # type: ignore[assignment]
        await storage.log_record_metadata(found)
        assert await stored(storage) == found

    async def test_logging_again_updates(self, storage: Storage) -> None:
        """The last call counts, in every field; the data stays."""
        await save_run(storage)
        await storage.log_execution_job_start(an_execution_job("job-2"))
        reference = await storage.save_record(a_record(), {"a": 1})
        again = a_record(
            job_id="job-2", status="filtered", start_time=at(900), end_time=at(901), error_message=None, output_ref=None
        )
        for _ in range(2):
            await storage.log_record_metadata(again)
        assert await storage.get_records_for_master_job(MASTER_JOB) == [again]
        assert await storage.list_record_metadata(MASTER_JOB, JOB) == []
        assert await storage.get_record_data(reference) == {"a": 1}

    async def test_a_record_of_an_unknown_job_is_refused(self, storage: Storage) -> None:
        """The message names what is missing."""
        await save_run(storage)
        with refused(ParentNotFoundError, "no-job"):
            await storage.log_record_metadata(a_record(job_id="no-job"))
        with refused(ParentNotFoundError, "no-master"):
            await storage.log_record_metadata(a_record(master_job_id="no-master"))
        assert await storage.get_record_metadata(RECORD) is None

    async def test_a_record_of_a_job_of_another_master_job_is_refused(self, storage: Storage) -> None:
        """Else deleting that master job would delete a record of this one."""
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        stray = a_record(master_job_id="master-2")
        with refused(InvalidInputError, "master-2"):
            await storage.log_record_metadata(stray)
        with refused(InvalidInputError, "master-2"):
            await storage.save_records([(a_record("good"), {}), (stray, {})])
        assert await storage.list_record_metadata(MASTER_JOB, JOB) == []
        assert await storage.get_records_for_master_job("master-2") == []

    async def test_a_refused_update_leaves_the_record(self, storage: Storage) -> None:
        """All or nothing."""
        await save_run(storage)
        await storage.log_record_metadata(a_record())
        with refused(ParentNotFoundError, "no-job"):
            await storage.log_record_metadata(a_record(job_id="no-job", status="failed"))
        assert await stored(storage) == a_record()

    async def test_a_row_never_points_at_data_that_is_not_there(self, storage: Storage) -> None:
        """The data comes first."""
        await save_run(storage)
        other = await storage.save_record_data("other", MASTER_JOB, JOB, {})
        missing = other.replace("other", "missing")
        with refused(DataNotFoundError, missing):
            await storage.log_record_metadata(a_record(output_ref=missing))
        assert await storage.get_record_metadata(RECORD) is None

    async def test_a_record_may_refer_to_the_data_of_another(self, storage: Storage) -> None:
        """For example the record of a duplicate."""
        await save_run(storage)
        reference = await storage.save_record(a_record(), {"a": 1})
        await storage.log_record_metadata(a_record("record-2", status="duplicate", output_ref=reference))
        assert (await stored(storage, "record-2")).output_ref == reference

    async def test_every_status_is_accepted(self, storage: Storage) -> None:
        """By both ways of saving a record."""
        await save_run(storage)
        for status in RECORD_STATUSES:
            await storage.log_record_metadata(a_record(status=status))
            assert (await stored(storage)).status == status
            await storage.save_record(a_record(status, status=status), {})
            assert (await stored(storage, status)).status == status

    async def test_unknown_statuses_are_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """Nothing is written, data neither."""
        await save_run(storage)
        unknown: list[Any] = ["unknown", "Completed", "", "completed_with_errors", None, 3, []]
        for status in unknown:
            record = a_record().model_copy(update={"status": status})
            with refused(InvalidStatusError, status):
                await storage.log_record_metadata(record)
            with refused(InvalidStatusError, status):
                await storage.save_record(record, {})
        assert await storage.get_records_for_master_job(MASTER_JOB) == []
        assert store.raw_keys() == set()

    async def test_naive_times_are_utc_and_other_zones_are_converted(self, storage: Storage) -> None:
        """On the way out every time is aware and in UTC."""
        await save_run(storage)
        naive = datetime(2026, 1, 31, 12)  # noqa: DTZ001 (what is tested)
        elsewhere = datetime(2026, 1, 31, 6, 0, 5, tzinfo=timezone(timedelta(hours=-6)))
        await storage.log_record_metadata(a_record(start_time=naive, end_time=elsewhere, last_update_time=naive))
        found = await stored(storage)
        assert (found.start_time, found.end_time, found.last_update_time) == (at(0), at(5), at(0))
        assert_utc(found.start_time, found.end_time, found.last_update_time)

    async def test_a_foreign_model_with_the_attributes_is_accepted(self, storage: Storage) -> None:
        """By both ways of saving a record; its own ``output_ref`` is set."""
        await save_run(storage)
        await storage.log_record_metadata(as_foreign_model(a_record()))
        assert await stored(storage) == a_record()
        foreign = as_foreign_model(a_record(), record_uid="f", output_ref=None)
        reference = await storage.save_record(foreign, {"a": 1})
        assert foreign.output_ref == reference
        assert await stored(storage, "f") == a_record("f", output_ref=reference)

    @pytest.mark.parametrize("junk", [None, "record-1", {"record_uid": "r"}], ids=repr)
    async def test_what_is_no_record_is_refused(self, storage: Storage, junk: Any) -> None:
        """It needs the attributes of one."""
        with refused(InvalidInputError, "Record"):
            await storage.log_record_metadata(junk)
        with refused(InvalidInputError, "Record"):
            await storage.save_record(junk, {})

    async def test_hostile_ids_are_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """In every call that writes; the message names the id, and nothing is written."""
        await save_run(storage)
        for hostile in HOSTILE_IDS:
            with refused(InvalidIdError, hostile):
                await storage.save_record_data(hostile, MASTER_JOB, JOB, {})
            with refused(InvalidIdError, hostile):
                await storage.save_record_data(RECORD, hostile, JOB, {})
            with refused(InvalidIdError, hostile):
                await storage.save_record_data(RECORD, MASTER_JOB, hostile, {})
            for field in ("record_uid", "job_id", "master_job_id"):
                record = a_record().model_copy(update={field: hostile})
                with refused(InvalidIdError, hostile):
                    await storage.log_record_metadata(record)
                with refused(InvalidIdError, hostile):
                    await storage.save_record(record, {})
        assert await storage.get_records_for_master_job(MASTER_JOB) == []
        assert store.raw_keys() == set()


class CountTests(StorageSuite):
    """Counting records by status."""

    async def test_records_are_counted_by_status(self, storage: Storage) -> None:
        """Only statuses that occur, and only of this master job."""
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        await storage.log_execution_job_start(an_execution_job("job-2", "master-2"))
        assert await storage.count_records_for_master_job(MASTER_JOB) == {}
        for number, status in enumerate(["completed", "completed", "filtered", "failed"]):
            await storage.log_record_metadata(a_record(str(number), status=status))
        await storage.log_record_metadata(a_record("x", "job-2", "master-2", status="completed"))
        count = storage.count_records_for_master_job
        assert await count(MASTER_JOB) == {"completed": 2, "filtered": 1, "failed": 1}
        assert await count("master-2") == {"completed": 1}
        assert await count("nobody") == {}
        assert await count(MASTER_JOB, ["filtered", "pending"]) == {"filtered": 1}
        assert await count(MASTER_JOB, ["pending"]) == {}
        assert await count(MASTER_JOB, []) == await count(MASTER_JOB)

    async def test_counts_follow_updates(self, storage: Storage) -> None:
        """A changed status moves the record to another count; saving the same status again changes no count."""
        await save_run(storage)
        for uid in ("a", "b"):
            await storage.log_record_metadata(a_record(uid, status="pending"))
        for _ in range(2):
            await storage.save_record(a_record("a", status="completed"), {})
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"pending": 1, "completed": 1}

    async def test_counts_follow_a_record_to_another_master_job(self, storage: Storage) -> None:
        """It is counted where it is."""
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        await storage.log_execution_job_start(an_execution_job("job-2", "master-2"))
        await storage.log_record_metadata(a_record())
        await storage.log_record_metadata(a_record(RECORD, "job-2", "master-2"))
        assert await storage.count_records_for_master_job(MASTER_JOB) == {}
        assert await storage.count_records_for_master_job("master-2") == {"completed": 1}

    async def test_refused_records_are_not_counted(self, storage: Storage) -> None:
        """All or nothing."""
        await save_run(storage)
        with refused(ParentNotFoundError, "no-job"):
            await storage.save_records([(a_record("a"), {}), (a_record("b", "no-job"), {})])
        assert await storage.count_records_for_master_job(MASTER_JOB) == {}
