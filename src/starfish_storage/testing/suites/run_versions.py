"""The contract of what stands of inputs that ended: running them again, judging their outputs anew, and versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from starfish_storage.errors import InvalidDataError, InvalidInputError, InvalidStatusError, NotFoundError
from starfish_storage.interface import RunLedger, Storage
from starfish_storage.runs import ClaimedInput, Finished, Output, output_record_uid
from starfish_storage.testing.samples import MASTER_JOB, a_record, at
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_outcomes import records_of
from starfish_storage.testing.suites.run_samples import (
    a_worker,
    an_attempt,
    an_outcome,
    claim,
    finish_together,
    kept,
    run_again,
    start,
    there,
)
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
        # A verdict on what has been replaced meanwhile is not stored.
        seen = {
            one.record_uid: one.last_update_time for one in await storage.list_record_metadata(MASTER_JOB, two.job_id)
        }
        for others in ({}, dict.fromkeys(seen, at(0)), {**seen, "r": at(0)}):
            assert await ledger.settle_outputs(MASTER_JOB, two.job_id, judged, judged=others) == Finished()
        assert await records_of(storage, two) == found
        assert (await ledger.settle_outputs(MASTER_JOB, two.job_id, judged, judged=seen)).status == "completed"
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


class VersionTests(StorageSuite):
    """What an outcome replaces, or does not replace, is kept."""

    async def test_a_failed_attempt_leaves_a_better_outcome_alone(self, storage: Storage) -> None:
        """Status, counts, end and records; the attempt is stored, and its outputs that have data are versions."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, kept(0, "key"), Output("filtered", {"answer": 1}, "short")))
        before = there(await storage.get_execution_job(one.job_id))
        records = await storage.list_record_metadata(MASTER_JOB, one.job_id)
        again = await run_again(ledger, one)
        failed = an_outcome(again, UNFIT, Output("failed", None, "no"), UNFIT, status="failed", error_type="E")
        done = await ledger.finish_input(replace(failed, error_message="E: broken"), claim_next=True)
        assert (done.status, done.statuses) == ("completed", ["completed", "filtered"])
        assert there(done.claimed).position == 1
        after = there(await storage.get_execution_job(one.job_id))
        assert after.attempted_generations == 2
        changed = {"attempted_generations": 1, "last_update_time": before.last_update_time}
        assert after.model_copy(update=changed) == before
        assert await storage.list_record_metadata(MASTER_JOB, one.job_id) == records
        assert [attempt.status for attempt in await ledger.list_attempts(one.job_id)] == ["completed", "failed"]
        assert await versions_of(ledger, one) == [
            (1, True, "completed", {"answer": 0}),
            (2, False, "failed", {"answer": "unfit"}),
        ]
        assert await versions_of(ledger, one, 1) == [(1, True, "filtered", {"answer": 1})]
        assert await versions_of(ledger, one, 2) == [(2, False, "failed", {"answer": "unfit"})]
        # Its unique key stands as well.
        assert (await ledger.finish_input(an_outcome(there(done.claimed), kept(1, "key")))).status == "duplicate"

    async def test_a_better_outcome_takes_the_place(self, storage: Storage) -> None:
        """Of a failed one, and of a good one; what is replaced becomes a version, and verify finds nothing."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, UNFIT, UNFIT))
        for number in (2, 3):
            again = await run_again(ledger, one)
            assert (await ledger.finish_input(an_outcome(again, kept(number)))).status == "completed"
        assert await versions_of(ledger, one) == [
            (1, False, "failed", {"answer": "unfit"}),
            (2, False, "completed", {"answer": 2}),
            (3, True, "completed", {"answer": 3}),
        ]
        assert await records_of(storage, one) == {
            "0": ("completed", {"answer": 3}),
            "1": ("cancelled", {"answer": "unfit"}),
        }
        found = (await ledger.list_versions(output_record_uid(one.job_id, 0)))[0]
        assert (found.error_message, found.replaced_when is None) == ("check: Unfit", False)

    async def test_a_failed_outcome_takes_the_place_of_a_failed_one(self, storage: Storage) -> None:
        """Though it has no data: that of the one before becomes a version, and nothing is left behind."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, UNFIT))
        broken = an_outcome(await run_again(ledger, one), Output("failed", None, "E: broken"), status="failed")
        await ledger.finish_input(replace(broken, error_message="E: broken"))
        assert await records_of(storage, one) == {"0": ("failed", None)}
        assert there(await storage.get_execution_job(one.job_id)).error_message == "E: broken"
        assert await versions_of(ledger, one) == [(1, False, "failed", {"answer": "unfit"}), (2, True, "failed", None)]
        await ledger.finish_input(an_outcome(await run_again(ledger, one), kept(3)))
        assert await versions_of(ledger, one) == [
            (1, False, "failed", {"answer": "unfit"}),
            (3, True, "completed", {"answer": 3}),
        ]

    async def test_an_outcome_may_be_replaced_always(self, storage: Storage) -> None:
        """Good by failed, as long ago; but nothing is lost."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, kept(1), kept(2)))
        again = await run_again(ledger, one, "always")
        assert await records_of(storage, one) == {"0": ("completed", {"answer": 1}), "1": ("completed", {"answer": 2})}
        failed = an_outcome(again, Output("failed", None, "no"), status="failed")
        assert (await ledger.finish_input(failed)).status == "failed"
        assert await records_of(storage, one) == {"0": ("failed", None), "1": ("cancelled", {"answer": 2})}
        assert await versions_of(ledger, one) == [(1, False, "completed", {"answer": 1}), (2, True, "failed", None)]

    async def test_what_stands_survives_what_ends_a_retry(self, storage: Storage, store: StoreUnderTest) -> None:
        """The worker stops, or dies, or the store is closed: the input runs again, and its records are there."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, kept(1)))
        again = await run_again(ledger, one)
        await ledger.release_input(an_attempt(again, status="cancelled"))
        assert there(await storage.get_execution_job(one.job_id)).status == "pending"
        assert await records_of(storage, one) == {"0": ("completed", {"answer": 1})}
        (again,) = await claim(ledger)
        await ledger.remove_worker(a_worker(), at(70), died=True)
        await storage.close()
        async with store.open() as reopened:
            ledger = reopened.ledger
            await ledger.save_worker(a_worker())
            (again,) = await claim(ledger)
            assert again.job_id == one.job_id
            done = await ledger.finish_input(an_outcome(again, status="failed", error_type="E"))
            assert done.status == "completed"
            assert await records_of(reopened, one) == {"0": ("completed", {"answer": 1})}
            assert there(await reopened.get_execution_job(one.job_id)).attempted_generations == 4

    async def test_outputs_that_come_too_late_are_kept(self, storage: Storage) -> None:
        """Of a worker that was taken for dead: they were paid for."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.remove_worker(a_worker(), at(70), died=True)
        await ledger.save_worker(a_worker("worker-2"))
        (taken,) = await claim(ledger, 1, "worker-2")
        await ledger.finish_input(an_outcome(one, kept(1)))
        await ledger.finish_input(an_outcome(taken, kept(2), worker_id="worker-2"))
        await ledger.finish_input(an_outcome(taken, kept(3), worker_id="worker-2"))
        assert await versions_of(ledger, one) == [
            (1, False, "completed", {"answer": 1}),
            (2, True, "completed", {"answer": 2}),
            (3, False, "completed", {"answer": 3}),
        ]

    async def test_outputs_of_an_attempt_that_ended_nothing_are_kept(self, storage: Storage) -> None:
        """As versions, also of records that the input does not get later; with ``release``, the input is given back."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        failed = an_attempt(one, status="failed", error_type="E")
        assert await ledger.keep_attempt(failed, [kept(1), Output("failed", None, "no data"), UNFIT]) == 1
        await ledger.finish_input(an_outcome(one, kept(3)))
        assert await versions_of(ledger, one) == [
            (1, False, "completed", {"answer": 1}),
            (2, True, "completed", {"answer": 3}),
        ]
        assert await versions_of(ledger, one, 1) == []
        assert await versions_of(ledger, one, 2) == [(1, False, "failed", {"answer": "unfit"})]
        assert await ledger.keep_attempt(an_attempt(two, status="cancelled"), [kept(4)], release=True) == 1
        assert (await ledger.count_inputs(MASTER_JOB))["pending"] == 2
        assert await versions_of(ledger, two) == [(1, False, "completed", {"answer": 4})]
        with refused(InvalidDataError, "answer"):
            await ledger.keep_attempt(failed, [Output("completed", {"answer": {1}})])
        with refused(InvalidStatusError, "pending"):
            await ledger.keep_attempt(failed, [Output("pending", {})])
        assert [one.number for one in await ledger.list_attempts(one.job_id)] == [1, 2]

    async def test_borrowed_data_outlives_what_replaces_it(self, storage: Storage, store: StoreUnderTest) -> None:
        """A record of another uid refers to it: also when its versions are removed, and when there is data again."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, kept(1)))
        (record,) = await storage.list_record_metadata(MASTER_JOB, one.job_id)
        place = there(record.output_ref)
        await storage.log_record_metadata(a_record("borrower", one.job_id, status="duplicate", output_ref=place))
        nothing = an_outcome(await run_again(ledger, one, "always"), Output("failed", None, "no"), status="failed")
        await ledger.finish_input(nothing)
        assert await storage.get_record_data(place) == {"answer": 1}
        await ledger.restore_version(record.record_uid, 1)
        await ledger.finish_input(replace(nothing, claimed=await run_again(ledger, one, "always")))
        await ledger.remove_versions(await ledger.now() + timedelta(hours=1))
        assert await storage.get_record_data(place) == {"answer": 1}
        await ledger.finish_input(an_outcome(await run_again(ledger, one), kept(2)))
        assert await storage.get_record_data(place) == {"answer": 2}
        await storage.delete_master_job(MASTER_JOB)
        assert store.raw_keys() == set()

    async def test_a_duplicate_may_make_an_outcome_a_failed_one(self, storage: Storage) -> None:
        """Whether it does is known only once its unique keys are looked up; then the earlier one stands."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(one, kept(1, "key")))
        await ledger.finish_input(an_outcome(two, kept(2)))
        done = await ledger.finish_input(an_outcome(await run_again(ledger, two), kept(3, "key"), UNFIT))
        assert (done.status, done.statuses) == ("completed", ["completed"])
        assert await versions_of(ledger, two) == [
            (1, True, "completed", {"answer": 2}),
            (2, False, "completed", {"answer": 3}),
        ]

    async def test_a_version_is_restored(self, storage: Storage) -> None:
        """The current one becomes a version; counts and status follow; a key that is taken makes it a duplicate."""
        ledger = await start(storage)
        one, two = await claim(ledger, 2)
        uid = output_record_uid(one.job_id, 0)
        await ledger.finish_input(an_outcome(one, kept(1, "key")))
        worse = an_outcome(await run_again(ledger, one, "always"), UNFIT)
        assert (await ledger.finish_input(worse)).status == "failed"
        for _ in range(2):
            await ledger.restore_version(uid, 1)
            assert await versions_of(ledger, one) == [
                (1, True, "completed", {"answer": 1}),
                (2, False, "failed", {"answer": "unfit"}),
            ]
        job = there(await storage.get_execution_job(one.job_id))
        assert (job.status, job.completed_record_count, job.failed_record_count) == ("completed", 1, 0)
        assert (job.error_message, job.attempted_generations) == (None, 2)
        assert (await ledger.finish_input(an_outcome(two, kept(4, "key")))).status == "duplicate"
        await ledger.restore_version(uid, 2)
        assert there(await storage.get_execution_job(one.job_id)).status == "failed"
        await ledger.settle_outputs(MASTER_JOB, two.job_id, [Output("completed", None, None, "key")])
        await ledger.restore_version(uid, 1)
        assert await versions_of(ledger, one) == [
            (1, True, "duplicate", {"answer": 1}),
            (2, False, "failed", {"answer": "unfit"}),
        ]
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 1, "duplicate": 1}
        with refused(NotFoundError, uid):
            await ledger.restore_version(uid, 7)
        with refused(NotFoundError, uid):
            await ledger.get_version_data(uid, 7)
        with refused(NotFoundError, "nowhere"):
            await ledger.restore_version("nowhere", 1)
        assert await ledger.list_versions("nowhere") == []
        await run_again(ledger, one)
        with refused(InvalidInputError, uid):
            await ledger.restore_version(uid, 2)

    async def test_a_version_without_a_record_is_restored(self, storage: Storage) -> None:
        """Of an outcome with more outputs, which did not take the place of a better one."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, kept(1)))
        await ledger.finish_input(an_outcome(await run_again(ledger, one), UNFIT, UNFIT))
        await ledger.restore_version(output_record_uid(one.job_id, 1), 2)
        assert await records_of(storage, one) == {
            "0": ("completed", {"answer": 1}),
            "1": ("failed", {"answer": "unfit"}),
        }
        assert there(await storage.get_execution_job(one.job_id)).produced_outputs_count == 2

    async def test_old_versions_are_removed(self, storage: Storage) -> None:
        """With their data; current outputs stay, however old."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        for number in range(3):
            await ledger.finish_input(an_outcome(one, kept(number)))
            one = await run_again(ledger, one)
        assert await ledger.remove_versions(at(0)) == []
        found = await ledger.remove_versions(await ledger.now() + timedelta(hours=1), dry_run=True)
        assert [version.number for version in found] == [1, 2]
        assert len(await ledger.list_versions(output_record_uid(one.job_id, 0))) == 3
        assert await ledger.remove_versions(await ledger.now() + timedelta(hours=1)) == found
        assert await versions_of(ledger, one) == [(3, True, "completed", {"answer": 2})]

    async def test_versions_are_deleted_with_their_run(self, storage: Storage, store: StoreUnderTest) -> None:
        """And their data."""
        ledger = await start(storage)
        (one,) = await claim(ledger)
        await ledger.finish_input(an_outcome(one, kept(1)))
        await ledger.finish_input(an_outcome(await run_again(ledger, one), kept(2)))
        await ledger.finish_input(an_outcome(await run_again(ledger, one), UNFIT, UNFIT))
        assert len(store.raw_keys()) >= 2
        await storage.delete_master_job(MASTER_JOB)
        assert store.raw_keys() == set()
        assert await ledger.list_versions(output_record_uid(one.job_id, 0)) == []

    async def test_many_outcomes_at_once_are_kept_or_replaced(self, storage: Storage) -> None:
        """Good ones and failed ones, first ones and later ones, in one group."""
        ledger = await start(storage, 12)
        held = await claim(ledger, 8)
        await finish_together(ledger, [an_outcome(one, kept(one.position)) for one in held])
        assert await ledger.reset_inputs(MASTER_JOB, ["completed"]) == 8
        again = await claim(ledger, 12)
        outcomes = [
            an_outcome(one, UNFIT if one.position % 2 else kept(100 + one.position, f"{one.position // 4}"))
            for one in again
        ]
        done = await finish_together(ledger, outcomes)
        assert sorted(str(one.status) for one in done[:8:2]) == ["completed"] * 2 + ["duplicate"] * 2
        assert {one.status for one in done[1:8:2]} == {"completed"}
        for one in again[:8]:
            first, second = await versions_of(ledger, one)
            assert (first[1], second[1]) == (one.position % 2 == 1, one.position % 2 == 0)
            assert first[3] == {"answer": one.position}


async def versions_of(ledger: RunLedger, one: ClaimedInput, number: int = 0) -> list[tuple[int, bool, str, Any]]:
    """Return number, whether it is the current one, status and data of the versions of an output's record."""
    uid = output_record_uid(one.job_id, number)
    return [
        (version.number, version.is_current, version.status, await ledger.get_version_data(uid, version.number))
        for version in await ledger.list_versions(uid)
    ]
