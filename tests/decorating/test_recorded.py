"""Recorded functions: each input is paid for once, whoever asks, and what is stored is what was returned."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from generation.recorded_model import COST, PRICES, URL
from generation.test_telemetry import Told, of
from generation.test_telemetry import listen as listen  # noqa: PLC0414 (a fixture)
from generation.test_telemetry import told as told  # noqa: PLC0414 (a fixture)
from starfish_storage import Filtered, InvalidDataError, InvalidInputError, http, open_storage, recorded
from starfish_storage.decorating.opened import close_all
from starfish_storage.decorating.recording import Asker
from starfish_storage.generation import Run
from starfish_storage.portal import call
from starfish_storage.runs import RunState

Place = tuple[str, str | None]


class City(BaseModel):
    text: str  # as what a text is stored as


@dataclass
class Model:
    name: str

    def asked(self, question: str) -> tuple[str, int]:
        return f"{self.name} on {question}", 1


def test_every_kind_of_function_returns_what_is_stored(store: str) -> None:
    paid: list[object] = []

    @recorded(store)
    def plain(value: Any) -> Any:
        paid.append(value)
        return value

    @recorded(store)
    async def later(name: str) -> City:
        paid.append(name)
        return City(text=name)

    @recorded(store)
    def several(number: int) -> Iterator[tuple[int, str]]:
        for one in range(number):
            paid.append(one)
            yield one, "item"

    @recorded(store)
    async def several_later(number: int) -> AsyncIterator[int]:
        for one in range(number):
            paid.append(one)
            yield one

    values = [{"a": 1}, {"text": "x"}, {"value": 1}, {"text": 1}, "x", 1.5, None, True, [{"a": 1}], []]

    def asked() -> list[Any]:
        async def awaited() -> list[Any]:
            return [await later("Rome"), [one async for one in several_later(2)]]

        found = [plain(value) for value in values]
        found += [list(several(2)), list(several(1)), list(several(0)), *asyncio.run(awaited())]
        return found

    expected = [*values, [(0, "item"), (1, "item")], [(0, "item")], [], City(text="Rome"), [0, 1]]
    assert asked() == expected
    assert len(paid) == len(values) + 3 + 1 + 2
    del paid[:]
    assert asked() == expected
    call(close_all())
    assert asked() == expected
    assert paid == []
    assert inspect.signature(plain) == inspect.signature(plain.__wrapped__)


def test_the_object_of_a_method_is_part_of_its_input(store: str) -> None:
    paid: list[str] = []

    class Asking(Model):
        asking = recorded(store)(Model.asked)

        @classmethod
        @recorded(store)
        def of_class(cls, name: str) -> str:
            paid.append(name)
            return f"{cls.__name__} {name}"

        @staticmethod
        @recorded(store)
        def of_none(name: str) -> str:
            paid.append(name)
            return name

    for _ in range(2):
        small, large = Asking("small"), Asking("large")
        assert (small.asking("Oslo"), large.asking("Oslo")) == (("small on Oslo", 1), ("large on Oslo", 1))
        of_class: Any = Asking.of_class  # to a type checker, nothing but functions are class methods
        assert (of_class("Bern"), Asking.of_none("Wien")) == ("Asking Bern", "Wien")
        assert large.asking.run(["Rome"], progress="quiet").inputs == {"completed": 3}
        assert large.asking("Rome") == ("large on Rome", 1)
    assert paid == ["Bern", "Wien"]
    (row, *_) = Asking.asking.records()
    assert row == {"input": {"self": {"name": "small"}, "question": "Oslo"}, "data": {"value": ["small on Oslo", 1]}}


def test_the_run_of_a_function_is_like_any_other(place: Place) -> None:
    paid: list[str] = []

    @recorded(*place, project="cities", name="Answers!", config={"model": "small"})
    def answer(question: str, temperature: float = 0.5) -> dict[str, str]:
        paid.append(question)
        if question == "bad":
            raise ValueError("no such city")
        return {"answer": question.upper()}

    @recorded(*place)
    def other() -> object:
        return Filtered({"a": object()}, "too short")

    assert answer("Paris") == answer("Paris", 0.5) == answer(temperature=0.5, question="Paris") == {"answer": "PARIS"}
    for _ in range(2):
        with pytest.raises(ValueError, match="no such city"):
            answer("bad")
    run = answer.run([{"question": "Paris"}, {"question": "Rome"}, {"question": "Rome"}, "Bern"], progress="quiet")
    assert sorted(paid) == ["Bern", "Paris", "Rome", "bad", "bad"]
    assert (run.inputs, run.attempts, run.failed_attempts) == ({"completed": 3, "failed": 1}, 5, 2)
    assert answer("Bern") == {"answer": "BERN"}
    found = answer.records()
    assert [row["input"]["question"] for row in found] == ["Paris", "Rome", "Bern"]
    assert found[0] == {"input": {"question": "Paris", "temperature": 0.5}, "data": {"answer": "PARIS"}}
    with pytest.raises(InvalidDataError, match="object"):
        other()
    call(close_all())
    job, project, state, segments = call(_described(place, run))
    assert (job.name, job.status, project.name) == ("Answers!", "completed_with_errors", "cities")
    assert (state.registered, state.inputs_complete) == (4, True)
    assert [one.identity["config"] for one in segments] == [{"model": "small"}] * len(segments)


async def _described(place: Place, run: Run) -> tuple[Any, Any, RunState, Any]:
    async with open_storage(*place) as storage:
        job, project = await storage.get_master_job(run.master_job_id), await storage.get_project(run.project_id)
        state = await storage.ledger.get_run(run.master_job_id)
        assert state is not None
        return job, project, state, await storage.ledger.list_segments(run.master_job_id)


def test_equal_calls_at_once_pay_once_and_fail_together(store: str) -> None:
    paid: list[str] = []
    may_end = threading.Event()

    @recorded(store)
    def answer(question: str) -> str:
        paid.append(question)
        assert may_end.wait(60)
        if len(paid) == 1:
            raise ConnectionError("reset")
        return question

    def at_once() -> list[object]:
        may_end.clear()
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(answer, "Paris") for _ in range(8)]
            while len(paid) < expected or not any(one.running() for one in calls):
                pass  # the first has begun
            may_end.set()
            return [one.exception() or one.result() for one in calls]

    expected = 1
    first = at_once()
    assert all(isinstance(one, ConnectionError | str) for one in first)
    expected = len(paid)
    assert set(at_once()) == {"Paris"}
    assert len(paid) <= 1 + sum(isinstance(one, ConnectionError) for one in first)


def test_equal_tasks_pay_once_and_take_over_from_one_that_is_cancelled(store: str) -> None:
    paid: list[str] = []

    @recorded(store)
    async def later(question: str) -> str:
        paid.append(question)
        await asyncio.sleep(0)
        if question == "stop":
            await asyncio.Event().wait()
        return question

    async def main() -> None:
        assert await asyncio.gather(*(later("Rome") for _ in range(5))) == ["Rome"] * 5
        assert paid == ["Rome"]
        first, second = asyncio.ensure_future(later("stop")), asyncio.ensure_future(later("stop"))
        while "stop" not in paid:
            await asyncio.sleep(0.01)
        first.cancel()
        while paid.count("stop") < 2:  # the other has its turn
            await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert first.cancelled()
        assert second.cancelled()

    asyncio.run(main())


def test_a_turn_that_comes_too_late_is_given_back(store: str) -> None:
    @recorded(store)
    def answer(question: str) -> str:
        return question

    recording, given = answer._calls.recording(answer), {"question": "Paris"}
    asker = Asker()
    call(recording.begin(given, Asker(is_abandoned=True)))
    call(recording.begin(given, asker))
    call(recording.abandon(asker))
    assert answer("Paris") == "Paris"


def test_what_cannot_be_an_input_is_refused(store: str) -> None:
    class Client:
        @recorded(store)
        def ask(self, question: str) -> str:
            return question

        @recorded(store, ignore=["self"])
        def ask_any(self, question: str) -> str:
            return question

        @recorded(store, instance=lambda self: type(self).__name__)
        def ask_kind(self, question: str) -> str:
            return question

    @recorded(store)
    def answer(question: Any, **more: Any) -> str:
        return str(question)

    @recorded(store)
    def iterating(question: str) -> Any:
        return (one for one in question)  # of a function that is no generator

    assert iterating("Rome") == iterating("Rome") == ["R", "o", "m", "e"]
    for bad, said in (
        (Client(), "'question': JSON cannot hold it"),
        ({"a"}, "kind set"),
        (float("nan"), "kind nan"),
        ({1: 2}, "'question': JSON cannot hold it as it is: the key 1 at"),
        ([{"a": ({None: 2},)}], "the key None at"),
        ({"api_key": "sk-abcdefghijklmnopqrstuvwxyz0123456789"}, "secret"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            answer(bad)
    with pytest.raises(TypeError, match=r"answer\(\): missing a required argument: 'question'"):
        answer()  # pyright: ignore[reportCallIssue] (that is the point)
    with pytest.raises(InvalidInputError, match=r"ignore=\['self'\].*dataclass"):
        Client().ask("x")
    assert Client().ask_any("x") == Client().ask_kind("x") == "x"
    with pytest.raises(InvalidInputError, match="none of its parameters"):
        recorded(store, ignore=["client"])(lambda question: question)
    with pytest.raises(InvalidInputError, match="takes a function"):
        recorded(store)(Client())  # pyright: ignore[reportArgumentType, reportCallIssue] (that is the point)

    @recorded(store)
    def endless(number: int) -> int:
        return endless(number)

    with pytest.raises(InvalidInputError, match="calls itself"):
        endless(1)


def test_an_interruption_is_no_outcome(store: str) -> None:
    stops: list[BaseException] = [KeyboardInterrupt(), SystemExit(3)]

    @recorded(store)
    def answer(question: str) -> str:
        if stops:
            raise stops.pop()
        return question

    for stop in (SystemExit, KeyboardInterrupt):
        with pytest.raises(stop):
            answer("Paris")
    assert answer("Paris") == "Paris"
    run = answer.run([], progress="quiet")
    assert (run.status, run.inputs, run.attempts) == ("completed", {"completed": 1}, 3)


def test_nothing_is_touched_before_the_first_call(tmp_path: Path) -> None:
    stands = recorded(tmp_path / "store")(lambda text: text)
    assert "store" in repr(stands)
    assert list(tmp_path.iterdir()) == []


def test_other_code_asks_anew_and_gets_the_answers_that_models_gave(store: str) -> None:
    asked: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        question = json.loads(request.content)["messages"][-1]["content"]
        asked.append(question)
        message = {"role": "assistant", "content": f"about {question}"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return httpx2.Response(200, json={"model": "small", "choices": [{"message": message}], "usage": usage})

    client = http.client(transport=httpx2.MockTransport(respond), prices=PRICES)
    client_later = http.async_client(transport=httpx2.MockTransport(respond), prices=PRICES)
    body = {"model": "small", "messages": [{"role": "user", "content": "Paris"}]}

    @recorded(store, ignore=["sender"])
    def answer(sender: Any, question: str) -> str:
        return sender.post(URL, json=body).json()["choices"][0]["message"]["content"]

    @recorded(store)
    def shouted(question: str) -> str:
        return client.post(URL, json=body).json()["choices"][0]["message"]["content"].upper()

    @recorded(store)
    async def later(question: str) -> str:
        return (await client_later.post(URL, json=body)).json()["choices"][0]["message"]["content"].title()

    assert answer(client, "Paris") == "about Paris"
    assert shouted("Paris") == "ABOUT PARIS"
    assert asyncio.run(later("Paris")) == "About Paris"
    assert asked == ["Paris"]
    call(close_all())
    runs = call(_runs(store))
    assert [(one.cost, one.input_tokens, one.output_tokens) for one in runs["answer"]] == [(COST, 10, 5)]
    assert [one.cost for name in ("shouted", "later") for one in runs[name]] == [0, 0]


async def _runs(store: str) -> dict[str, list[RunState]]:
    found: dict[str, list[RunState]] = {}
    async with open_storage(store) as storage:
        for job in await storage.list_master_jobs():
            state = await storage.ledger.get_run(job.master_job_id)
            assert state is not None
            found.setdefault((job.name or "").rpartition(".")[2], []).append(state)
    return found


def test_versions_say_what_is_still_good(store: str) -> None:
    def made(version: int, function: Callable[[int], int]) -> Any:
        function.__qualname__ = "counted"
        return recorded(store, version=version)(function)

    assert made(1, lambda number: number)(3) == 3
    assert made(1, lambda number: 2 * number)(3) == 3
    assert made(2, lambda number: 2 * number)(3) == 6


def test_telemetry_is_told_of_recorded_calls(store: str, told: Told) -> None:
    @recorded(store)
    def answer(question: str) -> str:
        if question == "bad":
            raise ValueError(question)
        return question

    answer("Paris")
    with pytest.raises(ValueError, match="bad"):
        answer("bad")
    spans = told.spans("starfish_storage.attempt")
    assert [of(span)["status"] for span in spans] == ["completed", "failed"]
    assert len(told.spans("starfish_storage.input")) == 2
