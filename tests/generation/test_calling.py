"""Which parameter gets what, where a function runs, and what becomes of what it returns or raises."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import operator
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, TypedDict

import pytest

from starfish_storage import InvalidInputError
from starfish_storage.generation.calling import BoundFunction, function_name

if TYPE_CHECKING:
    from nowhere import Elsewhere  # pyright: ignore[reportMissingImports]

CONTEXT = object()
INPUT = {"question": "2+2", "level": 3}


class Context:
    """Stands for the job's context."""


class Row(TypedDict):
    question: str
    level: int


async def called(function: Any, run_config: dict[str, Any] | None = None) -> Any:
    bound = BoundFunction(function, 2, context_type=Context)
    try:
        bound.check(INPUT if run_config is None else run_config)
        return await bound.call(INPUT if run_config is None else run_config, CONTEXT)
    finally:
        bound.close()


BINDINGS: list[tuple[Any, Any]] = [
    (lambda row: row, INPUT),
    (lambda question: question, "2+2"),
    (lambda question, level: (question, level), ("2+2", 3)),
    (lambda level, question: (question, level), ("2+2", 3)),
    (lambda question, level=9, more=5: (question, level, more), ("2+2", 3, 5)),
    (lambda question, /, level: (question, level), ("2+2", 3)),
    (lambda more=5, level=9, /: (more, level), (5, 3)),
    (lambda row, /: row, INPUT),
    (lambda row, *, level: (row, level), (INPUT, 3)),
    (lambda row, *, more=5: (row, more), (INPUT, 5)),
    (lambda *, level: level, 3),
    (lambda: "nothing", "nothing"),
    (lambda *args: args, ()),
    (lambda **rest: rest, INPUT),
    (lambda question, **rest: (question, rest), ("2+2", {"level": 3})),
    (lambda row, **rest: (row, rest), (INPUT, {})),
    (lambda *args, **rest: (args, rest), ((), INPUT)),
    (lambda row, context: (row, context), (INPUT, CONTEXT)),
    (lambda context, row: (row, context), (INPUT, CONTEXT)),
    (lambda context: context, CONTEXT),
    (lambda context=None: context, CONTEXT),
    (lambda question, *, context: (question, context), ("2+2", CONTEXT)),
    (lambda context, /, question: (question, context), ("2+2", CONTEXT)),
    (lambda context, **rest: (context, rest), (CONTEXT, INPUT)),
    (lambda topic="cats": topic, "cats"),
    (functools.partial(lambda row, level: (row, level), level=7), (INPUT, 3)),
    (functools.partial(lambda row, more: (row, more), more=7), (INPUT, 7)),
    (functools.partial(lambda first, row: (first, row), "first"), ("first", INPUT)),
    (operator.itemgetter("level"), 3),
    (dict, INPUT),
    (min, "level"),  # no signature: the whole input
]


@pytest.mark.parametrize("number", range(len(BINDINGS)))
async def test_parameters_get_what_they_are_named_after(number: int) -> None:
    function, expected = BINDINGS[number]
    assert await called(function) == expected


async def test_the_context_goes_to_the_parameter_annotated_so() -> None:
    def by_class(row: dict[str, Any], job: Context) -> Any:
        return row, job

    def optional(row: dict[str, Any], job: Optional[Context] = None) -> Any:  # noqa: UP045
        return row, job

    def union(row: dict[str, Any], job: Context | None = None) -> Any:
        return row, job

    def unresolved(row: Elsewhere, job: Context) -> Any:  # the hints of this one cannot be found out
        return row, job

    def unresolved_union(row: Elsewhere, job: Optional[Context] = None) -> Any:  # noqa: UP045
        return row, job

    for function in (by_class, optional, union, unresolved, unresolved_union):
        assert await called(function) == (INPUT, CONTEXT)


async def test_a_context_of_another_kind_is_an_ordinary_parameter() -> None:
    Other = type("Context", (), {})  # noqa: N806

    def answer(question: str, other: Any) -> Any:
        return question, other

    answer.__annotations__["other"] = Other
    assert await called(answer, {"question": "q", "other": 1}) == ("q", 1)


