"""Why models were asked: which stored request is nearest to one, what differs, and how reasons are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cli.calling import call
from generation.runs import numbers, start
from starfish_storage import NotFoundError
from starfish_storage.generation import explain_calls, nearest
from starfish_storage.interface import Storage
from starfish_storage.runs import Step, StepSource, Usage
from starfish_storage.runs.exchanges import CallRequest, CallResponse
from starfish_storage.times import utc_now

URL = "https://api.example.com/v1/chat/completions"
NAME = "POST api.example.com/v1/chat/completions"


def body(n: int, **settings: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": f"question {n}"}], **settings}


async def made(
    storage: Storage,
    run_id: str,
    inputs: Sequence[dict[str, Any]],
    project: str = "p",
    function: Callable[..., Any] = lambda n: {"n": n},
) -> list[str]:
    """Make a run whose function asks nobody, and return the ids of its inputs in order."""
    await start(storage, function, inputs, master_job_id=run_id, project=project)
    jobs = await storage.list_execution_jobs(run_id)
    return [next(job.job_id for job in jobs if job.run_config == given) for given in inputs]


async def ask(storage: Storage, job_id: str, asked: dict[str, Any], **fields: Any) -> None:
    """Store a request of an input, as if a model had answered it."""
    request = CallRequest("POST", URL, asked)
    step = Step(
        job_id,
        NAME,
        CallResponse(200, "application/json", b"{}").to_result(),
        1,
        utc_now() - timedelta(days=1),
        (Usage("small", 10, 5, 0.25),),
        request_key=request.key,
        request=request.packed(),
    )
    await storage.ledger.save_step(replace(step, **fields))


async def reasons(storage: Storage, run_id: str) -> list[tuple[int, str | None, str]]:
    found = await explain_calls(storage, run_id)
    assert sum(one.count for one in found.reasons) == found.asked
    return [(one.count, one.of, one.reason) for one in found.reasons]


async def test_a_first_run_is_new(storage: Storage) -> None:
    for job_id in await made(storage, "one", numbers(3)):
        await ask(storage, job_id, body(0))
    seen: list[tuple[int, int]] = []
    found = await explain_calls(storage, "one", progress=lambda done, total: seen.append((done, total)))
    assert (found.asked, found.reused, found.cost) == (3, 0, 0.75)
    assert seen == [(1, 1), (2, 2), (3, 3)]  # no attempt says that it has asked
    assert [(one.count, one.of, one.reason) for one in found.reasons] == [(3, None, "no request like it is stored")]
    assert found.to_json()["reasons"][0]["nearest"] is None


async def test_the_same_input_of_an_earlier_run_is_compared_with_first(storage: Storage) -> None:
    for n, job_id in enumerate(await made(storage, "one", numbers(4))):
        await ask(storage, job_id, body(n, max_tokens=256))
    # In another order, so that the inputs are found by what they are; one is new.
    inputs = [{"n": 3}, {"n": 0}, {"n": 1}, {"n": 9}]
    two = await made(storage, "two", inputs)
    for given, job_id in zip(inputs, two, strict=True):
        await ask(storage, job_id, body(given["n"], max_tokens=512))
    assert await reasons(storage, "two") == [
        (3, "input", "max_tokens 256 -> 512"),
        (1, "other input", "max_tokens 256 -> 512; messages[0].content changed"),
    ]
    # The newer of two runs is the nearer one where both differ in as much.
    three = await made(storage, "three", inputs[:1])
    await ask(storage, three[0], body(3, max_tokens=1024))
    await ask(storage, three[0], body(3, max_tokens=512, seed=1))
    assert await reasons(storage, "three") == [
        (1, "input", "max_tokens 512 -> 1024"),
        (1, "input", "seed added 1"),
    ]
    found = await explain_calls(storage, "three")
    assert {one.nearest for one in found.reasons} == {two[0]}


async def test_an_earlier_attempt_of_the_input_is_compared_with(storage: Storage) -> None:
    (job_id,) = await made(storage, "one", numbers(1))
    await ask(storage, job_id, body(0))
    await ask(storage, job_id, body(0, temperature=0.3), attempt=2)
    await ask(storage, job_id, body(0, temperature=0.3, stop=["x"]), attempt=2)  # not with the one beside it
    assert await reasons(storage, "one") == [
        (1, None, "no request like it is stored"),
        (1, "input", "stop added; temperature added 0.3"),
        (1, "input", "temperature added 0.3"),
    ]


async def test_an_equal_request_says_why_it_did_not_answer(storage: Storage) -> None:
    one = await made(storage, "one", numbers(4))
    await ask(storage, one[0], body(0), status="rejected", reason="ValueError after it")
    await ask(storage, one[1], body(1), status="forgotten")
    await ask(storage, one[2], body(2))
    await ask(storage, one[3], body(3))
    two = await made(storage, "two", numbers(4))
    for n, job_id in enumerate(two):
        await ask(storage, job_id, body(n))
    await ask(storage, two[3], body(3), call=2)
    assert await reasons(storage, "two") == [
        (2, "input", 'the same request of an earlier run, where reuse="run" does not look'),
        (1, "input", "the same request, which was asked for less often"),
        (1, "input", "the same request, whose answer was forgotten"),
        (1, "input", "the same request, whose answer was rejected"),
    ]


async def test_what_was_reused_is_not_asked(storage: Storage) -> None:
    (first,) = await made(storage, "one", numbers(1))
    await ask(storage, first, body(0))
    (second,) = await made(storage, "two", numbers(1))
    await ask(storage, second, body(0), reused_from=StepSource("one", first, 1, 1, 0.25))
    assert await reasons(storage, "two") == []


async def test_other_projects_and_later_runs_are_not_compared_with(storage: Storage) -> None:
    (job_id,) = await made(storage, "one", numbers(1))
    await ask(storage, job_id, body(0))
    for run_id, project in (("other", "q"), ("later", "p")):
        (job_id,) = await made(storage, run_id, numbers(1), project)
        await ask(storage, job_id, body(0, max_tokens=1))
    assert await reasons(storage, "one") == [(1, None, "no request like it is stored")]
    assert await reasons(storage, "other") == [(1, None, "no request like it is stored")]
    assert await reasons(storage, "later") == [(1, "input", "max_tokens added 1")]


def judge(n: int) -> dict[str, Any]:
    return {"n": n}


async def test_runs_of_the_same_function_are_compared_with_first(storage: Storage, store: str) -> None:
    (job_id,) = await made(storage, "of another", numbers(1), function=judge)
    await ask(storage, job_id, body(0, max_tokens=2))
    (job_id,) = await made(storage, "one", numbers(1))
    await ask(storage, job_id, body(0, max_tokens=1))
    assert await reasons(storage, "one") == [(1, "input", "max_tokens 2 -> 1")]
    assert (await explain_calls(storage, "one")).other_functions == ("generation.test_explaining:judge",)
    shown = await asyncio.to_thread(call, "explain", "one", "--store", store)
    named = "with runs of generation.test_explaining.judge: no earlier run of this function has requests"
    assert f"compared\t{named}\n" in shown.out
    # The newer run of another function differs in less.
    (job_id,) = await made(storage, "of another again", numbers(1), function=judge)
    await ask(storage, job_id, body(0, max_tokens=3))
    (job_id,) = await made(storage, "two", numbers(1))
    await ask(storage, job_id, body(0, max_tokens=3, temperature=0.5))
    assert await reasons(storage, "two") == [(1, "input", "max_tokens 1 -> 3; temperature added 0.5")]
    assert (await explain_calls(storage, "two")).other_functions == ()


async def test_requests_that_were_not_kept_are_compared_by_their_keys(storage: Storage) -> None:
    (first,) = await made(storage, "one", numbers(1))
    await ask(storage, first, body(0), request=None)
    (second,) = await made(storage, "two", numbers(1))
    await ask(storage, second, body(0), request=None)
    await ask(storage, second, body(1), request=None)
    assert await reasons(storage, "two") == [
        (1, None, "no request like it is stored, or they were not kept"),
        (1, "input", 'the same request of an earlier run, where reuse="run" does not look'),
    ]


async def test_requests_that_differ_in_a_secret_only(storage: Storage) -> None:
    (first,) = await made(storage, "one", numbers(1))
    await ask(storage, first, body(0), request_key="ab" * 32)  # what is stored has a mark in place of the secret
    (second,) = await made(storage, "two", numbers(1))
    await ask(storage, second, body(0))
    assert await reasons(storage, "two") == [
        (1, "input", "a value changed that is not stored because it looks like a secret")
    ]


async def test_only_the_newest_runs_with_requests_are_looked_at(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_MOST_RUNS", 1)
    monkeypatch.setattr(nearest, "_PAGE", 2)
    for number in range(3):
        (job_id,) = await made(storage, f"run {number}", numbers(1))
        await ask(storage, job_id, body(0, max_tokens=number))
    await made(storage, "without", numbers(1))
    (job_id,) = await made(storage, "last", numbers(1))
    await ask(storage, job_id, body(0, max_tokens=1))
    assert await reasons(storage, "last") == [(1, "input", "max_tokens 2 -> 1")]


async def test_a_run_that_is_not_there(storage: Storage) -> None:
    with pytest.raises(NotFoundError):
        await explain_calls(storage, "none")
