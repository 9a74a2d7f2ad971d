"""Where a traceback begins: at the user's function, whatever called it and however."""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generation.runs import AT_ONCE, NEVER, RUN, attempts, start
from starfish_storage import Context, Filtered, generate, resume, retry
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation import Where
from starfish_storage.interface import Storage

HERE = "test_tracebacks.py"


async def in_a_coroutine(n: int) -> None:
    raise ValueError(n)


def in_a_thread(n: int) -> None:
    raise ValueError(n)


def in_a_generator(n: int) -> Iterator[dict[str, int]]:
    yield {"n": n}
    raise ValueError(n)


async def in_an_asynchronous_generator(n: int) -> Any:
    yield {"n": n}
    raise ValueError(n)


async def in_a_step(n: int, context: Context) -> None:
    await context.once("step", functools.partial(in_a_thread, n))


async def below_a_library(n: int) -> None:
    json.loads(f"no JSON {n}")


FUNCTIONS = [in_a_coroutine, in_a_thread, in_a_generator, in_an_asynchronous_generator, in_a_step, below_a_library]


@pytest.mark.parametrize("tries", [NEVER, AT_ONCE], ids=["first attempt", "later attempt"])
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_a_stored_traceback_begins_at_the_function(storage: Storage, function: Callable[..., Any], tries: Any):
    await start(storage, function, [{"n": 7}], retry=tries)
    for made in await attempts(storage, 7):
        lines = (made.error_traceback or "").splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert HERE in lines[1]
        assert lines[1].endswith(f"in {function.__name__}")
        assert lines[-1].startswith(("ValueError: 7", "json.decoder.JSONDecodeError"))


async def test_causes_begin_there_too(storage: Storage):
    async def wraps(n: int) -> None:
        try:
            await in_a_coroutine(n)
        except ValueError as error:
            raise LookupError("wrapped") from error

    await start(storage, wraps, [{"n": 7}], retry=NEVER)
    (made,) = await attempts(storage, 7)
    text = made.error_traceback or ""
    begins = [text.splitlines()[place + 1] for place, line in enumerate(text.splitlines()) if "Traceback" in line]
    assert len(begins) == 2
    assert all(HERE in line and line.endswith("in wraps") for line in begins)


async def test_what_takes_too_long_shows_where_it_stood(storage: Storage):
    async def waits(n: int) -> None:
        import asyncio

        await asyncio.sleep(3600 + n)

    await start(storage, waits, [{"n": 7}], retry=NEVER, timeout=0.01)
    (made,) = await attempts(storage, 7)
    lines = (made.error_traceback or "").splitlines()
    assert lines[1].endswith("in waits")
    assert lines[-1] == "TimeoutError: the attempt took longer than its timeout of 0.01 s"


@pytest.mark.parametrize(
    ("function", "last"),
    [
        (lambda n: None, "starfish_storage.errors.InvalidDataError: "),  # an output that is none
        (functools.partial(in_a_coroutine, 1, 2), "TypeError: in_a_coroutine() "),  # pyright: ignore[reportCallIssue]
    ],
)
async def test_what_has_no_frame_of_the_function_is_one_line(storage: Storage, function: Callable[..., Any], last: str):
    await start(storage, function, [{"n": 7}], retry=NEVER)
    (made,) = await attempts(storage, 7)
    (line,) = (made.error_traceback or "").splitlines()
    assert line.startswith(last)


async def test_a_mistake_of_this_library_is_shown_whole(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("starfish_storage.generation.outcomes.items_of", None)  # what calls it fails then
    await start(storage, lambda n: Filtered({"n": n}), [{"n": 7}], retry=NEVER)
    (made,) = await attempts(storage, 7)
    assert "outcomes.py" in (made.error_traceback or "")


async def nothing(n: int) -> dict[str, int]:
    return {"n": n}


BAD: list[tuple[str, Callable[[Storage], Any]]] = [
    ("function must be callable", lambda storage: generate(storage, 42, [], project="p")),  # type: ignore[arg-type]
    ("max_concurrency", lambda storage: generate(storage, nothing, [], project="p", max_concurrency=0)),
    ("output_schema", lambda storage: generate(storage, nothing, [], project="p", output_schema=int)),  # type: ignore[arg-type]
    ("inputs must be", lambda storage: generate(storage, nothing, 7, project="p")),  # type: ignore[arg-type]
    ("input 0", lambda storage: generate(storage, nothing, [{"m": 1}], project="p")),
    ("'api_key'", lambda storage: generate(storage, nothing, [{"n": 1, "api_key": "sk-1"}], project="p")),
    ("max_cost", lambda storage: resume(storage, RUN, nothing, max_cost=-1)),
    ("status", lambda storage: retry(storage, RUN, nothing, where=Where(statuses=["bad"]))),
]


@pytest.mark.parametrize(("reason", "call"), BAD, ids=[reason for reason, _ in BAD])
async def test_a_refusal_is_raised_at_the_call(storage: Storage, reason: str, call: Callable[[Storage], Any]):
    await start(storage, nothing, [{"n": 1}], max_cost=0)
    with pytest.raises(InvalidInputError) as caught:
        await call(storage)
    places = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert len([one for one in places if "starfish_storage" in one]) == 1
    assert HERE in places[0]


async def test_a_refusal_from_the_users_own_code_keeps_its_frames(storage: Storage):
    def inputs() -> Iterator[dict[str, int]]:
        yield {"n": 1}
        raise InvalidInputError("no more")

    with pytest.raises(InvalidInputError, match="no more") as caught:
        await start(storage, nothing, inputs())
    assert "inputs" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
