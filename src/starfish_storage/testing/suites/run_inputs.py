"""The contract of a run's inputs: storing them, claiming them, and the leases of workers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from starfish_storage.errors import (
    InvalidDataError,
    InvalidIdError,
    InvalidInputError,
    InvalidStatusError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.interface import Storage
from starfish_storage.runs import RunInput, Step, Usage, input_job_id
from starfish_storage.testing.hostile import HOSTILE_IDS
from starfish_storage.testing.samples import MASTER_JOB, PROJECT, a_master_job, a_project, at
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.run_samples import (
    WORKER,
    a_state,
    a_worker,
    an_attempt,
    an_outcome,
    claim,
    inputs,
    kept,
    start,
    there,
)
from starfish_storage.testing.suites.suite import StorageSuite, outcome, refused, skip_unless

BAD_POSITIONS: tuple[Any, ...] = (-1, 2**53 + 1, 2**63 - 1, 2**64, 1.5, "0", None)


class RunInputTests(StorageSuite):
    """Starting a run, and storing its inputs."""

    async def test_a_run_is_started_once(self, storage: Storage) -> None:
        """Starting it again changes nothing; a master job that is not a run has no state."""
        skip_unless(storage, "RUNS")
        await storage.save_project(a_project())
        await storage.log_master_job_start(a_master_job(storage))
        assert await storage.ledger.get_run(MASTER_JOB) is None
        assert await storage.ledger.get_run("nowhere") is None
        await storage.ledger.start_run(MASTER_JOB)
        await storage.ledger.register_inputs(MASTER_JOB, inputs(2))
        await storage.ledger.start_run(MASTER_JOB)
        assert await storage.ledger.get_run(MASTER_JOB) == a_state(2, 0, 0, 0, 0, 0.0)
        with refused(ParentNotFoundError, "nowhere"):
            await storage.ledger.start_run("nowhere")

    async def test_inputs_become_pending_execution_jobs(self, storage: Storage) -> None:
        """Under ids that follow from the run, the position and the input."""
        ledger = await start(storage)
        jobs = {job.job_id: job for job in await storage.list_execution_jobs(MASTER_JOB)}
        assert len(jobs) == len(inputs(3))
        for given in inputs(3):
            found = next(job for job in jobs.values() if job.run_config == given.run_config)
            assert found.job_id == input_job_id(MASTER_JOB, given.position, str(found.run_config_hash))
            assert (found.status, found.attempted_generations, found.worker_id) == ("pending", 0, None)
        assert await ledger.count_inputs(MASTER_JOB) == {"pending": 3}

    async def test_inputs_are_stored_once(self, storage: Storage) -> None:
        """The same input at the same place is there already; elsewhere, or another one, it is new."""
        ledger = await start(storage)
        assert await ledger.register_inputs(MASTER_JOB, inputs(5)) == 2
        assert await ledger.register_inputs(MASTER_JOB, inputs(5)) == 0
        assert await ledger.register_inputs(MASTER_JOB, []) == 0
        other = [RunInput(0, {"question": "other"}), RunInput(9, {"question": 0})]
        assert await ledger.unregistered_inputs(MASTER_JOB, [*inputs(7), *other]) == [5, 6, 0, 9]
        assert await ledger.register_inputs(MASTER_JOB, other) == 2
        assert there(await ledger.get_run(MASTER_JOB)).registered == 10

    async def test_many_inputs_go_together(self, storage: Storage) -> None:
        """Also more than fit one statement, some of which are there."""
        ledger = await start(storage, 70)
        assert await ledger.unregistered_inputs(MASTER_JOB, inputs(1000)) == list(range(70, 1000))
        assert await ledger.register_inputs(MASTER_JOB, inputs(1000)) == 930
        assert await ledger.count_inputs(MASTER_JOB) == {"pending": 1000}

    async def test_that_there_are_no_more_sets_the_target(self, storage: Storage) -> None:
        """Declaring it twice changes nothing; more inputs may still follow."""
        ledger = await start(storage)
        assert await ledger.complete_inputs(MASTER_JOB) == 3
        state, job = await ledger.get_run(MASTER_JOB), await storage.get_master_job(MASTER_JOB)
        assert there(state).inputs_complete
        assert there(job).target_record_count == 3

    async def test_inputs_need_a_run(self, storage: Storage) -> None:
        """A master job that was logged without `start_run` is not a run."""
        skip_unless(storage, "RUNS")
        await storage.save_project(a_project())
        await storage.log_master_job_start(a_master_job(storage))
        ledger = storage.ledger
        for call in (
            lambda: ledger.register_inputs(MASTER_JOB, inputs(1)),
            lambda: ledger.complete_inputs(MASTER_JOB),
            lambda: ledger.save_worker(a_worker()),
            lambda: ledger.reset_inputs(MASTER_JOB, ["failed"]),
        ):
            with refused(ParentNotFoundError, MASTER_JOB):
                await call()
        assert await storage.list_execution_jobs(MASTER_JOB) == []
        assert await ledger.count_inputs(MASTER_JOB) == {}
        assert await ledger.list_workers(MASTER_JOB) == []

    async def test_a_position_that_is_none_is_refused(self, storage: Storage) -> None:
        """And nothing of the call is stored."""
        ledger = await start(storage, 0)
        for position in BAD_POSITIONS:
            call = ledger.register_inputs(MASTER_JOB, [*inputs(2), RunInput(position, {})])
            assert await outcome(call) is InvalidInputError, position
            assert await ledger.count_inputs(MASTER_JOB) == {}, position

    async def test_an_input_that_is_no_json_object_is_refused(self, storage: Storage) -> None:
        """And nothing of the call is stored."""
        ledger = await start(storage, 0)
        configs: list[Any] = [[1], "text", None, {"a": float("nan")}, {"a": object()}]
        for config in configs:
            call = ledger.register_inputs(MASTER_JOB, [*inputs(2), RunInput(2, config)])
            assert await outcome(call) is InvalidDataError, config
            assert await ledger.count_inputs(MASTER_JOB) == {}, config

    async def test_an_input_is_kept_exactly(self, storage: Storage) -> None:
        """An input may be any JSON object."""
        odd = {"lone \ud800": "\0", "n": 2**70, "f": 0.1, "deep": [[{"é": None}]]}
        ledger = await start(storage, 0)
        await ledger.register_inputs(MASTER_JOB, [RunInput(0, odd)])
        assert [one.run_config for one in await claim(ledger)] == [odd]

    async def test_an_input_with_a_secret_is_refused(self, storage: Storage) -> None:
        """It would not be stored, so the run could not be resumed. It is not quoted."""
        ledger = await start(storage, 0)
        secret = RunInput(1, {"api_key": "sk-hidden"})
        with pytest.raises(InvalidInputError, match="input 1 contains a secret at 'api_key'") as caught:
            await ledger.register_inputs(MASTER_JOB, [RunInput(0, {"q": 1}), secret])
        assert "sk-hidden" not in str(caught.value)
        with pytest.raises(InvalidInputError, match="input 1 contains a secret at 'api_key'"):
            ledger.check_input(secret)
        assert await ledger.count_inputs(MASTER_JOB) == {}

    async def test_hostile_ids_are_refused(self, storage: Storage) -> None:
        """Nothing is stored under them."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        for bad in HOSTILE_IDS:
            calls: list[Any] = [
                ledger.start_run(bad),
                ledger.register_inputs(bad, inputs(1)),
                ledger.save_worker(a_worker(bad)),
                ledger.complete_inputs(bad),
                ledger.request_stop(bad, "x"),
                ledger.claim_inputs(bad, WORKER, 1, at(0)),
                ledger.save_attempt(replace(an_attempt(claimed), job_id=bad)),
                ledger.save_attempt(replace(an_attempt(claimed), master_job_id=bad)),
                ledger.save_step(Step(bad, "name", {}, 1, at(0))),
            ]
            assert [await outcome(call) for call in calls] == [InvalidIdError] * len(calls), ascii(bad)

    async def test_deleting_the_master_job_removes_everything(self, storage: Storage, store: StoreUnderTest) -> None:
        """Inputs, attempts, steps, workers and totals, and the same run can be started anew."""
        skip_unless(storage, "DELETE")
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        await ledger.save_step(Step(claimed.job_id, "call", {"result": 1}, 1, at(7)))
        await ledger.finish_input(an_outcome(claimed, kept(), usage=(Usage("m", 1, 1, 1.0),)), claim_next=True)
        await storage.delete_master_job(MASTER_JOB)
        assert await ledger.get_run(MASTER_JOB) is None
        assert await ledger.list_attempts(claimed.job_id) == []
        assert await ledger.list_steps(claimed.job_id) == []
        assert await ledger.list_workers(MASTER_JOB) == []
        assert store.raw_keys() == set()
        await start(storage)
        assert await ledger.count_inputs(MASTER_JOB) == {"pending": 3}
        assert there(await ledger.get_run(MASTER_JOB)).attempts == 0
        await storage.delete_project(PROJECT, cascade=True)
        with refused(NotFoundError, claimed.job_id):
            await ledger.save_attempt(an_attempt(claimed))