async def test_the_context_is_known_by_its_whole_name_too() -> None:
    same = type("Context", (), {"__module__": "starfish_storage.generation.context"})

    def answer(job: Any) -> Any:
        return job

    answer.__annotations__["job"] = same
    bound = BoundFunction(answer, 1)
    assert await bound.call(INPUT, CONTEXT) is CONTEXT


async def test_data_is_data_a_field_named_context_wins() -> None:
    given = {"context": "a passage", "question": "q"}
    assert await called(lambda question, context: (question, context), given) == ("q", "a passage")

    def both(context: str, job: Context) -> Any:
        return context, job

    assert await called(both, given) == ("a passage", CONTEXT)

    def annotated(context: str, question: str) -> Any:
        return context, question

    assert await called(annotated, given) == ("a passage", "q")
    with pytest.raises(InvalidInputError, match="no field for its parameter 'context'"):
        await called(annotated, {"question": "q"})


async def test_a_field_named_as_the_annotated_context_is_left_out() -> None:
    def answer(question: str, job: Context, **rest: Any) -> Any:
        return question, job, rest

    assert await called(answer, {"question": "q", "job": 1, "more": 2}) == ("q", CONTEXT, {"more": 2})


async def test_a_mapping_may_be_the_whole_input_even_with_a_default() -> None:
    def plain(row: dict[str, Any] | None = None) -> Any:
        return row

    def mapping(row: Mapping[str, Any] = INPUT) -> Any:
        return row

    def typed(row: Row) -> Any:
        return row

    for function in (plain, mapping, typed):
        assert await called(function, {"a": 1}) == {"a": 1}


def one_text(question: str) -> Any:
    return question


def one_optional_text(question: str | None) -> Any:
    return question


def one_list(questions: list[str]) -> Any:
    return questions


def two(question: Any, level: Any) -> Any:
    return question, level


@pytest.mark.parametrize("function", [one_text, one_optional_text, one_list, two, lambda row, *, more: (row, more)])
async def test_a_parameter_without_a_field_is_named_with_the_fields_and_the_remedy(function: Any) -> None:
    bound = BoundFunction(function, 1)
    with pytest.raises(InvalidInputError) as caught:
        bound.check({"prompt": "s3cret", "n": 1})
    with pytest.raises(InvalidInputError) as again:
        await bound.call({"prompt": "s3cret", "n": 1}, None)
    message = str(caught.value)
    assert message == str(again.value)
    assert "the input has no field for its parameter" in message
    assert "'prompt', 'n'" in message
    assert "Rename" in message
    assert "s3cret" not in message


def test_of_many_fields_some_are_listed() -> None:
    with pytest.raises(InvalidInputError, match="'f7' and 12 more"):
        BoundFunction(two, 1).check({f"f{number}": 0 for number in range(20)})
    with pytest.raises(InvalidInputError, match="fields are: none"):
        BoundFunction(two, 1).check({})


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="of type int"):
        BoundFunction(5, 1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("function", [lambda row: row, lambda inner: inner, lambda **rest: rest])
async def test_changing_the_input_changes_only_a_copy(function: Any) -> None:
    given = {"inner": {"list": [1, {"x": 1}]}}
    got = await called(function, given)
    inner = got.get("inner", got)
    inner["list"][1]["x"] = 2
    inner["list"].append(3)
    got["more"] = 1
    assert given == {"inner": {"list": [1, {"x": 1}]}}


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
    calls = [asyncio.ensure_future(bound.call({}, None)) for _ in range(5)]
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

    for function in (stops, cancelled, async_cancelled, from_inside):
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
    task = asyncio.ensure_future(bound.call({}, None))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bound.close()
    bound.close()
    with pytest.raises(RuntimeError):
        await bound.call({}, None)
    release.set()


def test_names() -> None:
    class Model:
        async def __call__(self, row: Any) -> Any:
            return row

    assert BoundFunction(one_text, 1).name == f"{__name__}:one_text"
    assert function_name(functools.partial(functools.partial(one_text))) == f"{__name__}:one_text"
    assert function_name(Model()) == f"{__name__}:test_names.<locals>.Model"
    assert function_name(Model().__call__) == f"{__name__}:test_names.<locals>.Model.__call__"
    assert function_name(len) == "builtins:len"
    assert function_name("".join) == "builtins:str.join"
