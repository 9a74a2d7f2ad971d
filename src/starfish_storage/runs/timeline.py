"""What a run did, moment by moment: how much was tried and made, how long it took, and what it cost. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

TimelineOf = Literal["attempts", "records"]
"""What a timeline counts."""

_ENDED_BY_ITSELF = ("completed", "failed")  # how long others took says when they were given up
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)  # clocks may say anything
_BEGINNING = "0000-01-01T00:00:00"  # what is cut off a time, so that it is the beginning of a unit
_UNITS = {19: 1, 18: 10, 16: 60, 15: 600, 13: 3600, 10: 86_400}
_WIDTHS = (
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    *(86_400 * days for days in (2, 7, 14, 28, 91, 182, 364, 1820, 3640, 36_400, 364_000)),
)  # fmt: skip


class AttemptsAtTime(NamedTuple):
    """Attempts that ended at about the same time, in the same way, after about as long.

    Attributes:
        moment: the beginning of the text of the times at which they ended, as far as they share it.
        status: theirs.
        duration: number of the range of durations that theirs lie in.
        attempts: how many.
        shortest: the shortest duration, in seconds.
        longest: the longest one.
        input_tokens: tokens sent.
        output_tokens: tokens received.
        cost: what they cost.
    """

    moment: str
    status: str
    duration: float
    attempts: int
    shortest: float
    longest: float
    input_tokens: int
    output_tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class TimelineBucket:
    """What happened from one moment to the next.

    Attributes:
        start: when it begins (UTC).
        counts: how many attempts ended in each status, or records of each status began.
        median_seconds: how long half of the attempts that completed or failed took at most; None if there is none.
        slow_seconds: the same of 95 in 100 of them.
        input_tokens: tokens sent.
        output_tokens: tokens received.
        cost: what the attempts cost.
    """

    start: datetime
    counts: Mapping[str, int]
    median_seconds: float | None = None
    slow_seconds: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def count(self) -> int:
        """How many, in whatever status."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened in a run over time.

    Attributes:
        of: what is counted: attempts, by when they ended; or records, by when they began.
        width: how long each bucket is.
        buckets: in the order of time, without those in which nothing happened.
        counted: how many are counted.
        total: how many there were; more than ``counted`` if counting all would have taken too long.
    """

    of: TimelineOf
    width: timedelta
    buckets: tuple[TimelineBucket, ...]
    counted: int
    total: int

    @property
    def end(self) -> datetime | None:
        """When the last bucket ends (UTC); None without any."""
        if not self.buckets:
            return None
        return _moment(int(self.buckets[-1].start.timestamp() + self.width.total_seconds()))

    def levels(self, number: int) -> list[float]:
        """Return how many there were in each of so many equal spans of time, for a picture; fewer of a short time.

        >>> begin = datetime(2026, 1, 1, tzinfo=UTC)
        >>> buckets = (TimelineBucket(begin, {"completed": 4}), TimelineBucket(begin + 2 * _SECOND, {"completed": 2}))
        >>> Timeline("records", _SECOND, buckets, 6, 6).levels(9), Timeline("records", _SECOND, buckets, 6, 6).levels(2)
        ([4.0, 0.0, 2.0], [4.0, 2.0])
        """
        if not self.buckets:
            return []
        first, width = self.buckets[0].start.timestamp(), self.width.total_seconds()
        span = self.buckets[-1].start.timestamp() + width - first
        levels = [0.0] * min(number, round(span / width))
        each = span / len(levels)
        for bucket in self.buckets:
            begin = (bucket.start.timestamp() - first) / each
            end = begin + width / each
            for level in range(int(begin), min(len(levels), math.ceil(end))):
                shared = min(end, level + 1) - max(begin, level)
                levels[level] += bucket.count * shared / (end - begin)
        return levels


def digits_for(span: timedelta, buckets: int) -> int:
    """Return how many characters of the text of a time tell moments apart that finely.

    >>> digits_for(timedelta(seconds=50), 100), digits_for(timedelta(hours=1), 100)
    (19, 18)
    """
    for digits, seconds in _UNITS.items():
        if span.total_seconds() / seconds <= 4 * buckets:
            return digits
    return min(_UNITS)


def timeline_of_attempts(found: Iterable[AttemptsAtTime], buckets: int, total: int) -> Timeline:
    """Return the timeline of groups of attempts, in at most so many buckets and two."""
    groups = [(_begin_of(one.moment), one) for one in found]
    if not groups:
        return Timeline("attempts", _SECOND, (), 0, total)
    begins, unit = [begin for begin, _ in groups], _UNITS[len(groups[0][1].moment)]
    span = max(begins) - min(begins)
    seconds = next((one for one in _WIDTHS if one % unit == 0 and span / one < buckets), _WIDTHS[-1])
    sorted_in: dict[int, list[AttemptsAtTime]] = {}
    for begin, one in groups:
        sorted_in.setdefault(begin // seconds * seconds, []).append(one)
    made = tuple(_bucket(begin, sorted_in[begin]) for begin in sorted(sorted_in))
    counted = sum(one.count for one in made)
    return Timeline("attempts", timedelta(seconds=seconds), made, counted, max(counted, total))


def timeline_of_records(spans: Sequence[tuple[datetime, datetime]], found: Mapping[str, Sequence[int]]) -> Timeline:
    """Return the timeline of records from the numbers of each status in each span."""
    made: list[TimelineBucket] = []
    for (begin, _), counts in zip(spans, zip(*found.values(), strict=True), strict=bool(found)):
        if any(counts):
            made.append(TimelineBucket(begin, {status: n for status, n in zip(found, counts, strict=True) if n}))
    counted = sum(one.count for one in made)
    width = max(end - begin for begin, end in spans)  # the first and the last one may be cut off where years end
    return Timeline("records", width, tuple(made), counted, counted)


def spans_of_time(begin: datetime, end: datetime, buckets: int) -> list[tuple[datetime, datetime]]:
    """Return spans of a round width that hold all times from one to another, in at most so many buckets and one.

    >>> spans = spans_of_time(datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC), datetime(2026, 1, 1, 0, 1, tzinfo=UTC), 7)
    >>> [f"{begin:%M:%S}" for begin, _ in spans]
    ['00:00', '00:10', '00:20', '00:30', '00:40', '00:50', '01:00']
    """
    first, last = ((one - _EPOCH) // _SECOND for one in (begin, end))
    width = next((one for one in _WIDTHS if (last - first) / one < buckets), _WIDTHS[-1])
    begins = range(first // width * width, last + 1, width)
    return [(_moment(one), _moment(one + width)) for one in begins]


def _begin_of(moment: str) -> int:
    whole = datetime.fromisoformat(moment + _BEGINNING[len(moment) :])
    return int(whole.replace(tzinfo=UTC).timestamp())


def _moment(seconds: int) -> datetime:
    """Return a time from the seconds since 1970; beyond the last year, or before the first one, the nearest."""
    if not _FIRST.timestamp() <= seconds < _LAST.timestamp():
        return _FIRST if seconds < 0 else _LAST
    return _EPOCH + timedelta(seconds=seconds)


def _bucket(begin: int, groups: list[AttemptsAtTime]) -> TimelineBucket:
    counts = Counter[str]()
    for one in groups:
        counts[one.status] += one.attempts
    durations = [one for one in groups if one.status in _ENDED_BY_ITSELF]
    return TimelineBucket(
        _moment(begin),
        dict(sorted(counts.items())),
        _quantile(durations, 0.5),
        _quantile(durations, 0.95),
        sum(one.input_tokens for one in groups),
        sum(one.output_tokens for one in groups),
        sum(one.cost for one in groups),
    )


def _quantile(groups: list[AttemptsAtTime], part: float) -> float | None:
    """Return the duration that such a part of the attempts does not exceed.

    Between the shortest and the longest of a range it is guessed: it is off by at most the width of a range, 6 %.
    """
    rank = part * (sum(one.attempts for one in groups) - 1)
    before = 0
    for one in sorted(groups, key=lambda one: (one.shortest, one.longest)):
        if rank <= before + one.attempts - 1:
            inside = (rank - before) / (one.attempts - 1) if one.attempts > 1 else 0.0
            return one.shortest + max(0.0, inside) * (one.longest - one.shortest)
        before += one.attempts
    return None
