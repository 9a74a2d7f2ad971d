"""The contract of what stands of inputs that ended: running them again, judging their outputs anew, and versions."""

from __future__ import annotations

from dataclasses import replace

from starfish_storage.errors import InvalidInputError, InvalidStatusError, NotFoundError
from starfish_storage.interface import Storage
from starfish_storage.runs import Finished, Output
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_outcomes import records_of
from starfish_storage.testing.suites.run_samples import an_outcome, claim, kept, run_again, start, there
from starfish_storage.testing.suites.suite import StorageSuite, refused

UNFIT = Output("failed", {"answer": "unfit"}, "check: Unfit")


class SettlingTests(StorageSuite):
    """Judging what is stored, and finding what to run again."""

    async def test_inputs_with_a_failed_output_are_run_again(self, storage: Storage) -> None:
        """Whatever became of the rest, and whatever their status; its error is looked at as well."""
        ledger = await start(storage, 6)
        held = await claim(ledger, 5)
        outputs = ((kept(),), (kept(), UNFIT), (Output("filtered", {}), UNFIT), (UNFIT,), (kept(), kept()))
        for one, made in zip(held, outputs, strict=True):
            await ledger.finish_input(an_outcome(one, *made))
        whole = an_outcome(await run_again(ledger, held[4]), kept())  # the other is cancelled: nothing is lacking
        await ledger.finish_input(whole)
        assert await ledger.reset_inputs(MASTER_JOB, [], error_text="other", failed_outputs=True) == 0
        assert await ledger.reset_inputs(MASTER_JOB, ["failed"], error_text="unfit") == 0  # of the inputs themselves
        assert await ledger.reset_inputs(MASTER_JOB, [], error_text="UNFIT", failed_outputs=True) == 3
        assert [one.position for one in await claim(ledger, 9)] == [1, 2, 3, 5]
        assert await ledger.reset_inputs(MASTER_JOB, ["completed"], failed_outputs=True) == 2

    async def test_inputs_that_lack_a_record_are_run_again(self, storage: Storage) -> None:
        """As after a repair that could not rebuild it: the job says how many there were."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        for each in (one, two):
            await ledger.finish_input(an_outcome(each, kept()))
        job = there(await storage.get_execution_job(one.job_id))
        await storage.log_execution_job_start(job.model_copy(update={"produced_outputs_count": 2}))
        assert await ledger.reset_inputs(MASTER_JOB, ["failed"], failed_outputs=True, job_ids=[two.job_id]) == 0
        assert await ledger.reset_inputs(MASTER_JOB, ["failed"], failed_outputs=True) == 1
        assert [again.job_id for again in await claim(ledger)] == [one.job_id]

    async def test_stored_outputs_are_judged_anew(self, storage: Storage, store: StoreUnderTest) -> None:
        """Status, error and unique key change; data, attempts and times of the input stay."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(one, kept(1, "a"), UNFIT))
        await ledger.finish_input(an_outcome(two, UNFIT, UNFIT))
        keys, attempts = store.raw_keys(), await ledger.list_attempts(two.job_id)
        before = there(await storage.get_execution_job(two.job_id))
        assert before.status == "failed"
        judged = [Output("completed", None, None, "a"), Output("completed", None, None, "b")]
        for _ in range(2):
            done = await ledger.settle_outputs(MASTER_JOB, two.job_id, judged)
            assert done == Finished("completed", ["duplicate", "completed"])
        after = there(await storage.get_execution_job(two.job_id))
        assert (after.status, after.completed_record_count, after.duplicate_record_count) == ("completed", 1, 1)
        assert (after.error_message, after.failed_record_count) == (None, 0)
        assert (after.start_time, after.end_time) == (before.start_time, before.end_time)
        found = await records_of(storage, two)
        assert found == {"0": ("duplicate", {"answer": "unfit"}), "1": ("completed", {"answer": "unfit"})}
        assert (store.raw_keys(), await ledger.list_attempts(two.job_id)) == (keys, attempts)
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 2, "failed": 1, "duplicate": 1}
        done = await ledger.settle_outputs(MASTER_JOB, one.job_id, [Output("failed", None, "no"), UNFIT])
        assert done == Finished("failed", ["failed", "failed"])
        assert there(await storage.get_execution_job(one.job_id)).error_message == "no"
        assert [(group.kind, group.inputs) for group in await ledger.list_errors(MASTER_JOB)] == [("refused output", 2)]
        # Its key is free by now.
        assert (await ledger.settle_outputs(MASTER_JOB, two.job_id, judged)).statuses == ["completed", "completed"]

    async def test_what_cannot_be_judged_is_refused(self, storage: Storage) -> None:
        """Outputs of another number, another run, a status that no output has; and what runs is left alone."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        failed = an_outcome(one, UNFIT, status="failed", error_type="E")
        await ledger.finish_input(replace(failed, error_message="E: broken"))
        state = [await storage.get_execution_job(one.job_id), await records_of(storage, one)]
        for outputs in ((), (kept(), kept())):
            with refused(InvalidInputError, one.job_id):
                await ledger.settle_outputs(MASTER_JOB, one.job_id, outputs)
        with refused(InvalidInputError, "nowhere"):
            await ledger.settle_outputs("nowhere", one.job_id, [kept()])
        with refused(NotFoundError, "nobody"):
            await ledger.settle_outputs(MASTER_JOB, "nobody", [kept()])
        with refused(InvalidStatusError):
            await ledger.settle_outputs(MASTER_JOB, one.job_id, [Output("pending", None)])
        assert await ledger.settle_outputs(MASTER_JOB, two.job_id, []) == Finished()
        assert [await storage.get_execution_job(one.job_id), await records_of(storage, one)] == state
        # The attempt failed: its outputs may be good, and are not all.
        assert await ledger.settle_outputs(MASTER_JOB, one.job_id, [kept()]) == Finished("failed", ["completed"])
        assert there(await storage.get_execution_job(one.job_id)).error_message == "E: broken"
