"""Which runs get how much of a limit that they share, by a clock of the test."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

from starfish_storage.runs import CallLimit, Grant, SlotAsk

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROUND_TRIP = 0.01


class Asking(NamedTuple):
    """A run of one worker that has so many calls under way or waiting, each of which takes so long."""

    priority: int
    calls: int
    seconds: float = 1.0
    first: float = 0.0
    last: float = 99.0


def begun(rpm: float, until: float, **runs: Asking) -> dict[str, list[float]]:
    """Return when the calls of runs that share a limit begin."""
    limit = CallLimit("key", None, rpm, None, NOON, NOON, 1.0, NOON)
    waiting = {name: run.calls for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    granted: dict[str, list[float]] = {name: [] for name in runs}
    numbers, asked = count(), set[str]()
    events = [(run.first, next(numbers), name, False) for name, run in runs.items()]
    while events[0][0] < until:
        now, _, name, has_ended = heapq.heappop(events)
        waiting[name] += has_ended
        if not has_ended:
            asked.discard(name)
        granted[name] = [time for time in granted[name] if time >= now - 0.1]
        if waiting[name] and not granted[name] and name not in asked and now < runs[name].last:
            asked.add(name)
            ask = SlotAsk(waiting[name])
            limit, grant = limit.granted(ask, NOON + timedelta(seconds=now), name, runs[name].priority)
            granted[name] = [now + delay for delay in grant.delays]
            heapq.heappush(events, (now + max(ROUND_TRIP, grant.again), next(numbers), name, False))
        while waiting[name] and granted[name]:
            time = granted[name].pop(0)
            waiting[name] -= 1
            times[name].append(time)
            heapq.heappush(events, (time + runs[name].seconds, next(numbers), name, True))
    return times


def a_second(times: dict[str, list[float]], first: float, last: float) -> dict[str, float]:
    """Return how many calls of each run began in a second, between two moments."""
    return {name: round(sum(first <= time < last for time in found) / (last - first)) for name, found in times.items()}


def test_shares_are_by_priority_and_not_by_who_asks_most() -> None:
    """Also where one of them has ten times as many calls waiting."""
    assert a_second(begun(1200, 20, a=Asking(1, 30), b=Asking(1, 300)), 5, 20) == {"a": 10, "b": 10}
    assert a_second(begun(1200, 20, a=Asking(3, 50), b=Asking(1, 300)), 5, 20) == {"a": 15, "b": 5}
    three = begun(1200, 20, a=Asking(2, 50), b=Asking(1, 50), c=Asking(1, 50))
    assert a_second(three, 5, 20) == {"a": 10, "b": 5, "c": 5}
    slow = begun(60, 40, a=Asking(3, 9), b=Asking(1, 9))
    assert [sum(time < 40 for time in slow[name]) for name in slow] == [30, 10], "one call a second in all"


def test_what_a_run_does_not_use_goes_to_the_others() -> None:
    """Whether it asks for little, has long calls, or has ended; and nothing of the limit stays unused."""
    little = a_second(begun(1200, 40, a=Asking(1, 2), b=Asking(1, 300)), 10, 40)
    assert (little["a"], little["b"]) == (2, 18)
    long = a_second(begun(1200, 60, a=Asking(1, 20, 120.0), b=Asking(1, 300)), 15, 60)
    assert long == {"a": 0, "b": 20}
    late = begun(1200, 60, a=Asking(1, 60), b=Asking(9, 60, 1.0, 20, 40))
    assert a_second(late, 0, 20) == {"a": 20, "b": 0}
    assert a_second(late, 26, 40) == {"a": 2, "b": 18}
    assert a_second(late, 48, 60) == {"a": 20, "b": 0}


def test_who_comes_back_has_saved_nothing_up() -> None:
    """It gets its share from then on, and not what it has left to others before."""
    times = begun(1200, 60, a=Asking(1, 100), b=Asking(1, 100, 1.0, 30))
    assert a_second(times, 40, 60) == {"a": 10, "b": 10}


def test_more_than_was_granted_counts_against_the_share() -> None:
    """Requests and tokens beyond what was expected; those of a limit of tokens that were not used are given back."""
    limit = CallLimit("key", None, None, 6000, NOON, NOON, 1.0, NOON)
    limit, _ = limit.granted(SlotAsk(1, 100.0), NOON, "a", 2)
    limit, _ = limit.granted(SlotAsk(1, 100.0, more_tokens=300.0), NOON, "a", 2)
    assert limit.shares["a"].used == (1 + 1 + 3) / 2
    limit, _ = limit.granted(SlotAsk(1, 100.0, more_tokens=-100.0), NOON, "a", 2)
    assert limit.shares["a"].used == (1 + 1 + 3) / 2
    _, grant = limit.granted(SlotAsk(1, 100.0), NOON, "b")
    assert grant.delays
    limit, grant = limit.granted(SlotAsk(1, 100.0), NOON + timedelta(hours=1), "a", 2)
    assert (grant, set(limit.shares)) == (Grant((0.0,)), {"a"}), "nobody else uses it any more"
