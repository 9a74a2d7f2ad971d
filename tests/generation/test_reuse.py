"""Answers of other inputs and other runs, and runs that ask nobody."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from generation.runs import NEVER, RUN, attempts, job_id, numbers, start
from starfish_storage import http
from starfish_storage.generation import Context, Retry, Run, Where, explain_calls, retry
from starfish_storage.interface import Storage
from starfish_storage.runs import Attempt, RecordedCall, StepSource

URL = "https://api.example.com/v1/chat/completions"
PRICES = {"small": {"input": 1.0, "output": 2.0}}
COST = (10 * 1.0 + 5 * 2.0) / 1e6


class Model:
    """A model behind a recording client, in this process: counts what it is paid for by question.

    Attributes:
        paid: how often each question was answered.
        answer: makes an answer of a question and the number of the payment for it.
        asked: is set when a question has come.
        held: if there is one, each answer waits for it.
    """

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()
        self.answer: Callable[[str, int], str] = lambda question, _: f"about {question}"
        self.asked = asyncio.Event()
        self.held: asyncio.Event | None = None
        self.client = http.async_client(transport=httpx2.MockTransport(self._respond), prices=PRICES)

    async def _respond(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST":
            self.paid[request.method] += 1
            return httpx2.Response(200, json={})
        question = json.loads(request.content)["messages"][-1]["content"]
        self.paid[question] += 1
        number = self.paid[question]
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        message = {"role": "assistant", "content": self.answer(question, number)}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return httpx2.Response(200, json={"model": "small", "choices": [{"message": message}], "usage": usage})

    async def ask(self, question: str, **settings: Any) -> str:
        messages = [{"role": "user", "content": question}]
        response = await self.client.post(URL, json={"model": "small", "messages": messages, **settings})
        return response.raise_for_status().json()["choices"][0]["message"]["content"]

    async def __call__(self, n: int) -> dict[str, Any]:
        return {"answer": await self.ask(f"question {n}")}


@pytest.fixture
def model() -> Model:
    return Model()


async def counted(storage: Storage, run_id: str) -> tuple[int, int, int]:
    found = await storage.ledger.count_calls(run_id)
    return found.asked, found.reused, found.replayed


async def again(storage: Storage, run_id: str, function: Any, **options: Any) -> Run:
    """Call a function once more for inputs that have ended well."""
    where = Where(statuses=["completed"])
    return await retry(storage, run_id, function, where=where, progress="quiet", **options)


async def answers(storage: Storage, run: Run) -> list[Any]:
    records = [one async for one in storage.iter_records(run.master_job_id, ["completed"])]
    found = await storage.get_records_data([one.output_ref for one in records if one.output_ref])
    return sorted(one["answer"] for one in found)


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


async def test_samples_stay_apart(storage: Storage, model: Model) -> None:
    model.answer = lambda question, number: f"{question}, {number}"

    def sampling(count: int) -> Callable[[int], Any]:
        async def sample(n: int) -> dict[str, Any]:
            return {"answer": await asyncio.gather(*(model.ask(f"question {n}") for _ in range(count)))}

        return sample

    first = await start(storage, sampling(3), numbers(1), master_job_id="one")
    second = await start(storage, sampling(4), numbers(1), master_job_id="two", reuse="project")
    assert await counted(storage, "two") == (1, 3, 0)
    ((given,), (again,)) = await answers(storage, first), await answers(storage, second)
    assert (again[:3], again[3]) == (given, "question 0, 4")


async def test_inputs_that_ask_the_same_at_once_share_one_answer(storage: Storage, model: Model) -> None:
    async def same(n: int) -> dict[str, Any]:
        return {"answer": await model.ask("the same"), "n": n}

    run = await start(storage, same, numbers(6), reuse="project", max_concurrency=6)
    assert (run.status, model.paid) == ("completed", {"the same": 1})
    assert await counted(storage, RUN) == (1, 5, 0)
    run = await start(storage, same, numbers(6), master_job_id="apart", max_concurrency=6)
    assert model.paid["the same"] == 7


async def test_whoever_waits_for_an_answer_that_does_not_come_asks_for_it(storage: Storage, model: Model) -> None:
    asking, is_asked = asyncio.Event(), asyncio.Event()
    model.held = asking

    async def same(n: int) -> dict[str, Any]:
        if is_asked.is_set():
            await model.asked.wait()
            asking.set()  # the second one asks while the first one waits for its answer
        is_asked.set()
        return {"answer": await model.ask("the same"), "n": n}

    def answer(question: str, number: int) -> str:
        if number == 1:
            raise httpx2.ReadError("the connection broke")
        return question

    model.answer = answer
    run = await start(storage, same, numbers(2), reuse="project", max_concurrency=2, retry=NEVER)
    assert (run.inputs, model.paid) == ({"completed": 1, "failed": 1}, {"the same": 2})


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


async def test_rejected_and_forgotten_answers_are_not_reused(storage: Storage, model: Model) -> None:
    async def failing(n: int) -> dict[str, Any]:
        await model.ask(f"question {n}")
        raise ValueError("it is no use")

    await start(storage, failing, numbers(1), master_job_id="one", retry=NEVER)
    await start(storage, model, numbers(1), master_job_id="two", reuse="project")
    assert model.paid["question 0"] == 2
    names = [one.name for one in await storage.ledger.count_steps("two")]
    await storage.ledger.forget_steps("two", names)
    await start(storage, model, numbers(1), master_job_id="three", reuse="project")
    assert model.paid["question 0"] == 3
    # Who forgets its own answer wants another one, whatever others have.
    await storage.ledger.forget_steps("two", names)
    await again(storage, "two", model)
    assert model.paid["question 0"] == 4


async def test_usage_of_a_reused_answer_is_not_counted_when_it_is_reported(storage: Storage, model: Model) -> None:
    async def reporting(n: int, context: Context) -> dict[str, Any]:
        answer = await model.ask(f"question {n}")
        context.log_usage(model="small", input_tokens=10, output_tokens=5, cost=3.0)
        return {"answer": answer}

    await start(storage, model, numbers(1), master_job_id="one")
    run = await start(storage, reporting, numbers(1), master_job_id="two", reuse="project")
    assert (run.cost, run.input_tokens, run.output_tokens) == (0, 0, 0)
    run = await again(storage, "two", reporting)  # now its own copy
    assert (run.cost, run.attempts, await counted(storage, "two")) == (0, 2, (0, 1, 1))


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


# --- replay -----------------------------------------------------------------------------------------------------------


def nobody(_: httpx2.Request) -> httpx2.Response:
    raise AssertionError("something left the machine")


class Nobody(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return nobody(request)


@pytest.fixture
def silent() -> Model:
    """A model that nobody may ask."""
    silent = Model()
    silent.client = http.async_client(transport=httpx2.MockTransport(nobody), prices=PRICES)
    return silent


async def test_a_replay_gets_last_weeks_answers(storage: Storage, model: Model, silent: Model) -> None:
    await start(storage, model, numbers(3), master_job_id="last-week")
    run = await start(storage, silent, numbers(3), reuse="project", replay="only")
    assert (run.status, run.cost, await counted(storage, RUN)) == ("completed", 0, (0, 3, 0))
    assert await answers(storage, run) == [f"about question {n}" for n in range(3)]
    run = await again(storage, RUN, silent, reuse="run")  # `replay` is that of the run
    assert (run.status, await counted(storage, RUN)) == ("completed", (0, 3, 3))


async def test_what_is_not_stored_fails_and_names_the_nearest(storage: Storage, model: Model, silent: Model) -> None:
    await start(storage, model, numbers(1), master_job_id="last-week")
    (before,) = await storage.list_execution_jobs("last-week")

    async def longer(n: int) -> dict[str, Any]:
        return {"answer": await silent.ask(f"question {n}", max_tokens=512)}

    always = Retry(attempts=5, first_wait=0, jitter=0, worth_retrying=lambda _: True)
    run = await start(storage, longer, numbers(1), reuse="project", replay="only", retry=always)
    assert (run.status, run.attempts) == ("failed", 1)  # it is not retried
    (attempt,) = await attempts(storage)
    assert attempt.error_type == "RequestNotStoredError"
    told = f"The nearest stored request, of input {before.job_id!r}, differs in: max_tokens added 512."
    assert told in str(attempt.error_message)
    assert attempt.calls is not None
    assert [(note.kind, note.count) for note in attempt.calls.notes] == [("not stored", 1)]
    # With `reuse="run"`, the answer lies where nobody looks. With nothing like it, the error says that.
    run = await start(storage, silent, numbers(1), master_job_id="own", replay="only")
    (group,) = await storage.ledger.list_errors("own")
    assert "not where reuse= looks" in str(group.example)
    run = await start(storage, silent, numbers(1), master_job_id="new", project="q", reuse="project", replay="only")
    (group,) = await storage.ledger.list_errors("new")
    assert "No request like it is stored." in str(group.example)
    # Sent after all.
    run = await retry(storage, RUN, model, replay="off", retry=NEVER, progress="quiet")
    assert run.status == "completed"


async def test_a_function_that_makes_do_without_fails_all_the_same(storage: Storage, silent: Model) -> None:
    caught: list[httpx2.HTTPStatusError] = []

    async def lenient(n: int) -> dict[str, Any]:
        try:
            return {"answer": await silent.ask(f"question {n}")}
        except httpx2.HTTPStatusError as error:
            caught.append(error)
            return {"answer": None}

    run = await start(storage, lenient, numbers(1), replay="only")
    assert run.status == "failed"
    assert [(one.response.status_code, one.response.json()["error"]["code"]) for one in caught] == [
        (404, "request_not_stored")
    ]
    (attempt,) = await attempts(storage)
    assert attempt.error_type == "RequestNotStoredError"


async def test_nothing_that_is_not_recorded_leaves_the_machine(storage: Storage, silent: Model) -> None:
    asked: list[int] = []

    async def call(n: int, context: Context) -> dict[str, Any]:
        if n == 0:
            await silent.client.get("https://api.example.com/v1/models")
        elif n == 1:
            await silent.client.post(URL, files={"file": b"x"})
        elif n == 2:
            await silent.client.post(URL, data={"grant_type": "x"})
        else:
            await context.once("judge", lambda: asked.append(n))
        return {"n": n}

    run = await start(storage, call, numbers(4), replay="only")
    assert (run.inputs, asked) == ({"failed": 4}, [])
    found = [await attempts(storage, n) for n in range(4)]
    assert {attempt.error_type for (attempt,) in found} == {"RequestNotStoredError"}
    (attempt,) = await attempts(storage, 3)
    assert "a reply to step 'judge' is not stored" in str(attempt.error_message)


async def test_stored_steps_that_were_named_are_replayed(storage: Storage) -> None:
    async def judged(n: int, context: Context) -> dict[str, Any]:
        return {"score": await context.once("judge", lambda: n)}

    await start(storage, judged, numbers(1))
    run = await again(storage, RUN, judged, replay="only")
    assert run.status == "completed"


async def test_plain_functions_reuse_and_replay_too(storage: Storage, model: Model) -> None:
    await start(storage, model, numbers(2), master_job_id="one")
    client = http.client(transport=Nobody(), prices=PRICES)

    def plain(n: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"question {n}"}]
        response = client.post(URL, json={"model": "small", "messages": messages})
        return {"answer": response.raise_for_status().json()["choices"][0]["message"]["content"]}

    run = await start(storage, plain, numbers(3), reuse="project", replay="only")
    assert (run.inputs, await counted(storage, RUN)) == ({"completed": 2, "failed": 1}, (0, 2, 0))
