"""Timelines: buckets of a round width whatever the span, and attempts that are counted in portions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from starfish_storage import LocalStorage
from starfish_storage.metadata import progress_ledger
from starfish_storage.runs import AttemptsAtTime
from starfish_storage.runs.timeline import digits_for, spans_of_time, timeline_of_attempts, timeline_of_records
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.run_samples import an_outcome, claim, kept, start

BEGIN = datetime(2026, 1, 31, 12, 34, 56, 789_012, tzinfo=UTC)
SPANS = [
    timedelta(0),
    timedelta(seconds=119.9),
    timedelta(seconds=481),  # told apart by tens of seconds, and five would be enough
    timedelta(hours=5),
    timedelta(days=3, seconds=1),
    timedelta(days=400),
    timedelta(days=365_000),
]


@pytest.mark.parametrize("span", SPANS, ids=str)
@pytest.mark.parametrize("most", [1, 7, 120])
def test_every_moment_has_its_bucket(span: timedelta, most: int):
    moments = [BEGIN + span * part / 500 for part in range(501)]
    digits = digits_for(span, most)
    groups = [AttemptsAtTime(one.isoformat()[:digits], "completed", 0, 1, 1.0, 1.0, 0, 0, 0.0) for one in moments]
    timeline = timeline_of_attempts(groups, most, 0)
    assert len(timeline.buckets) <= most + 2
    assert sum(one.count for one in timeline.buckets) == timeline.counted == timeline.total == 501
    for one in timeline.buckets:
        inside = [moment for moment in moments if one.start <= moment < one.start + timeline.width]
        assert len(inside) == one.count > 0
    if most > 1 and span:
        assert len(timeline.buckets) > most / 8  # and not all in a few


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_spans_hold_every_moment_once(span: timedelta):
    spans = spans_of_time(BEGIN, BEGIN + span, 120)
    assert spans[0][0] <= BEGIN < spans[0][1]
    assert spans[-1][0] <= BEGIN + span < spans[-1][1]
    assert all(end == begin for (_, end), (begin, _) in pairwise(spans))
    assert len(spans) <= 121
    found = {"failed": [1] + [0] * (len(spans) - 1)}
    assert [one.counts for one in timeline_of_records(spans, found).buckets] == [{"failed": 1}]
    assert timeline_of_records(spans, {}).buckets == ()


def test_clocks_may_say_anything():
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC) - timedelta(seconds=1)
    for begin, end in ((first, first), (last, last), (first, last)):
        spans = spans_of_time(begin, end, 24)
        assert spans[0][0] <= begin
        assert end < spans[-1][1]
        found = {"completed": [1] + [0] * (len(spans) - 2) + [1]} if len(spans) > 1 else {"completed": [2]}
        timeline = timeline_of_records(spans, found)
        assert sum(timeline.levels(24)) == pytest.approx(2)
        assert end < (timeline.end or first)


async def test_portions_add_up_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with LocalStorage(tmp_path.as_uri(), durability="process") as storage:
        ledger = await start(storage, 7)
        for claimed in await claim(ledger, 7):
            await ledger.finish_input(an_outcome(claimed, kept()))
        whole = await ledger.get_timeline(MASTER_JOB)
        assert whole.counted == 7
        for size in (1, 3, 7):
            monkeypatch.setattr(progress_ledger, "_PORTION", size)
            assert await ledger.get_timeline(MASTER_JOB) == whole
        monkeypatch.setattr(progress_ledger, "_PORTION", 2)
        part = await ledger.get_timeline(MASTER_JOB, seconds=0)
        assert (part.counted in (0, 2), part.total) == (True, 7)
