"""Requests and tokens a minute, in a loop whose clock jumps: what has gone through by when."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from generation import virtual_time
from starfish_storage.generation.rates import SharedRate
from starfish_storage.runs import CallLimit, Grant, SlotAsk, Usage

START = datetime(2026, 1, 1, tzinfo=UTC)


class Store:
    """Keeps a limit as a store does, by the clock of the loop."""

    def __init__(self, rpm: float | None = None, tpm: float | None = None) -> None:
        self.limit = CallLimit("key", None, rpm, tpm, START, START, 1.0, START)
        self.claims = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    async def claim(self, ask: SlotAsk) -> Grant:
        self.claims += 1
        self.limit, grant = self.limit.granted(ask, self.now())
        return grant


def began(
    store: Store, minutes: float, used: Callable[[int], Sequence[Usage]], most: int = 100_000, workers: int = 1
) -> list[float]:
    """Return when each attempt began, of workers with three slots each; an attempt takes no time."""

    async def main() -> list[float]:
        times: list[float] = []
        loop = asyncio.get_running_loop()

        async def slot(rate: SharedRate) -> None:
            while len(times) < most:
                await rate.take()
                rate.settle(used(len(times)))
                times.append(loop.time())

        rates = [SharedRate(store.claim, lambda seconds, reason: None) for _ in range(workers)]
        slots = [asyncio.create_task(slot(rate)) for rate in rates for _ in range(3 if workers > 1 else 1)]
        await asyncio.sleep(60 * minutes)
        for one in slots:
            one.cancel()
        await asyncio.wait(slots)
        return times

    return virtual_time.run(main())


def most_in(times: Sequence[float], seconds: float) -> int:
    return max(bisect_left(times, begin + seconds) - place for place, begin in enumerate(times))


@pytest.mark.parametrize("rpm", [1, 7, 60, 2000])
@pytest.mark.parametrize("workers", [1, 3])
def test_requests_go_out_evenly_and_as_many_as_allowed(rpm: int, workers: int) -> None:
    store = Store(rpm=rpm)
    times = began(store, 3, lambda _: (), workers=workers)
    assert most_in(times, 60) <= rpm + 1
    assert most_in(times, 1) <= rpm / 60 + 1.001
    assert len(times) >= 3 * rpm - workers
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) <= 60 / rpm + 0.001
    assert rpm < 2000 or store.claims <= len(times) / 2, "times are claimed together"


def test_an_attempt_that_made_four_requests_counts_as_four() -> None:
    times = began(Store(rpm=60), 2, lambda _: [Usage("m", 1, 1)] * 4)
    assert 29 <= len(times) <= 32


@pytest.mark.parametrize("workers", [1, 2])
def test_tokens_are_counted_after_the_call_and_expected_before_the_next(workers: int) -> None:
    used = [Usage("m", 1000 + 500 * (number % 3), 500) for number in range(10_000)]
    times = began(Store(tpm=20_000), 10, lambda number: used[number : number + 1], workers=workers)
    spent = sum(one.input_tokens + one.output_tokens for one in used[: len(times)])
    assert 0.97 * 200_000 <= spent <= 200_000 + workers * 4 * 2000  # the first is not expected, the last not paid yet


def test_one_large_answer_is_paid_for_before_the_next_begins() -> None:
    times = began(Store(tpm=600), 20, lambda number: [Usage("m", 6000 if number == 0 else 10, 0)])
    assert times[0] < 0.001
    assert times[1] > 599  # ten minutes' worth


def test_what_was_expected_and_not_used_is_given_back() -> None:
    """Attempts that take their replies from the store use none."""
    times = began(Store(tpm=6000), 10, lambda number: [Usage("m", 3000, 0)] if number < 4 else [], 50)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gaps[:4]) == pytest.approx(120, abs=1)
    assert max(gaps[5:]) <= 30.001


def test_a_refusal_pauses_all_and_slows_them_down_until_none_has_come_for_a_while() -> None:
    store = Store(rpm=600)

    def used(number: int) -> Sequence[Usage]:
        if number == 100:
            store.limit = store.limit.refused(5, "429", store.now())
        return ()

    times = began(store, 1, used)
    refused = times[100]
    after = times[bisect_left(times, refused + 0.3) :]
    assert refused + 5 <= after[0] <= refused + 5.3
    assert most_in(after[:50], 1) <= 10
    assert min(later - earlier for earlier, later in pairwise(after[:10])) > 0.11, "85 percent of ten a second"
    assert most_in(after, 1) >= 10, "and all of it again after a quarter of a minute"


def test_refusals_of_calls_under_way_together_are_one() -> None:
    limit = Store(rpm=600).limit
    for _ in range(20):
        limit = limit.refused(1, "429", START + timedelta(milliseconds=100))
    assert limit.part == 0.85
    assert limit.refused(1, "429", START + timedelta(seconds=5)).part == pytest.approx((0.85 + 0.049) * 0.85)
    assert limit.refused(0.1, "less", START + timedelta(milliseconds=200)).pause_reason == "429"
    assert limit.part_at(START + timedelta(hours=1)) == 1
