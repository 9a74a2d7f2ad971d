"""The contract under concurrency: many callers, cancelled calls, several event loops and threads."""

from __future__ import annotations

import asyncio
import threading

from starfish_storage.errors import (
    DataNotFoundError,
    IdCollisionError,
    InvalidStatusError,
    NotFoundError,
    ParentNotFoundError,
    StorageClosedError,
)
from starfish_storage.interface import Storage
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, outcome, skip_unless


class ConcurrencyTests(StorageSuite):
    """Several calls at a time."""

    async def test_many_callers_at_once(self, storage: Storage) -> None:
        """Every acknowledged record is there, with its data."""
        await save_run(storage)
        references = await asyncio.gather(
            *(storage.save_record(a_record(f"r{number}"), {"n": number}) for number in range(500))
        )
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 500}
        found = await asyncio.gather(*(storage.get_record_data(reference) for reference in references))
        assert [data["n"] for data in found] == list(range(500))

    async def test_upserts_of_one_id_at_once(self, storage: Storage) -> None:
        """One of them is the last, whole: row and data are of the same call."""
        await save_run(storage)
        await asyncio.gather(
            *(storage.save_record(a_record(error_message=str(number)), {"n": str(number)}) for number in range(50))
        )
        (record,) = await storage.get_records_for_master_job(MASTER_JOB)
        assert await storage.get_record_data(str(record.output_ref)) == {"n": record.error_message}

    async def test_one_bad_call_among_many_fails_alone(self, storage: Storage) -> None:
        """The others are carried out."""
        await save_run(storage)
        bad_status = a_record("bad").model_copy(update={"status": "bad"})
        results = await asyncio.gather(
            *(outcome(storage.save_record(a_record(f"r{number}"), {})) for number in range(20)),
            outcome(storage.save_record(a_record("orphan", "no-job"), {})),
            outcome(storage.save_record(bad_status, {})),
            outcome(storage.log_execution_job_end("nobody", "failed", {}, at(1), at(2))),
            *(outcome(storage.save_record(a_record(f"s{number}"), {})) for number in range(20)),
        )
        assert results[20:23] == [ParentNotFoundError, InvalidStatusError, NotFoundError]
        assert all(isinstance(result, str) for result in results[:20] + results[23:])
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 40}

    async def test_of_two_starts_at_once_one_is_refused(self, storage: Storage) -> None:
        """And the other one is stored as it was given."""
        await storage.save_project(a_project())
        jobs = [a_master_job(storage, name=name) for name in ("one", "other")]
        results = await asyncio.gather(*(outcome(storage.log_master_job_start(job)) for job in jobs))
        assert sorted(map(str, results)) == ["<class 'starfish_storage.errors.AlreadyExistsError'>", "None"]
        assert await storage.get_master_job(MASTER_JOB) == jobs[results.index(None)]

    async def test_of_two_uids_that_differ_in_case_at_once_one_is_refused(
        self, storage: Storage, store: StoreUnderTest
    ) -> None:
        """However the calls are grouped, one file is not made for both."""
        for first, second in (("abc", "ABC"), ("DEF", "def"), ("gHi", "GhI")):
            results = await asyncio.gather(
                *(outcome(storage.save_record_data(uid, MASTER_JOB, JOB, {"uid": uid})) for uid in (first, second))
            )
            assert results.count(IdCollisionError) == 1, (first, second)
        configs = await asyncio.gather(
            *(
                outcome(storage.save_request_config(storage.generate_request_config_path(master_job_id), {}))
                for master_job_id in ("master", "Master")
            )
        )
        assert configs.count(IdCollisionError) == 1
        folded = [key.lower() for key in store.raw_keys()]
        assert len(set(folded)) == len(folded)

    async def test_a_record_logged_while_its_data_is_deleted(self, storage: Storage) -> None:
        """Either the record is refused or the data stays: a row never points at nothing."""
        skip_unless(storage, "DELETE")
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        await storage.log_execution_job_start(an_execution_job("job-2", "master-2"))
        reference = await storage.save_record(a_record(), {"a": 1})
        borrower = a_record("borrower", "job-2", "master-2", output_ref=reference)
        deleted, logged = await asyncio.gather(
            outcome(storage.delete_master_job(MASTER_JOB)), outcome(storage.log_record_metadata(borrower))
        )
        assert deleted is None
        if logged is None:
            assert await storage.get_record_data(reference) == {"a": 1}
        else:
            assert logged is DataNotFoundError
            assert await storage.get_record_metadata("borrower") is None

    async def test_a_record_saved_anew_while_it_is_deleted(self, storage: Storage) -> None:
        """What is there afterwards is there whole."""
        skip_unless(storage, "DELETE")
        await save_run(storage)
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        await storage.log_execution_job_start(an_execution_job("job-2", "master-2"))
        await storage.save_record(a_record(), {"version": 1})
        await asyncio.gather(
            storage.delete_master_job(MASTER_JOB),
            storage.save_record(a_record(RECORD, "job-2", "master-2"), {"version": 2}),
        )
        record = await storage.get_record_metadata(RECORD)
        if record is not None:
            assert await storage.get_record_data(str(record.output_ref)) == {"version": 2}

    async def test_a_cancelled_call_is_whole_or_nothing(self, storage: Storage) -> None:
        """The storage keeps working, at whatever point the call was cancelled."""
        await save_run(storage)
        for steps in range(12):
            task = asyncio.ensure_future(storage.save_record(a_record(f"r{steps}"), {"n": steps}))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        reference = await storage.save_record(a_record("last"), {"n": -1})
        await storage.close()  # what was cancelled may still be carried out
        await storage.setup()
        records = await storage.get_records_for_master_job(MASTER_JOB)
        for record in records:
            assert await storage.get_record_data(str(record.output_ref)) is not None
        assert await storage.get_record_data(reference) == {"n": -1}
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": len(records)}

    async def test_closing_finishes_what_was_accepted(self, storage: Storage) -> None:
        """A call is acknowledged and there afterwards, or refused as closed and not there."""
        await save_run(storage)
        calls = [
            asyncio.ensure_future(outcome(storage.save_record(a_record(f"r{number}"), {}))) for number in range(50)
        ]
        await asyncio.sleep(0)
        await storage.close()
        late = await outcome(storage.save_record(a_record("late"), {}))
        results = await asyncio.gather(*calls)
        assert late is StorageClosedError
        assert {type(result) for result in results} == {str}, "these were accepted before close() was called"
        await storage.setup()
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 50}

    async def test_closing_from_another_thread_finishes_what_was_accepted(self, storage: Storage) -> None:
        """Also while the event loop of the callers is held up, so that they learn of it only later."""
        await save_run(storage)
        calls = [asyncio.ensure_future(outcome(storage.save_record(a_record(f"r{number}"), {}))) for number in range(5)]
        await asyncio.sleep(0)
        closing = threading.Thread(target=asyncio.run, args=[storage.close()])
        closing.start()
        closing.join()
        done, pending = await asyncio.wait(calls, timeout=60)
        assert not pending
        assert {type(call.result()) for call in done} == {str}
        await storage.setup()
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 5}

    async def test_several_threads_with_loops_of_their_own(self, storage: Storage) -> None:
        """One storage object serves them all at a time."""
        await save_run(storage)
        read: list[str] = []

        async def save_some(thread: int) -> None:
            for number in range(10):
                uid = f"t{thread}-{number}"
                reference = await storage.save_record(a_record(uid), {"uid": uid})
                read.append((await storage.get_record_data(reference))["uid"])
            listed = {record.record_uid for record in await storage.list_record_metadata(MASTER_JOB, JOB)}
            assert listed >= {f"t{thread}-{number}" for number in range(10)}

        threads = [threading.Thread(target=asyncio.run, args=[save_some(n)]) for n in range(3)]
        for thread in threads:
            thread.start()
        await save_some(3)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 40}
        assert sorted(read) == [f"t{thread}-{number}" for thread in range(4) for number in range(10)]

    async def test_readers_do_not_wait_for_writers(self, storage: Storage) -> None:
        """What was acknowledged is seen by the next read, in the midst of other writes."""
        await save_run(storage)
        others = [asyncio.ensure_future(storage.save_record(a_record(f"o{number}"), {})) for number in range(100)]
        for number in range(10):
            reference = await storage.save_record(a_record(f"r{number}"), {"n": number})
            assert await storage.get_record_data(reference) == {"n": number}
            assert await storage.get_record_metadata(f"r{number}") == a_record(f"r{number}", output_ref=reference)
        await asyncio.gather(*others)
