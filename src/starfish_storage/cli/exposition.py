"""Metrics as the text that Prometheus scrapes: its text exposition format, version 0.0.4."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = _IN_HELP | str.maketrans({'"': r"\""})
_HALVES = re.compile("[\ud800-\udfff]")  # of characters: no UTF-8 holds them


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A value of a metric, with the labels that tell it from others."""

    labels: Mapping[str, str]
    value: float


@dataclass(slots=True)
class Metric:
    """A metric and its samples.

    Attributes:
        name: with its unit, and ``_total`` at the end of a counter.
        kind: a counter only grows while its labels exist; a gauge goes up and down.
        help: what it says, for people.
        samples: its values.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: list[MetricValue] = field(default_factory=list[MetricValue])

    def add(self, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Add a sample."""
        self.samples.append(MetricValue(labels or {}, value))


def exposition(metrics: Iterable[Metric]) -> str:
    r"""Return metrics as text; one without samples is left out.

    >>> runs = Metric("runs", "gauge", "Runs.")
    >>> runs.add(2, {"name": 'a "b"\n'})
    >>> print(exposition([runs]), end="")
    # HELP runs Runs.
    # TYPE runs gauge
    runs{name="a \"b\"\n"} 2
    """
    return "".join(f"{line}\n" for metric in metrics if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterable[str]:
    yield f"# HELP {metric.name} {metric.help.translate(_IN_HELP)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for sample in metric.samples:
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in sample.labels.items())
        # `repr` of a float is exact; what is whole needs no point.
        value = int(sample.value) if sample.value == int(sample.value) else float(sample.value)
        yield f"{metric.name}{f'{{{inside}}}' if inside else ''} {value!r}"


def _escaped(text: str) -> str:
    return _HALVES.sub("�", text.translate(_IN_LABEL))
