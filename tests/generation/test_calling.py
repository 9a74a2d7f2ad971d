"""Where a function runs, and what becomes of what it returns or raises."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from starfish_storage import InvalidInputError
from starfish_storage.generation.calling import BoundFunction, function_name


def answer_a_text(question: str) -> Any:
    return question


async def called(function: Any) -> Any:
    bound = BoundFunction(function, 2)
    try:
        return await bound.call({"question": "2+2", "level": 3}, None, [])
    finally:
        bound.close()


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="of type int"):
        BoundFunction(5, 1)  # pyright: ignore[reportArgumentType]


async def test_coroutine_functions_run_in_the_loop_and_plain_ones_in_a_thread() -> None:
    async def coroutine(row: Any) -> Any:
        return threading.current_thread()

    class Model:
        async def __call__(self, row: Any) -> Any:
            return threading.current_thread()

        async def method(self, row: Any) -> Any:
            return threading.current_thread()

    for function in (coroutine, Model(), Model().method, functools.partial(coroutine), functools.partial(Model())):
        assert await called(function) is threading.current_thread()
    plain = await called(lambda row: threading.current_thread())
    assert plain.name.startswith("starfish-storage-call")


async def test_a_plain_function_sees_the_callers_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def answer(row: Any) -> str:
        before = variable.get()
        variable.set("changed")
        return before

    assert await called(answer) == "set"
    assert variable.get() == "set"


async def test_no_more_plain_calls_at_a_time_than_threads() -> None:
    started, release = threading.Semaphore(0), threading.Event()
    at_once: list[int] = []
    running = [0]
    lock = threading.Lock()

    def answer(row: Any) -> None:
        with lock:
            running[0] += 1
            at_once.append(running[0])
        started.release()
        release.wait(30)
        with lock:
            running[0] -= 1

    bound = BoundFunction(answer, 2)
    calls = [asyncio.ensure_future(bound.call({}, None, [])) for _ in range(5)]
    for _ in range(2):
        await asyncio.to_thread(started.acquire)
    assert not started.acquire(blocking=False)
    release.set()
    await asyncio.gather(*calls)
    assert max(at_once) == 2
    bound.close()


async def test_what_a_function_returns_is_awaited_and_collected() -> None:
    async def one(row: Any) -> int:
        return 1

    def awaitable(row: Any) -> Any:
        return one(row)

    async def many(row: Any) -> AsyncIterator[int]:
        yield 1
        yield 2

    def generator(row: Any) -> Iterator[Any]:
        yield threading.current_thread().name[:13]
        yield 2

    def returns_async_generator(row: Any) -> Any:
        return many(row)

    async def returns_generator(row: Any) -> Any:
        return generator(row)

    assert await called(awaitable) == 1
    assert await called(many) == [1, 2]
    assert await called(functools.partial(many)) == [1, 2]
    assert await called(generator) == ["starfish-stor", 2]
    assert await called(returns_async_generator) == [1, 2]
    assert await called(returns_generator) == ["starfish-stor", 2]


async def test_errors_come_through_as_they_are() -> None:
    async def coroutine(row: Any) -> None:
        raise LookupError("async")

    def plain(row: Any) -> None:
        raise LookupError("plain")

    def generator(row: Any) -> Iterator[int]:
        yield 1
        raise LookupError("generator")

    for function in (coroutine, plain, generator):
        with pytest.raises(LookupError):
            await called(function)


async def test_errors_that_would_be_taken_for_asyncios_own_become_others() -> None:
    """`StopIteration` in a thread would leave the caller waiting for ever."""

    def stops(row: Any) -> Any:
        return next(iter(()))

    def cancelled(row: Any) -> None:
        raise concurrent.futures.CancelledError

    def async_cancelled(row: Any) -> None:
        raise asyncio.CancelledError

    async def from_inside(row: Any) -> None:
        await asyncio.wait_for(cancelled_future(), 10)

    async def cancelled_future() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def exits(row: Any) -> None:
        raise GeneratorExit

    def yields(row: Any) -> Iterator[int]:
        yield 1
        raise GeneratorExit

    for function in (stops, cancelled, async_cancelled, from_inside, exits, yields):
        with pytest.raises(RuntimeError) as caught:
            await asyncio.wait_for(called(function), 30)
        assert caught.value.__cause__ is not None


async def test_cancelling_from_outside_passes_through() -> None:
    entered = asyncio.Event()

    async def waits(row: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(called(waits))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(called(waits), 0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await called(waits)


async def test_a_cancelled_plain_call_is_not_waited_for_and_closing_starts_no_more() -> None:
    entered, release = threading.Event(), threading.Event()

    def waits(row: Any) -> None:
        entered.set()
        release.wait(30)

    bound = BoundFunction(waits, 1)
    task = asyncio.ensure_future(bound.call({}, None, []))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bound.close()
    bound.close()
    with pytest.raises(RuntimeError):
        await bound.call({}, None, [])
    release.set()


def test_names() -> None:
    class Model:
        async def __call__(self, row: Any) -> Any:
            return row

    assert BoundFunction(answer_a_text, 1).name == f"{__name__}:answer_a_text"
    assert function_name(functools.partial(functools.partial(answer_a_text))) == f"{__name__}:answer_a_text"
    assert function_name(Model()) == f"{__name__}:test_names.<locals>.Model"
    assert function_name(Model().__call__) == f"{__name__}:test_names.<locals>.Model.__call__"
    assert function_name(len) == "builtins:len"
    assert function_name("".join) == "builtins:str.join"