class ClaimTests(StorageSuite):
    """Claims and leases."""

    async def test_inputs_are_claimed_in_order_and_once(self, storage: Storage) -> None:
        """Lowest positions first, in whatever order they were stored."""
        ledger = await start(storage, 0)
        await ledger.register_inputs(MASTER_JOB, [*inputs(3, 2), *inputs(2)])
        assert [one.position for one in await claim(ledger, 2)] == [0, 1]
        (first,) = await claim(ledger)
        assert (first.position, first.run_config, first.attempts) == (2, {"question": 2}, 0)
        job = await storage.get_execution_job(first.job_id)
        assert job is not None
        assert (job.status, job.worker_id, job.start_time) == ("running", WORKER, at(5))
        assert [one.position for one in await claim(ledger, 9)] == [3, 4]
        assert await claim(ledger, 9) == []
        assert await claim(ledger, 0) == []

    async def test_two_workers_never_get_one_input(self, storage: Storage) -> None:
        """Even when both ask at the same time."""
        ledger = await start(storage, 100)
        await ledger.save_worker(a_worker("worker-2"))
        found = await asyncio.gather(*(claim(ledger, 3, ("worker-1", "worker-2")[n % 2]) for n in range(40)))
        positions = [one.position for part in found for one in part]
        assert sorted(positions) == list(range(100))

    async def test_a_limit_that_is_none_is_refused(self, storage: Storage) -> None:
        """Nothing is claimed."""
        ledger = await start(storage)
        limits: list[Any] = [-1, 1.5, "1", None, 2**63]
        for limit in limits:
            assert await outcome(claim(ledger, limit)) is InvalidInputError, limit
            assert await ledger.count_inputs(MASTER_JOB) == {"pending": 3}, limit

    async def test_one_input_is_claimed_by_its_id(self, storage: Storage) -> None:
        """By one worker, while it is pending and the run is not drained."""
        ledger = await start(storage, 3)
        await ledger.save_worker(a_worker("another"))
        last = (await ledger.list_inputs(MASTER_JOB, limit=9))[-1].job_id
        found = await asyncio.gather(
            *(ledger.claim_input(MASTER_JOB, last, worker, at(5)) for worker in (WORKER, "another", WORKER))
        )
        (claimed,) = [one for one in found if one is not None]
        assert (claimed.job_id, claimed.position, claimed.run_config) == (last, 2, {"question": 2})
        assert (await ledger.finish_input(an_outcome(claimed, kept()))).status == "completed"
        assert await ledger.claim_input(MASTER_JOB, last, WORKER, at(5)) is None
        assert await ledger.claim_input(MASTER_JOB, "nobody", WORKER, at(5)) is None
        await ledger.begin_drain(MASTER_JOB)
        first = (await ledger.list_inputs(MASTER_JOB, limit=1))[0].job_id
        assert await ledger.claim_input(MASTER_JOB, first, WORKER, at(5)) is None
        with refused(NotFoundError, "stranger"):
            await ledger.claim_input(MASTER_JOB, first, "stranger", at(5))

    async def test_only_a_noted_worker_of_the_run_claims(self, storage: Storage) -> None:
        """A worker that others took for dead must register again; a worker of another run does not count."""
        ledger = await start(storage)
        with refused(NotFoundError, "stranger"):
            await claim(ledger, 1, "stranger")
        await storage.log_master_job_start(a_master_job(storage, "master-2"))
        await ledger.start_run("master-2")
        await ledger.register_inputs("master-2", inputs(1))
        with refused(NotFoundError, WORKER):
            await claim(ledger, master_job_id="master-2")
        with refused(InvalidInputError, WORKER):
            await ledger.save_worker(a_worker(master_job_id="master-2"))
        await ledger.remove_worker(a_worker(), at(6))
        with refused(NotFoundError, WORKER):
            await claim(ledger)
        await ledger.save_worker(a_worker())
        assert len(await claim(ledger)) == 1

    async def test_a_lease_is_renewed(self, storage: Storage) -> None:
        """The rest of the worker stays; workers come in the order in which they began."""
        ledger = await start(storage)
        later = replace(a_worker("worker-0"), start_time=at(1))
        await ledger.save_worker(later)
        renewed = replace(a_worker(expires=120), process="other", start_time=at(99))
        await ledger.save_worker(renewed)
        assert await ledger.list_workers(MASTER_JOB) == [a_worker(expires=120), later]

    async def test_a_lease_goes_by_the_clock_of_the_store(self, storage: Storage) -> None:
        """Not by what a worker takes for the time; when it began stays."""
        ledger = await start(storage)
        before = await ledger.now()
        noted = await ledger.save_worker(a_worker("worker-2"), 30)
        after = await ledger.now()
        assert before <= noted.start_time <= after
        assert noted.lease_expires == noted.start_time + timedelta(seconds=30)
        again = await ledger.save_worker(noted, 60.5)
        assert replace(again, lease_expires=noted.lease_expires) == noted
        assert again.lease_expires >= after + timedelta(seconds=60.5)
        assert await ledger.list_workers(MASTER_JOB) == [a_worker(), again]
        assert (await ledger.now()).utcoffset() == timedelta(0)

    async def test_a_worker_that_ends_gives_its_inputs_back(self, storage: Storage) -> None:
        """No attempt is stored; releasing twice changes nothing."""
        ledger = await start(storage)
        held = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(held[0], kept()))
        assert await ledger.remove_worker(a_worker(), at(6)) == 1
        assert await ledger.remove_worker(a_worker(), at(6)) == 0
        assert await ledger.count_inputs(MASTER_JOB) == {"completed": 1, "pending": 2}
        assert await ledger.list_attempts(held[1].job_id) == []
        assert await ledger.list_workers(MASTER_JOB) == []

    async def test_of_a_dead_worker_what_its_steps_used_is_counted(self, storage: Storage) -> None:
        """Each input gets an ``interrupted`` attempt; steps of earlier attempts were counted with those."""
        ledger = await start(storage)
        first, second = await claim(ledger, 2)
        await ledger.save_step(Step(first.job_id, "early", {"result": 0}, 1, at(6), (Usage("m", 1, 1, 1.0),)))
        await ledger.save_attempt(an_attempt(first, status="failed", usage=(Usage("m", 1, 1, 1.0),)))
        await ledger.save_step(Step(first.job_id, "late", {"result": 0}, 2, at(7), (Usage("m", 20, 5, 0.5),)))
        assert await ledger.remove_worker(a_worker(), at(70), died=True) == 2
        attempts = await ledger.list_attempts(first.job_id)
        assert [one.status for one in attempts] == ["failed", "interrupted"]
        assert (attempts[1].number, attempts[1].usage) == (2, (Usage("m", 20, 5, 0.5),))
        assert (attempts[1].start_time, attempts[1].end_time) == (at(5), at(70))
        assert [one.status for one in await ledger.list_attempts(second.job_id)] == ["interrupted"]
        state = await ledger.get_run(MASTER_JOB)
        assert state == a_state(3, 3, 3, 21, 6, 1.5)
        await ledger.save_worker(a_worker("worker-2"))
        again = await claim(ledger, 3, "worker-2")
        assert [(one.position, one.attempts) for one in again] == [(0, 2), (1, 1), (2, 0)]

    async def test_a_worker_that_renewed_its_lease_meanwhile_is_not_dead(self, storage: Storage) -> None:
        """The list that the caller acts on is out of date by then."""
        ledger = await start(storage)
        await claim(ledger)
        await ledger.save_worker(a_worker(expires=120))
        assert await ledger.remove_worker(a_worker(), at(70), died=True) == 0
        assert await ledger.count_inputs(MASTER_JOB) == {"running": 1, "pending": 2}
        assert len(await ledger.list_workers(MASTER_JOB)) == 1

    async def test_unowned_inputs_are_released(self, storage: Storage) -> None:
        """Those of noted workers stay."""
        ledger = await start(storage)
        (held,) = await claim(ledger)
        (lost,) = await claim(ledger)
        assert await ledger.release_unowned_inputs(MASTER_JOB, at(8)) == 0
        job = await storage.get_execution_job(lost.job_id)
        await storage.log_execution_job_start(there(job).model_copy(update={"worker_id": "gone"}))
        assert await ledger.release_unowned_inputs(MASTER_JOB, at(8)) == 1
        assert [one.job_id for one in await claim(ledger)] == [lost.job_id]
        assert there(await storage.get_execution_job(held.job_id)).status == "running"

    async def test_a_released_input_is_pending_with_its_attempt(self, storage: Storage) -> None:
        """One that another worker holds stays with it."""
        ledger = await start(storage)
        (claimed,) = await claim(ledger)
        await ledger.release_input(an_attempt(claimed, status="cancelled"))
        assert [one.status for one in await ledger.list_attempts(claimed.job_id)] == ["cancelled"]
        assert await ledger.count_inputs(MASTER_JOB) == {"pending": 3}
        await ledger.save_worker(a_worker("worker-2"))
        await claim(ledger, 1, "worker-2")
        await ledger.release_input(an_attempt(claimed, status="cancelled"))
        assert there(await storage.get_execution_job(claimed.job_id)).worker_id == "worker-2"

    async def test_ended_inputs_are_reset_by_what_is_asked_for(self, storage: Storage) -> None:
        """By status, text of the error, class of the last attempt's exception, and id; none that has not ended."""
        ledger = await start(storage, 6)
        held = await claim(ledger, 5)
        errors = [("TimeoutError", "Took TOO long"), ("ValueError", "ärger, too"), ("ValueError", None)]
        for one, (kind, message) in zip(held, errors, strict=False):
            outcome = an_outcome(one, status="failed", error_type=kind, error_message=message)
            await ledger.finish_input(replace(outcome, error_message=message))
        await ledger.finish_input(an_outcome(held[3], kept()))

        async def reset(*statuses: str, **wanted: Any) -> list[int]:
            number = await ledger.reset_inputs(MASTER_JOB, statuses, **wanted)
            pending = await storage.list_execution_jobs(MASTER_JOB, ["pending"])
            again = [one for one in held if one.job_id in {job.job_id for job in pending}]
            assert len(again) == number
            for one in await claim(ledger, len(again)):
                kind, message = errors[one.position] if one.position < 3 else (None, None)
                outcome = an_outcome(one, status="failed" if kind else "completed", error_type=kind)
                await ledger.finish_input(replace(outcome, error_message=message))
            return [one.position for one in again]

        assert await reset("failed", error_text="too") == [0, 1]
        assert await reset("failed", error_text="TOO") == [0, 1]
        assert await reset("failed", error_type="ValueError") == [1, 2]
        assert await reset("failed", job_ids=[held[2].job_id, held[3].job_id, "other"]) == [2]
        assert await reset("failed", error_text="too", error_type="ValueError") == [1]
        assert await reset("completed", "failed") == [0, 1, 2, 3]
        assert await reset("failed", job_ids=[]) == []
        assert await ledger.reset_inputs(MASTER_JOB, ["running", "pending"]) == 0
        with refused(InvalidStatusError):
            await ledger.reset_inputs(MASTER_JOB, ["broken"])
        with refused(InvalidInputError):
            await ledger.reset_inputs(MASTER_JOB, "failed")

    async def test_a_worker_that_cannot_be_stored_is_refused(self, storage: Storage) -> None:
        """What was noted stays."""
        ledger = await start(storage)
        odd: list[dict[str, Any]] = [
            {"process": "lone \ud800"},
            {"process": 7},
            {"lease_expires": None},
            {"start_time": "now"},
        ]
        for field in odd:
            with pytest.raises(StorageError):
                await ledger.save_worker(replace(a_worker(), **field))
            assert await ledger.list_workers(MASTER_JOB) == [a_worker()], field
