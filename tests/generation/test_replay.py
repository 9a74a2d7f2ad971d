"""Runs that ask nobody."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from generation.recorded_model import PRICES, URL, Model, again, counted, nobody
from generation.runs import NEVER, RUN, attempts, numbers, start
from starfish_storage import http
from starfish_storage.generation import Context, Retry, retry
from starfish_storage.interface import Storage


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def silent() -> Model:
    """A model that nobody may ask."""
    return Model(nobody)


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
    client = http.client(transport=httpx2.MockTransport(nobody), prices=PRICES)

    def plain(n: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"question {n}"}]
        response = client.post(URL, json={"model": "small", "messages": messages})
        return {"answer": response.raise_for_status().json()["choices"][0]["message"]["content"]}

    run = await start(storage, plain, numbers(3), reuse="project", replay="only")
    assert (run.inputs, await counted(storage, RUN)) == ({"completed": 2, "failed": 1}, (0, 2, 0))


async def test_a_recheck_sends_nothing_either(
    storage: Storage, silent: Model, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(n: int) -> dict[str, Any]:
        return {"n": n}

    async def accept(data: dict[str, Any]) -> bool:
        return bool(await silent.ask(f"is {data} good?"))

    await start(storage, answer, numbers(1), accept=lambda _: False)
    run = await retry(storage, RUN, recheck=True, accept=accept, replay="only", progress="quiet")
    assert (run.records, run.rechecked) == ({"filtered": 1}, {"unchanged": 1})
    assert "replay='only' sends nothing" in caplog.text
