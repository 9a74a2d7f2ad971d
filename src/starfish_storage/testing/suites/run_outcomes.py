"""The contract of what came of a run's inputs: outcomes, attempts, paid steps, totals and errors."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest

from starfish_storage.errors import (
    InvalidDataError,
    InvalidInputError,
    InvalidStatusError,
    NotFoundError,
)
from starfish_storage.interface import RunLedger, Storage
from starfish_storage.runs import (
    WAITS_FOR_STORE,
    ClaimedInput,
    Finished,
    Output,
    Step,
    Usage,
    output_record_uid,
)
from starfish_storage.testing.samples import MASTER_JOB, a_master_job, at
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_samples import (
    WORKER,
    a_state,
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
from starfish_storage.testing.suites.suite import StorageSuite, outcome, refused

NEGATIVE, HUGE = Usage("m", -1), Usage("m", 2**62)
BAD_USAGE: dict[str, Any] = {
    "negative tokens": NEGATIVE,
    "negative output": Usage("m", 0, -5),
    "huge tokens": HUGE,
    "huger tokens": Usage("m", 0, 2**70),
    "tokens by halves": Usage("m", 1.5),  # type: ignore[arg-type]
    "negative cost": Usage("m", 0, 0, -0.1),
    "no number for a cost": Usage("m", 0, 0, math.nan),
    "endless cost": Usage("m", 0, 0, math.inf),
    "text for a cost": Usage("m", 0, 0, "1"),  # type: ignore[arg-type]
    "surrogate": Usage("lone \ud800"),
}
"""What a run's totals cannot take."""


async def records_of(storage: Storage, claimed: ClaimedInput) -> dict[str, tuple[str, Any]]:
    """Return status and data of an input's records, by the end of their uids."""
    found = await storage.list_record_metadata(MASTER_JOB, claimed.job_id)
    return {
        record.record_uid.removeprefix(f"{claimed.job_id}-"): (
            record.status,
            None if record.output_ref is None else await storage.get_record_data(record.output_ref),
        )
        for record in found
    }


async def all_of(storage: Storage, ledger: RunLedger, claimed: ClaimedInput, store: StoreUnderTest) -> list[Any]:
    """Return all that finishing an input changes."""
    return [
        await storage.get_execution_job(claimed.job_id),
        await storage.list_record_metadata(MASTER_JOB, claimed.job_id),
        await ledger.list_attempts(claimed.job_id),
        await ledger.get_run(MASTER_JOB),
        await ledger.count_inputs(MASTER_JOB),
        store.raw_keys(),
    ]


