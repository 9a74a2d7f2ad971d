"""Series of measurements and how they are written: medians, spreads, ratios, Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = "-"


@dataclass(frozen=True)
class Series:
    """What one thing measured in every round, in the order of the rounds."""

    values: tuple[float, ...]

    @classmethod
    def rates(cls, count: int, seconds: Sequence[float]) -> Series:
        """Return how many a second were done in each round."""
        return cls(tuple(count / each for each in seconds))

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def per(self, other: Series) -> Series:
        """Return the ratio to another series, round by round."""
        return Series(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def spread(self, form: str, factor: float = 1, unit: str = "") -> str:
        """Return the median with the smallest and the largest."""
        low, middle, high = (
            format(value * factor, form) for value in (min(self.values), self.median, max(self.values))
        )
        return f"{middle}{unit} ({low}-{high})"


def rate(series: Series | None) -> str:
    """Return a rate as a cell."""
    return NOTHING if series is None else series.spread(",.0f")


def ratio(series: Series | None, other: Series | None, goal: float | None = None) -> str:
    """Return a ratio as a cell, with its goal."""
    if series is None or other is None:
        return NOTHING
    ratios = series.per(other)
    form = ".2f" if ratios.median < 10 else ".1f"
    stated = "" if goal is None else f", goal {goal:g}"
    return f"**{ratios.median:{form}}** ({min(ratios.values):{form}}-{max(ratios.values):{form}}{stated})"


def milliseconds(series: Series | None) -> str:
    """Return a duration as a cell."""
    if series is None:
        return NOTHING
    form = ",.0f" if series.median > 0.1 else ".1f" if series.median > 0.005 else ".3f"
    return series.spread(form, 1000, " ms")


def seconds(series: Series | None) -> str:
    """Return a long duration as a cell."""
    return NOTHING if series is None else series.spread(",.2f", unit=" s")


def megabytes(series: Series | None) -> str:
    """Return an amount of memory as a cell."""
    return NOTHING if series is None else series.spread(",.0f", unit=" MB")


@dataclass(frozen=True)
class Table:
    """One table of the results.

    Attributes:
        title: what was measured.
        note: how, in a sentence or two.
        header: the columns' names.
        rows: the cells.
    """

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table with its title and its note."""
        lines = [f"### {self.title}", "", self.note, "", _line(self.header)]
        lines.append(_line(["---"] + ["---:"] * (len(self.header) - 1)))
        lines += [_line(row) for row in self.rows]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
