"""The contract of a run whose list of inputs changes: more inputs, inputs that are gone, and that come back."""

from __future__ import annotations

import asyncio

from starfish_storage.errors import InvalidInputError, NotFoundError, ParentNotFoundError
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationJob, Record
from starfish_storage.runs import Output, RunInput
from starfish_storage.testing.samples import MASTER_JOB, a_master_job, at
from starfish_storage.testing.suites.run_samples import an_outcome, claim, inputs, kept, start, there
from starfish_storage.testing.suites.suite import StorageSuite, refused


class RunListTests(StorageSuite):
    """Changing the inputs of a run."""

    async def test_inputs_are_listed_by_position(self, storage: Storage) -> None:
        """In pages, from any position on."""
        ledger = await start(storage, 12)
        await start_other(storage)
        found = await ledger.list_inputs(MASTER_JOB, limit=100)
        assert [(one.position, one.status) for one in found] == [(number, "pending") for number in range(12)]
        assert [one.digest for one in found] == [one.digest() for one in inputs(12)]
        page = await ledger.list_inputs(MASTER_JOB, first=9, limit=2)
        assert page == found[9:11]
        assert await ledger.list_inputs(MASTER_JOB, after=page[-1], limit=5) == found[11:]
        assert await ledger.list_inputs("nowhere", limit=5) == []

    async def test_equal_inputs_of_all_runs_have_one_place(self, storage: Storage) -> None:
        """Page by page, also in the middle of equal ones, and whatever their status; jobs without an input are none."""
        ledger = await start(storage, 3)
        again = [RunInput(number, {"question": number % 3}) for number in range(3, 9)]
        await ledger.register_inputs(MASTER_JOB, again)
        await start_other(storage)
        claimed = await claim(ledger, 4)
        await ledger.finish_input(an_outcome(claimed[0], *(kept(number) for number in range(11))))
        await storage.log_execution_job_start(GenerationJob(job_id="bare", master_job_id=MASTER_JOB))
        found = await ledger.list_inputs_by_content(MASTER_JOB, limit=100)
        of_each = {one.digest(): one.run_config for one in inputs(3)}
        assert [one.digest for one in found] == [digest for digest in sorted(of_each) for _ in range(3)]
        assert {one.job_id for one in found} == {one.job_id for one in await ledger.list_inputs(MASTER_JOB, limit=99)}
        assert [(one.creation_time, one.job_id) for one in found[:3]] == sorted(
            ((one.creation_time, one.job_id) for one in found[:3]), reverse=True
        )
        assert sorted(one.status for one in found) == ["completed"] + ["pending"] * 5 + ["running"] * 3
        for size in (1, 2, 4):
            pages = [await ledger.list_inputs_by_content(MASTER_JOB, limit=size)]
            while pages[-1]:
                pages.append(await ledger.list_inputs_by_content(MASTER_JOB, after=pages[-1][-1], limit=size))
            assert [one for page in pages for one in page] == found, size
        other = await ledger.list_inputs_by_content("master-2", limit=9)
        assert {one.digest for one in other} <= set(of_each)
        assert await ledger.list_inputs_by_content("nowhere", limit=9) == []
        outputs = await ledger.list_outputs([one.job_id for one in found] + ["nothing"])
        assert list(outputs) == [claimed[0].job_id]
        data = await storage.get_records_data([str(one.output_ref) for one in outputs[claimed[0].job_id]])
        assert data == [{"answer": number} for number in range(11)]
        uids = [one.record_uid for one in outputs[claimed[0].job_id]]
        digest = next(one.digest for one in found if one.job_id == claimed[0].job_id)
        assert await ledger.find_contents([*uids, "nothing"]) == dict.fromkeys(uids, digest)

    async def test_a_complete_run_gets_more_inputs(self, storage: Storage) -> None:
        """And the target follows."""
        ledger = await start(storage)
        await ledger.complete_inputs(MASTER_JOB)
        await ledger.reopen_inputs(MASTER_JOB)
        await ledger.reopen_inputs(MASTER_JOB)
        assert not there(await ledger.get_run(MASTER_JOB)).inputs_complete
        await ledger.register_inputs(MASTER_JOB, inputs(5))
        assert await ledger.complete_inputs(MASTER_JOB) == 5
        with refused(ParentNotFoundError, "nowhere"):
            await ledger.reopen_inputs("nowhere")

    async def test_equal_inputs_are_appended_once(self, storage: Storage) -> None:
        """Of many who append at the same time, one does."""
        ledger = await start(storage)
        new = inputs(8)[3:]
        done = await asyncio.gather(*(ledger.append_inputs(MASTER_JOB, new, 3) for _ in range(5)))
        assert sorted(done) == [False, False, False, False, True]
        assert await ledger.count_inputs(MASTER_JOB) == {"pending": 8}
        assert not await ledger.append_inputs(MASTER_JOB, [RunInput(9, {"q": 1})], 7)
        with refused(ParentNotFoundError, "nowhere"):
            await ledger.append_inputs("nowhere", new, 0)

    async def test_an_input_that_is_gone_comes_back_as_it_was(self, storage: Storage) -> None:
        """With its records; meanwhile they are cancelled, count for nothing, and can be read."""
        ledger = await start(storage)
        first, second = await claim(ledger, 2)
        outputs = [kept(1), Output("filtered", {"answer": 2}, "too (short)"), Output("failed", None, "ValueError: no")]
        await ledger.finish_input(an_outcome(first, *outputs))
        before = await storage.get_execution_job(first.job_id), await ordered(storage, first.job_id)
        jobs = [job.job_id for job in await ledger.list_inputs(MASTER_JOB, limit=9)]
        assert await ledger.cancel_inputs(MASTER_JOB, jobs, at(9)) == 2  # not the one that is running
        assert await ledger.cancel_inputs(MASTER_JOB, jobs, at(9)) == 0
        assert await ledger.count_inputs(MASTER_JOB) == {"running": 1, "cancelled": 2}
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"cancelled": 3}
        assert await ledger.complete_inputs(MASTER_JOB) == 1
        assert await ledger.unregistered_inputs(MASTER_JOB, inputs(3)) == [0, 2]
        gone = await ordered(storage, first.job_id)
        assert gone[1].error_message == "not among the inputs of the run any more; before: filtered (too (short))"
        assert await storage.get_record_data(str(gone[0].output_ref)) == {"answer": 1}
        assert await ledger.restore_inputs(MASTER_JOB, jobs, at(10)) == 2
        assert await ledger.restore_inputs(MASTER_JOB, jobs, at(10)) == 0
        after = await storage.get_execution_job(first.job_id), await ordered(storage, first.job_id)
        assert [plain(one) for one in (after[0], *after[1])] == [plain(one) for one in (before[0], *before[1])]
        assert await ledger.count_inputs(MASTER_JOB) == {"running": 1, "completed": 1, "pending": 1}
        assert second.job_id in jobs

    async def test_what_comes_back_may_be_a_duplicate(self, storage: Storage) -> None:
        """If another output has its unique key by now."""
        ledger = await start(storage)
        first, second = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(first, kept(1, "same")))
        await ledger.cancel_inputs(MASTER_JOB, [first.job_id], at(9))
        assert (await ledger.finish_input(an_outcome(second, kept(1, "same")))).statuses == ["completed"]
        await ledger.restore_inputs(MASTER_JOB, [first.job_id], at(10))
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 1, "duplicate": 1}
        assert await ledger.count_inputs(MASTER_JOB) == {"completed": 1, "duplicate": 1, "pending": 1}

    async def test_inputs_of_others_are_refused(self, storage: Storage) -> None:
        """And nothing changes."""
        ledger = await start(storage)
        (own, *_), (other, *_) = await ledger.list_inputs(MASTER_JOB, limit=9), await start_other(storage)
        for change in (ledger.cancel_inputs, ledger.restore_inputs):
            with refused(InvalidInputError, other):
                await change(MASTER_JOB, [own.job_id, other], at(9))
            with refused(NotFoundError, "nothing"):
                await change(MASTER_JOB, [own.job_id, "nothing"], at(9))
        assert await ledger.count_inputs(MASTER_JOB) == {"pending": 3}


async def start_other(storage: Storage) -> list[str]:
    """Start another run, and return the ids of its inputs."""
    ledger = storage.ledger
    await storage.log_master_job_start(a_master_job(storage, "master-2"))
    await ledger.start_run("master-2")
    await ledger.register_inputs("master-2", inputs(2))
    return [one.job_id for one in await ledger.list_inputs("master-2", limit=9)]


async def ordered(storage: Storage, job_id: str) -> list[Record]:
    """Return the records of an input by uid."""
    return sorted(await storage.list_record_metadata(MASTER_JOB, job_id), key=lambda one: one.record_uid)


def plain(one: GenerationJob | Record | None) -> dict[str, object]:
    """Return a job or record without the time of its last change."""
    return there(one).model_dump(exclude={"last_update_time"})
