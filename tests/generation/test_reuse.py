"""Answers of other runs, on every engine: where they are looked for, what they cost, and when they are bad."""

from __future__ import annotations

from typing import Any

import pytest

from generation.recorded_model import COST, Model, again, answers, counted, nobody
from generation.runs import NEVER, RUN, attempts, job_id, numbers, start
from starfish_storage.generation import explain_calls
from starfish_storage.interface import Storage
from starfish_storage.runs import Attempt, RecordedCall, StepSource


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def silent() -> Model:
    """A model that nobody may ask."""
    return Model(nobody)


async def test_another_run_of_the_project_pays_for_what_is_new(storage: Storage, model: Model) -> None:
    first = await start(storage, model, numbers(3), master_job_id="one")
    assert first.cost == pytest.approx(3 * COST)
    second = await start(storage, model, numbers(4), master_job_id="two", reuse="project")
    assert (second.status, sum(model.paid.values())) == ("completed", 4)
    assert await answers(storage, second) == [f"about question {n}" for n in range(4)]
    found = await storage.ledger.count_calls("two")
    assert (found.asked, found.reused, found.replayed) == (1, 3, 0)
    assert found.saved_cost == pytest.approx(3 * COST)
    # What was reused was not paid for: neither by the run, nor by its attempts.
    assert second.cost == pytest.approx(COST)
    assert (second.input_tokens, second.output_tokens) == (10, 5)

    jobs = {job.run_config["n"]: job for job in await storage.list_execution_jobs("two") if job.run_config}
    before = {job.run_config["n"]: job for job in await storage.list_execution_jobs("one") if job.run_config}
    (step,) = await storage.ledger.list_calls(jobs[0].job_id)
    source = step.reused_from
    assert source is not None
    assert source == StepSource("one", before[0].job_id, 1, 1, source.cost)
    assert source.cost == pytest.approx(COST)
    assert (step.usage[0].cost, step.usage[0].input_tokens) == (0, 10)
    call = RecordedCall.of(step)
    assert call.request["messages"] == [{"role": "user", "content": "question 0"}]
    assert (call.seconds, call.http_status) == (None, 200)
    # A run stands by itself, also for those that reuse its copies: these name who paid.
    await storage.delete_master_job("one")
    third = await start(storage, model, numbers(1), master_job_id="three", reuse="project")
    assert (third.status, sum(model.paid.values())) == ("completed", 4)
    (copy,) = await storage.ledger.list_calls((await storage.list_execution_jobs("three"))[0].job_id)
    assert copy.reused_from == source


@pytest.mark.parametrize(
    ("reuse", "in_project", "elsewhere"), [(None, 3, 6), ("run", 3, 6), ("project", 1, 2), ("store", 1, 1)]
)
async def test_where_answers_are_looked_for(
    storage: Storage, model: Model, reuse: Any, in_project: int, elsewhere: int
) -> None:
    for run_id, project in (("one", "p"), ("two", "p"), ("three", "p")):
        await start(storage, model, numbers(1), master_job_id=run_id, project=project, reuse=reuse)
    assert model.paid["question 0"] == in_project
    for run_id, project in (("four", "q"), ("five", "q"), ("six", "q")):
        await start(storage, model, numbers(1), master_job_id=run_id, project=project, reuse=reuse)
    assert model.paid["question 0"] == elsewhere


async def test_a_reused_answer_at_which_the_function_fails_is_asked_for(storage: Storage, model: Model) -> None:
    model.answer = lambda question, number: "mumbled" if number == 1 else f"{question} {number}"

    async def strict(n: int) -> dict[str, Any]:
        answer = await model.ask(f"question {n}")
        if answer == "mumbled":
            raise ValueError("no answer in it")
        return {"answer": answer}

    await start(storage, model, numbers(1), master_job_id="one")
    run = await start(storage, strict, numbers(1), reuse="project")
    # The attempt that only tried what was stored does not count, and the next one asks.
    assert (run.status, model.paid["question 0"]) == ("completed", 2)
    assert [one.status for one in await attempts(storage)] == ["failed", "completed"]
    first, second = await storage.ledger.list_calls(await job_id(storage))
    assert (first.status, first.reused_from is None) == ("rejected", False)
    assert (second.status, second.reused_from, second.reply) == ("kept", None, 2)
    explained = await explain_calls(storage, RUN)
    assert [one.reason for one in explained.reasons] == ["the same request, whose answer was rejected"]
    # The good answer is the newest that is kept.
    run = await start(storage, strict, numbers(1), master_job_id="three", reuse="project")
    assert (run.status, run.attempts, model.paid["question 0"]) == ("completed", 1, 2)


async def test_an_attempt_that_dies_leaves_no_cost_of_what_it_reused(storage: Storage, model: Model) -> None:
    await start(storage, model, numbers(1), master_job_id="one")
    ledger, interrupted = storage.ledger, list[Attempt]()

    async def dying(n: int) -> dict[str, Any]:
        await model.ask(f"question {n}")
        (worker,) = await ledger.list_workers("two")
        await ledger.remove_worker(worker, worker.lease_expires, died=True)
        interrupted.extend(await ledger.list_attempts((await storage.list_execution_jobs("two"))[0].job_id))
        return {"answer": "late"}

    run = await start(storage, dying, numbers(1), master_job_id="two", reuse="project", retry=NEVER)
    assert [(one.status, one.usage) for one in interrupted] == [("interrupted", ())]
    assert (run.input_tokens, run.cost, sum(model.paid.values())) == (0, 0, 1)


async def test_a_replay_gets_last_weeks_answers(storage: Storage, model: Model, silent: Model) -> None:
    await start(storage, model, numbers(3), master_job_id="last-week")
    run = await start(storage, silent, numbers(3), reuse="project", replay="only")
    assert (run.status, run.cost, await counted(storage, RUN)) == ("completed", 0, (0, 3, 0))
    assert await answers(storage, run) == [f"about question {n}" for n in range(3)]
    run = await again(storage, RUN, silent, reuse="run")  # `replay` is that of the run
    assert (run.status, await counted(storage, RUN)) == ("completed", (0, 3, 3))
