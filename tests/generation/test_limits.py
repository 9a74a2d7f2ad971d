"""Limits of providers: an answer of 429 pauses all calls of a run, uses up no attempt, and calls begin again slowly."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from generation.runs import NEVER, RUN, attempts, numbers, start
from servers.paying import PayingServer
from starfish_storage.errors import StorageUnavailableError
from starfish_storage.generation import Context, Progress, Retry
from starfish_storage.generation import gate as gates
from starfish_storage.generation.gate import Gate
from starfish_storage.generation.options import Options
from starfish_storage.generation.rates import SharedRate
from starfish_storage.generation.stopping import StoppedError, Stopping
from starfish_storage.interface import Storage
from starfish_storage.runs import Grant, SlotAsk


class LimitedError(Exception):
    status_code = 429

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("too many requests")
        self.retry_after = retry_after


@pytest.mark.parametrize("kind", ["limited", "unavailable", "overloaded"])
async def test_what_a_provider_limits_is_asked_again_when_it_says_and_uses_up_no_attempt(
    storage: Storage, paying_server: PayingServer, waits: list[float], kind: str
) -> None:
    paying_server.tell(kind, times=5, retry_after=7)

    async def answer(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1)  # some charge for what they refuse
        return {"n": n, "text": paying_server.ask(f"question {n}.")["text"]}

    run = await start(storage, answer, numbers(6), max_concurrency=1, retry=NEVER)
    assert (run.status, run.inputs) == ("completed", {"completed": 6})
    assert (run.attempts, run.failed_attempts, run.cost) == (11, 5, 11)
    assert paying_server.requests.total() == 11
    assert paying_server.payments.total() == 6
    made = await attempts(storage, 0)
    assert [one.status for one in made] == ["failed"] * 5 + ["completed"]
    assert [round(one) for one in waits] == [7] * 5, "the provider knows better"


async def test_a_limit_that_only_the_text_of_an_error_names_uses_up_no_attempt(
    storage: Storage, waits: list[float]
) -> None:
    texts = iter(
        ["HTTP 429", "the API said: Error code: 429 - {}", "status=429", "429 Client Error: Too Many Requests"]
    )

    async def limited(n: int) -> dict[str, Any]:
        for text in texts:
            raise RuntimeError(text)
        raise RuntimeError("no score in the answer '429 points'")

    run = await start(storage, limited, numbers(1), retry=NEVER)
    assert (run.inputs, run.attempts) == ({"failed": 1}, 5)


async def test_an_overload_without_a_time_is_an_ordinary_failure(storage: Storage, paying_server: PayingServer) -> None:
    paying_server.tell("unavailable", times=2)

    async def answer(n: int) -> dict[str, Any]:
        return paying_server.ask(f"question {n}.")

    run = await start(storage, answer, numbers(2), max_concurrency=1, retry=NEVER)
    assert (run.inputs, run.stop_reason) == ({"failed": 2}, None)


async def test_an_input_waits_for_limits_only_so_long(storage: Storage, waits: list[float]) -> None:
    async def limited(n: int) -> None:
        raise LimitedError(100)

    twice = Retry(attempts=2, first_wait=0, jitter=0)
    run = await start(storage, limited, numbers(1), retry=twice, longest_limit_wait=350)
    assert (run.inputs, run.attempts) == ({"failed": 1}, 5)
    assert [round(one) for one in waits[:3]] == [100] * 3


async def test_an_answer_of_a_day_is_not_believed(storage: Storage, waits: list[float]) -> None:
    left = itertools.chain([LimitedError(86_400)])

    async def limited(n: int) -> dict[str, Any]:
        for error in left:
            raise error
        return {"n": n}

    run = await start(storage, limited, numbers(1), retry=Retry(attempts=1, longest_retry_after=50))
    assert (run.inputs, [round(one) for one in waits]) == ({"completed": 1}, [50])


async def test_all_calls_wait_and_begin_again_one_by_one(storage: Storage) -> None:
    """Six at a time; all are refused at once, with a pause of a moment; then 1, 2, 4 and 6 go on."""
    shown: list[Progress] = []
    together: list[int] = []
    all_refused = asyncio.Barrier(6)
    under_way = 0

    async def answer(n: int, context: Context) -> dict[str, Any]:
        nonlocal under_way
        if n < 6 and context.attempt == 1:
            await all_refused.wait()
            raise LimitedError(0.3)
        under_way += 1
        together.append(under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return {"n": n}

    run = await start(storage, answer, numbers(40), max_concurrency=6, retry=NEVER, progress=shown.append)
    assert (run.inputs, run.attempts, run.failed_attempts) == ({"completed": 40}, 46, 6)
    assert together[0] == 1
    assert max(together[:3]) <= 2
    assert max(together) == 6
    paused = next(one for one in shown if one.paused_until is not None)
    said = str(paused)
    assert "6 times LimitedError: too many requests, paused until " in said
    assert said.count("LimitedError") == 1, "the reason is said once"
    another = str(replace(paused, pause_reason="503: overloaded"))
    assert another.partition("paused until ")[2].endswith(": 503: overloaded")


class Announced:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.until = datetime(2026, 1, 1, tzinfo=UTC)

    async def __call__(self, seconds: float, reason: str) -> datetime:
        self.seconds.append(seconds)
        return self.until + timedelta(seconds=seconds)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times = [1000.0]
    monkeypatch.setattr(gates, "monotonic", lambda: times[0])
    return times


def gate(announce: Any, **options: Any) -> Gate:
    return Gate(Options(**options), Stopping(RUN, lambda: None), announce)


async def test_pauses_that_follow_one_another(now: list[float]) -> None:
    announced = Announced()
    one = gate(announced)

    async def limited(asked: float | None, after: float) -> float:
        now[0] += after
        await one.slow_down(asked, 600, "429")
        return one.pause_left

    assert [await limited(None, 0)] + [await limited(None, one.pause_left) for _ in range(7)] == [
        *(1, 2, 4, 8, 16, 32, 60, 60)
    ]
    assert await limited(None, 20) == 40  # a call that began before says nothing new
    assert await limited(90, 0) == 90  # unless it asks for more
    assert await limited(5, 10) == 80
    now[0] += 80
    assert one.pause_left == 0
    await one.enter()
    one.leave((), succeeded=True)
    assert await limited(None, 0) == 1
    assert announced.seconds == [1, 2, 4, 8, 16, 32, 60, 60, 90, 1]


async def test_a_provider_knows_how_long_to_wait(now: list[float]) -> None:
    """However often it has refused in a row; only an answer without a time, or with none at all, makes pauses grow."""
    announced = Announced()
    one = gate(announced)
    for asked in (3, 3, 3, 3, None, 3, 0, 1000):
        await one.slow_down(asked, 600, "429")
        now[0] += one.pause_left
    assert announced.seconds == [3, 3, 3, 3, 16, 3, 60, 600]


async def test_a_pause_is_heard_once(now: list[float]) -> None:
    announced = Announced()
    one = gate(announced)
    then = announced.until
    one.hear(then + timedelta(seconds=9), then, "429")
    assert (one.pause_left, one.reason) == (9, "429")
    now[0] += 9
    one.hear(then + timedelta(seconds=9), then, "429")  # by a clock that has not moved
    assert one.pause_left == 0
    await one.slow_down(4, 600, "429")
    now[0] += 4
    one.hear(then + timedelta(seconds=4), then, "429")  # its own
    assert one.pause_left == 0


async def test_an_announcement_that_fails_ends_nothing(now: list[float]) -> None:
    async def announce(_seconds: float, _reason: str) -> datetime:
        raise StorageUnavailableError("file:///store", 0, "it is away")

    one = gate(announce)
    await one.slow_down(4, 600, "429")
    assert one.pause_left == 4


async def test_calls_begin_in_turn_and_as_many_as_the_share(now: list[float]) -> None:
    one = gate(Announced(), max_concurrency=2)
    assert [one.admit() for _ in range(3)] == [True, True, False]
    order: list[int] = []

    async def enter(number: int) -> None:
        await one.enter()
        order.append(number)

    tasks = [asyncio.create_task(enter(number)) for number in range(4)]
    await asyncio.sleep(0)
    one.leave((), succeeded=True)
    await asyncio.sleep(0)
    assert order == [0]
    one.set_share(4)
    await asyncio.sleep(0)
    assert (order, one.calls) == ([0, 1, 2], 4)
    one.set_share(0)
    for _ in range(4):
        one.leave((), succeeded=False)
    await asyncio.gather(*tasks)
    assert (order, one.calls) == ([0, 1, 2, 3], 1)  # claimed before: nobody else can work on it


async def test_those_that_wait_go_when_the_run_stops(now: list[float]) -> None:
    def on_stop() -> None:
        one.wake_all()

    async def in_a_minute(_ask: SlotAsk) -> Grant:
        return Grant((0.0, 60.0))

    stopping = Stopping(RUN, on_stop)
    one = Gate(Options(max_concurrency=1), stopping, Announced(), SharedRate(in_a_minute, lambda _seconds, _why: None))
    await one.enter()
    one.leave((), succeeded=True)
    waiting = [asyncio.create_task(one.enter()) for _ in range(3)]  # one for its minute, two for their turn
    await asyncio.sleep(0)
    stopping.stop("enough")
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in ended] == [StoppedError] * 3
    assert one.calls == 0
