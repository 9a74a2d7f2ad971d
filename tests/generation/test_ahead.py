"""Calls do not wait for the store: how many inputs a worker holds ahead of them, and what becomes of these."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from generation.runs import RUN, Calls, numbers, start, statuses
from starfish_storage.generation import resume
from starfish_storage.generation.ahead import Ahead
from starfish_storage.interface import Storage

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("share", "called", "store_seconds", "held"),
    [
        (50, 0.02 * SECOND, 0.1, 100),
        (50, SECOND, 0.1, 100),
        (50, 10 * SECOND, 0.1, 55),
        (50, 10 * SECOND, 3.0, 80),  # the store is slow
        (50, 600 * SECOND, 0.1, 50),
        (1, 0.02 * SECOND, 0.1, 1),  # one after the other
        (0, SECOND, 0.1, 0),
    ],
)
def test_as_many_as_are_next_within_a_second(share: int, called: timedelta, store_seconds: float, held: int) -> None:
    ahead = Ahead(lambda: share)
    assert ahead.limit == share, "nothing is known"
    ahead.note(called, store_seconds)
    assert ahead.limit == held


def test_nothing_is_kept_from_other_workers() -> None:
    ahead = Ahead(lambda: 10)
    ahead.note(SECOND, 0.1)
    ahead.look(living=1, pending=5)
    assert ahead.limit == 20, "nobody else would take them"
    ahead.look(living=1, pending=1000)
    ahead.look(living=2, pending=1000)
    assert ahead.limit == 10, "another begins, and counts what is claimed as calls"
    late = Ahead(lambda: 10)
    late.note(SECOND, 0.1)
    late.look(living=1, pending=1000)
    assert late.limit == 20
    late.look(living=1, pending=40)
    assert late.limit == 20


async def test_what_is_in_flight_is_bounded(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store answers nothing, at most twice as many calls are made as there are at a time."""
    may_store, stored, calls = asyncio.Event(), 0, Calls()
    finish = storage.ledger.finish_input

    async def finish_late(*given: Any, **options: Any) -> Any:
        nonlocal stored
        if stored == 4:
            await may_store.wait()
        stored += 1
        return await finish(*given, **options)

    monkeypatch.setattr(storage.ledger, "finish_input", finish_late)
    running = asyncio.create_task(start(storage, calls, numbers(40), max_concurrency=3, patience=5))
    await calls.until(4 + 6)
    for _ in range(100):  # nobody begins another one
        await asyncio.sleep(0)
    assert len(calls.made) == 4 + 6
    may_store.set()
    assert (await running).inputs == {"completed": 40}
    assert sorted(calls.made) == list(range(40))


async def test_what_was_claimed_ahead_is_given_back(storage: Storage) -> None:
    calls = Calls(held=range(10, 40))
    running = asyncio.create_task(start(storage, calls, numbers(40), max_concurrency=3))
    await calls.until(13)
    while (await storage.ledger.count_inputs(RUN)).get("running", 0) < 6:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await statuses(storage) == ("cancelled", {"completed": 10, "pending": 30})
    state = await storage.ledger.get_run(RUN)
    assert state is not None
    assert state.attempts == 13, "what was claimed ahead was not begun"
    calls.held.clear()
    done = await resume(storage, RUN, calls, progress="quiet")
    assert done.inputs == {"completed": 40}
    assert len(calls.made) == 40 + 3