class OutcomeTests(StorageSuite):
    """Finishing inputs."""

    async def test_an_outcome_is_stored_in_one_step(self, storage: Storage, store: StoreUnderTest) -> None:
        """Attempt, records, data, the end of the input, and the next claim."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        usage = (Usage("m", 10, 5, 0.25), Usage(None, 1, 0, 0.5))
        outputs = (kept(7), Output("filtered", {"a": 1}, "too short"), Output("failed", None, "none"))
        done = await ledger.finish_input(an_outcome(claimed, *outputs, usage=usage), claim_next=True)
        assert (done.status, done.statuses) == ("completed", ["completed", "filtered", "failed"])
        assert done.claimed is not None
        assert (done.claimed.position, done.claimed.run_config) == (1, {"question": 1})
        assert await ledger.count_inputs(MASTER_JOB) == {"completed": 1, "running": 1, "pending": 1}
        assert await records_of(storage, claimed) == {
            "0": ("completed", {"answer": 7}),
            "1": ("filtered", {"a": 1}),
            "2": ("failed", None),
        }
        assert len(store.raw_keys()) == 2
        job = await storage.get_execution_job(claimed.job_id)
        assert job is not None
        assert (job.attempted_generations, job.produced_outputs_count) == (1, 3)
        assert (job.completed_record_count, job.filtered_record_count, job.failed_record_count) == (1, 1, 1)
        assert (job.start_time, job.worker_id) == (at(10), WORKER)
        assert await ledger.list_attempts(claimed.job_id) == [an_attempt(claimed, usage=usage)]
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 1, 0, 11, 5, 0.75)
        assert await storage.completed_config_hashes(MASTER_JOB) == {job.run_config_hash}

    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            (["filtered", "completed"], "completed"),
            (["filtered", "failed"], "failed"),
            (["duplicate", "filtered"], "filtered"),
            (["duplicate"], "duplicate"),
            ([], "completed"),
        ],
    )
    async def test_the_status_of_an_input_follows_from_its_records(
        self, storage: Storage, statuses: list[Any], expected: str
    ) -> None:
        """See `status_of_input`."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        outputs = [Output(status, {"n": 1}) for status in statuses]
        assert (await ledger.finish_input(an_outcome(claimed, *outputs))).status == expected

    async def test_a_failed_attempt_makes_a_failed_input(self, storage: Storage) -> None:
        """With its error, and its record if there is one; there is no next one where none is left."""
        ledger = await start(storage, 1)
        (claimed,) = await claim(ledger)
        error = {"error_type": "ValueError", "error_message": "bad", "error_traceback": "line 1\nline 2"}
        outcome = an_outcome(claimed, Output("failed", None, "bad"), status="failed", **error)
        done = await ledger.finish_input(replace(outcome, error_message="ValueError: bad"), claim_next=True)
        assert done == Finished("failed", ["failed"], None)
        job = await storage.get_execution_job(claimed.job_id)
        assert there(job).error_message == "ValueError: bad"
        assert await ledger.list_attempts(claimed.job_id) == [an_attempt(claimed, status="failed", **error)]

    async def test_the_first_of_a_unique_key_is_kept(self, storage: Storage) -> None:
        """In one outcome, across inputs, and not across runs; what is not completed has no claim to a key."""
        ledger = await start(storage, 4)
        first, second, third, fourth = await claim(ledger, 4)
        filtered = Output("filtered", {"a": 0}, "no", "b")
        done = await ledger.finish_input(an_outcome(first, kept(0, "a"), filtered, kept(1, "a"), kept(2)))
        assert done.statuses == ["completed", "filtered", "duplicate", "completed"]
        done = await ledger.finish_input(an_outcome(second, kept(3, "b"), kept(4, "")))
        assert done.statuses == ["completed", "completed"]
        done = await ledger.finish_input(an_outcome(third, kept(5, "b"), kept(6, "")))
        assert (done.status, done.statuses) == ("duplicate", ["duplicate", "duplicate"])
        assert (await ledger.finish_input(an_outcome(fourth, kept(7), kept(8)))).status == "completed"
        record = await storage.get_record_metadata(output_record_uid(third.job_id, 0))
        assert output_record_uid(second.job_id, 0) in str(there(record).error_message)
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 6, "filtered": 1, "duplicate": 3}
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        await ledger.start_run("master-2")
        await ledger.register_inputs("master-2", [])
        assert await storage.get_record_data(str(there(record).output_ref)) == {"answer": 5}

    async def test_one_of_many_at_once_has_a_unique_key(self, storage: Storage) -> None:
        """However their calls overlap."""
        ledger = await start(storage, 20)
        held = await claim(ledger, 20)
        done = await finish_together(ledger, [an_outcome(one, kept(one.position, "key")) for one in held])
        assert sorted(str(one.status) for one in done) == ["completed"] + ["duplicate"] * 19

    async def test_an_input_that_is_run_again_gives_up_its_unique_keys(self, storage: Storage) -> None:
        """Its own earlier record is no reason for a duplicate; what it does not say again is free."""
        ledger = await start(storage, 3)
        first, second, third = await claim(ledger, 3)
        await ledger.finish_input(an_outcome(first, kept(0, "a"), kept(1, "b")))
        done = await ledger.finish_input(an_outcome(await run_again(ledger, first), kept(0, "b"), kept(1, "c")))
        assert done.statuses == ["completed", "completed"]
        assert (await ledger.finish_input(an_outcome(second, kept(2, "a")))).status == "completed"
        done = await ledger.finish_input(an_outcome(await run_again(ledger, first), kept(0)))
        assert done.statuses == ["completed"]
        assert (await ledger.finish_input(an_outcome(third, kept(3, "b"), kept(4, "c")))).status == "completed"

    async def test_records_without_a_successor_are_cancelled(self, storage: Storage) -> None:
        """Their data stays; one that has a successor is replaced."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        await ledger.finish_input(an_outcome(claimed, kept(0), kept(1), kept(2)))
        again = await run_again(ledger, claimed)
        assert again.attempts == 1
        await ledger.finish_input(an_outcome(again, kept(10)))
        assert await records_of(storage, claimed) == {
            "0": ("completed", {"answer": 10}),
            "1": ("cancelled", {"answer": 1}),
            "2": ("cancelled", {"answer": 2}),
        }
        assert [one.number for one in await ledger.list_attempts(claimed.job_id)] == [1, 2]

    async def test_an_outcome_without_the_claim_is_superseded(self, storage: Storage) -> None:
        """Of a worker that was taken for dead, or that says it twice: its records are not, and the attempt once."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        paid = (Usage("m", 1, 1, 0.5),)
        await ledger.save_step(Step(claimed.job_id, "call", {"result": 1}, 1, at(6), paid))
        await ledger.remove_worker(a_worker(), at(70), died=True)
        await ledger.save_worker(a_worker("worker-2"))
        (taken,) = await claim(ledger, 1, "worker-2")
        late = an_outcome(claimed, kept(1), usage=paid)
        assert await ledger.finish_input(late, claim_next=True) == Finished(None, [], None)
        assert await records_of(storage, claimed) == {}
        attempts = await ledger.list_attempts(claimed.job_id)
        assert attempts == [an_attempt(claimed, status="superseded", usage=paid)]
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 1, 0, 1, 1, 0.5)
        mine = an_outcome(taken, kept(2), worker_id="worker-2")
        assert (await ledger.finish_input(mine)).status == "completed"
        assert (await ledger.finish_input(mine)).status is None
        assert [one.status for one in await ledger.list_attempts(claimed.job_id)] == [
            "superseded",
            "completed",
            "superseded",
        ]
        assert await records_of(storage, claimed) == {"0": ("completed", {"answer": 2})}

    async def test_a_late_outcome_of_an_input_that_nobody_has_is_stored(self, storage: Storage) -> None:
        """Its worker was taken for dead: the outcome stands in place of the interrupted attempt."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        await ledger.remove_worker(a_worker(), at(70), died=True)
        paid = (Usage("m", 1, 1, 0.5),)
        late = an_outcome(claimed, kept(1), usage=paid)
        assert await ledger.finish_input(late, claim_next=True) == Finished("completed", ["completed"], None)
        assert await ledger.list_attempts(claimed.job_id) == [an_attempt(claimed, usage=paid)]
        assert await records_of(storage, claimed) == {"0": ("completed", {"answer": 1})}
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 1, 0, 1, 1, 0.5)

    async def test_what_waits_for_the_store_is_counted_once(self, storage: Storage) -> None:
        """An attempt is stored as interrupted while its data cannot be; then its outcome, or a failure, replaces it."""
        ledger = await start(storage)
        one, two, three = await claim(ledger, 3)
        paid = (Usage("m", 1, 1, 0.5),)
        for claimed in (one, two, three):
            waiting = an_attempt(claimed, status="interrupted", error_type=WAITS_FOR_STORE, usage=paid)
            assert await ledger.save_attempt(waiting) == 1
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 3, 3, 3, 3, 1.5)
        assert (await ledger.finish_input(an_outcome(one, kept(1), usage=paid))).status == "completed"
        assert await ledger.save_attempt(an_attempt(two, status="failed", usage=paid)) == 1
        assert await ledger.save_attempt(an_attempt(two, status="failed")) == 2
        await ledger.remove_worker(a_worker(), at(70), died=True)
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 5, 4, 3, 3, 1.5)
        found = {of.position: await ledger.list_attempts(of.job_id) for of in (one, two, three)}
        assert {position: [one.status for one in made] for position, made in found.items()} == {
            0: ["completed"],
            1: ["failed", "failed", "interrupted"],
            2: ["interrupted"],
        }

    async def test_one_refused_outcome_of_many_fails_alone(self, storage: Storage) -> None:
        """Though they are stored together."""
        ledger = await start(storage, 10)
        held = await claim(ledger, 10)
        await ledger.finish_input(an_outcome(held[4], kept(4)))
        done = await finish_together(ledger, [an_outcome(one, kept(100 + one.position)) for one in held])
        assert [one.position for one, of in zip(held, done, strict=True) if of.status is None] == [4]
        assert await records_of(storage, held[4]) == {"0": ("completed", {"answer": 4})}
        assert await ledger.count_inputs(MASTER_JOB) == {"completed": 10}
        assert there(await ledger.get_run(MASTER_JOB)).attempts == 11

    async def test_without_a_noted_worker_the_outcome_is_kept(self, storage: Storage) -> None:
        """It was paid for; only nothing more is claimed."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        job = await storage.get_execution_job(claimed.job_id)
        await storage.log_execution_job_start(there(job).model_copy(update={"worker_id": "unnoted"}))
        done = await ledger.finish_input(an_outcome(claimed, kept(1), worker_id="unnoted"), claim_next=True)
        assert done == Finished("completed", ["completed"], None)

    async def test_usage_that_cannot_be_totalled_is_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """In outcomes, attempts and steps; nothing is stored."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        before = await all_of(storage, ledger, claimed, store)
        for name, bad in BAD_USAGE.items():
            usage = (Usage("m", 1, 1, 0.1), bad)
            calls: list[Any] = [
                ledger.finish_input(an_outcome(claimed, kept(), usage=usage)),
                ledger.save_attempt(an_attempt(claimed, status="failed", usage=usage)),
                ledger.release_input(an_attempt(claimed, status="cancelled", usage=usage)),
                ledger.save_step(Step(claimed.job_id, "call", {}, 1, at(6), usage)),
            ]
            assert [await outcome(call) for call in calls] == [InvalidInputError] * len(calls), name
            assert await all_of(storage, ledger, claimed, store) == before, name
        assert await ledger.list_steps(claimed.job_id) == []

    async def test_an_outcome_that_does_not_fit_is_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """Nothing is stored, and the input stays claimed."""
        ledger = await start(storage)
        claimed, other = await claim(ledger, 2)
        before = await all_of(storage, ledger, claimed, store)
        bad: list[tuple[Any, Any]] = [
            (InvalidDataError, an_outcome(claimed, kept(), Output("completed", {"a": math.nan}))),
            (InvalidDataError, an_outcome(claimed, kept(), Output("completed", [1]))),  # type: ignore[arg-type]
            (InvalidStatusError, an_outcome(claimed, Output("pending", {}))),
            (InvalidStatusError, an_outcome(claimed, kept(), status="interrupted")),
            (InvalidStatusError, an_outcome(claimed, kept(), status="unheard-of")),
            (InvalidInputError, an_outcome(claimed, Output("completed", {}, "lone \ud800"))),
            (InvalidInputError, an_outcome(claimed, kept(0, "lone \ud800"))),
            (InvalidInputError, an_outcome(claimed, kept(0, 7))),  # type: ignore[arg-type]
            (InvalidInputError, replace(an_outcome(claimed), error_message="lone \ud800")),
            (InvalidInputError, an_outcome(claimed, kept(), error_message="lone \ud800")),
            (InvalidInputError, replace(an_outcome(claimed), attempt=an_attempt(other))),
            (InvalidInputError, an_outcome(replace(claimed, master_job_id="other"), kept())),
            (NotFoundError, an_outcome(replace(claimed, job_id="nowhere"), kept())),
        ]
        for kind, one in bad:
            with refused(kind):
                await ledger.finish_input(one)
        assert await all_of(storage, ledger, claimed, store) == before
        assert (await ledger.finish_input(an_outcome(claimed, kept(), error_message="NUL \0 is text"))).status

    async def test_an_attempt_belongs_to_its_run(self, storage: Storage) -> None:
        """It would be counted in the wrong totals; one of an unknown input is refused."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        with refused(InvalidInputError, claimed.job_id):
            await ledger.save_attempt(replace(an_attempt(claimed), master_job_id="other"))
        with refused(NotFoundError, "nowhere"):
            await ledger.save_attempt(replace(an_attempt(claimed), job_id="nowhere"))
        with refused(NotFoundError, "nowhere"):
            await ledger.release_input(replace(an_attempt(claimed), job_id="nowhere"))
        assert there(await ledger.get_run(MASTER_JOB)).attempts == 0

    async def test_no_attempt_is_lost_to_a_number(self, storage: Storage) -> None:
        """The count in the job's row can be set by others; numbers go on all the same."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        job = await storage.get_execution_job(claimed.job_id)
        numbers = await asyncio.gather(*(ledger.save_attempt(an_attempt(claimed, status="failed")) for _ in range(3)))
        assert sorted(numbers) == [1, 2, 3]
        await storage.log_execution_job_start(there(job))
        assert await ledger.save_attempt(an_attempt(claimed, status="failed")) == 4
        await ledger.finish_input(an_outcome(claimed))
        assert [one.number for one in await ledger.list_attempts(claimed.job_id)] == [1, 2, 3, 4, 5]
        state = await ledger.get_run(MASTER_JOB)
        assert (there(state).attempts, there(state).failed_attempts) == (5, 4)

    async def test_usage_that_comes_late_is_counted_once(self, storage: Storage) -> None:
        """In its attempt and in the totals of the run, whether the input has ended meanwhile or not."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        first, late = Usage("m", 1, 2, 0.5), Usage(None, 10, 20, 5)
        await ledger.save_attempt(an_attempt(claimed, status="failed", usage=(first,)))
        await asyncio.gather(*(ledger.add_usage(claimed.job_id, 1, [late, late]) for _ in range(3)))
        await ledger.finish_input(an_outcome(claimed, kept()))
        await ledger.add_usage(claimed.job_id, 2, [first])
        assert [one.usage for one in await ledger.list_attempts(claimed.job_id)] == [(first, *[late] * 6), (first,)]
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 2, 1, 62, 124, 31)
        with refused(NotFoundError, claimed.job_id):
            await ledger.add_usage(claimed.job_id, 3, [late])
        with refused(InvalidInputError, "cost"):
            await ledger.add_usage(claimed.job_id, 1, [Usage(cost=-1)])
        assert await ledger.get_run(MASTER_JOB) == a_state(3, 2, 1, 62, 124, 31)
