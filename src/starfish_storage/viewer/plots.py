"""What a run did over time, as lines to draw and as rows of a table with the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from starfish_storage.runs import Timeline, TimelineBucket
from starfish_storage.viewer.gathering import Gathered
from starfish_storage.viewer.words import duration, moment, money, number

WIDTH, HEIGHT = 600, 150
"""Of a drawing, in its own units."""

_MOST_EMPTY = 1000  # buckets in a row that are drawn as they are; a longer time without anything is a straight line


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A line of a plot.

    Attributes:
        name: what it shows.
        style: the class that gives it its colour.
        values: one a moment; None where there is none.
    """

    name: str
    style: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    Attributes:
        title: what it shows.
        unit: of its values.
        times: the moments, as seconds since 1970.
        lines: its lines.
    """

    title: str
    unit: str
    times: Sequence[float]
    lines: Sequence[PlotLine]

    def points(self, line: PlotLine) -> list[str]:
        """Return a line as points of a drawing; several lines, where values are missing."""
        most = max((one for each in self.lines for one in each.values if one is not None), default=0) or 1
        begin, span = self.times[0], self.times[-1] - self.times[0] or 1
        pieces: list[list[str]] = [[]]
        for when, value in zip(self.times, line.values, strict=True):
            if value is None:
                pieces.append([])
            else:
                pieces[-1].append(f"{(when - begin) / span * WIDTH:.1f},{(1 - value / most) * HEIGHT:.1f}")
        return [" ".join(piece if len(piece) > 1 else piece * 2) for piece in pieces if piece]


def plots_of(timeline: Timeline) -> list[Plot]:
    """Return the plots of a timeline: none if nothing has happened."""
    buckets = list(_without_holes(timeline))
    if not buckets:
        return []
    seconds = timeline.width.total_seconds()
    # What is counted of a time is known at its end.
    times = [one.start.timestamp() + seconds for one in buckets]
    statuses = list(dict.fromkeys(status for one in buckets for status in one.counts))
    begin, zero = [times[0] - seconds, *times], [0.0]
    made = [
        Plot(
            f"{timeline.of.capitalize()} so far",
            "",
            begin,
            [
                PlotLine(one, one, zero + list(accumulate(each.counts.get(one, 0) for each in buckets)))
                for one in statuses
            ],
        ),
        Plot(
            "A second",
            "/s",
            times,
            [PlotLine(one, one, [each.counts.get(one, 0) / seconds for each in buckets]) for one in statuses],
        ),
    ]
    if any(one.median_seconds is not None for one in buckets):
        lines = [
            PlotLine("half take at most", "median", [one.median_seconds for one in buckets]),
            PlotLine("95 in 100 take at most", "slow", [one.slow_seconds for one in buckets]),
        ]
        made.append(Plot("Time of an attempt", "s", times, lines))
    if any(one.cost for one in buckets):
        each = [one.cost / one.count if one.count else None for one in buckets]
        made.append(Plot("Cost of an attempt", "$", times, [PlotLine("on average", "cost", each)]))
    return made


def rows_of(timeline: Timeline) -> list[list[str]]:
    """Return the cells of a table, row by row; the first row is its head."""
    statuses = list(dict.fromkeys(status for one in timeline.buckets for status in one.counts))
    of_attempts = timeline.of == "attempts"
    head = ["Begins (UTC)", *statuses]
    head += ["half take", "95 in 100 take", "tokens in", "tokens out", "cost"] if of_attempts else []
    rows = [head]
    for one in timeline.buckets:
        cells = [moment(one.start), *(number(one.counts.get(status, 0)) for status in statuses)]
        if of_attempts:
            cells += [duration(one.median_seconds), duration(one.slow_seconds)]
            cells += [number(one.input_tokens), number(one.output_tokens), money(one.cost)]
        rows.append(cells)
    return rows


def timeline_json(found: Gathered[Timeline] | None, *, is_over: bool) -> dict[str, Any]:
    """Return a timeline for the script that draws it; without plots while it is being counted for the first time."""
    timeline = None if found is None else found.value
    return {
        "is_final": is_over and found is not None and found.is_current,
        "age": None if found is None else round(found.age),
        "plots": [] if timeline is None else [_plot_json(one) for one in plots_of(timeline)],
        "rows": [] if timeline is None else rows_of(timeline),
    }


def _plot_json(plot: Plot) -> dict[str, Any]:
    lines = [{"name": one.name, "style": one.style, "values": one.values} for one in plot.lines]
    return {"title": plot.title, "unit": plot.unit, "times": plot.times, "lines": lines}


def _without_holes(timeline: Timeline) -> Iterator[TimelineBucket]:
    """Yield the buckets, and empty ones where nothing happened; of a long time, the first and the last one."""
    previous: TimelineBucket | None = None
    for bucket in timeline.buckets:
        if previous is not None:
            missing = round((bucket.start - previous.start) / timeline.width) - 1
            steps = range(1, missing + 1) if missing <= _MOST_EMPTY else (1, missing)
            for step in steps:
                yield TimelineBucket(previous.start + step * timeline.width, {})
        yield bucket
        previous = bucket
