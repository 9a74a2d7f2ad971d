"""Requests and tokens a minute, in a loop whose clock jumps: what has gone through by when."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from generation import virtual_time
from starfish_storage.generation.rates import Rate, requests, tokens
from starfish_storage.runs import Usage


def began(
    made: Callable[[], list[Rate]], minutes: float, used: Callable[[int], Sequence[Usage]], most: int = 100_000
) -> list[float]:
    """Return when each attempt began, of workers that make one after the other; each takes no time."""

    async def main() -> list[float]:
        times: list[float] = []
        loop = asyncio.get_running_loop()

        async def worker(rate: Rate) -> None:
            rate.workers = len(rates)
            while len(times) < most:
                await rate.take()
                rate.settle(used(len(times)))
                times.append(loop.time())

        rates = made()
        workers = [asyncio.create_task(worker(rate)) for rate in rates]
        await asyncio.sleep(60 * minutes)
        for one in workers:
            one.cancel()
        await asyncio.wait(workers)
        return times

    return virtual_time.run(main())


def most_in_a_minute(times: Sequence[float]) -> int:
    return max(bisect_left(times, begin + 60) - place for place, begin in enumerate(times))


@pytest.mark.parametrize("rpm", [1, 7, 60, 2000])
@pytest.mark.parametrize("workers", [1, 3])
def test_requests_go_out_evenly_and_as_many_as_allowed(rpm: int, workers: int) -> None:
    times = began(lambda: [requests(rpm) for _ in range(workers)], 3, lambda _: ())
    at_once = max(1.0, rpm / 600)
    # Each worker begins its own share at once.
    assert most_in_a_minute(times) <= rpm + workers * at_once
    assert len(times) >= 3 * rpm - workers
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) <= 60 / rpm * workers + at_once * 60 / rpm + 0.001


def test_an_attempt_that_made_four_requests_counts_as_four() -> None:
    times = began(lambda: [requests(60)], 2, lambda _: [Usage("m", 1, 1)] * 4)
    assert 29 <= len(times) <= 32


@pytest.mark.parametrize("workers", [1, 2])
def test_tokens_are_counted_after_the_call_and_expected_before_the_next(workers: int) -> None:
    used = [Usage("m", 1000 + 500 * (number % 3), 500) for number in range(10_000)]
    times = began(lambda: [tokens(20_000) for _ in range(workers)], 10, lambda number: used[number : number + 1])
    spent = sum(one.input_tokens + one.output_tokens for one in used[: len(times)])
    assert 0.97 * 200_000 <= spent <= 200_000 + workers * 2 * 2000  # the first is not expected, the last not paid yet


def test_one_large_answer_is_paid_for_before_the_next_begins() -> None:
    times = began(lambda: [tokens(600)], 20, lambda number: [Usage("m", 6000 if number == 0 else 10, 0)])
    assert times[0] < 0.001
    assert times[1] > 600  # ten minutes' worth


def test_what_was_expected_and_not_used_is_given_back() -> None:
    """Attempts that take their replies from the store use none."""
    times = began(lambda: [tokens(6000)], 10, lambda number: [Usage("m", 3000, 0)] if number < 4 else [], 50)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert [round(gap) for gap in gaps] == [60, 30, 30, 30] + [0] * 45
