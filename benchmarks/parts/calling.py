"""What a recording client adds to a call of a model: beside a client as it is, in the same run of a function."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import Run
from benchmarks.tables import Series, Table

_CALLERS, _CALLS = 50, 10
_FAMILIES = ("httpx2", "httpx")


def measure_calling(run: Run) -> list[Table]:
    """Measure runs of a function that calls a model, with and without recording."""
    inputs = run.sizes.calls // _CALLS // 2
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    amount = {"callers": _CALLERS, "inputs": inputs, "calls": _CALLS, "durability": "power"}
    with run.fresh_contestant("benchmarks.our_calls") as ours:
        for _ in run.rounds("http"):
            for family in _FAMILIES:
                for way in ("bare", "recorded"):
                    spent = ours.turn("call_models", directory=run.store(), family=family, way=way, **amount)
                    for kind, seconds in spent.items():
                        found[family, way, kind].append(seconds / (inputs * _CALLS))
    rows: list[tuple[str, ...]] = []
    for family in _FAMILIES:
        cells = [family]
        for kind in ("seconds", "processor"):
            bare, recorded = (Series(tuple(found[family, way, kind])) for way in ("bare", "recorded"))
            pairs = zip(recorded.values, bare.values, strict=True)
            cells += [_fine(bare), _fine(recorded), f"**{_fine(Series(tuple(one - other for one, other in pairs)))}**"]
        rows.append(tuple(cells))
    return [
        Table(
            "Recording clients",
            f"Time a call (goal: less than 1 ms more). `generate` runs a function for {inputs:,} inputs, "
            f"`max_concurrency={_CALLERS}`, that calls a model {_CALLS} times, one call after the other, and a server "
            "in another process answers at once: the time of the whole run, and the processor time of its process, "
            "divided by its calls. Recorded, each answer is durable (power-safe) before the function gets it, and "
            "priced. Each after some inputs that are not timed.",
            ("client", "bare", "recorded", "added", "processor: bare", "recorded", "added"),
            tuple(rows),
        )
    ]


def _fine(series: Series) -> str:
    return series.spread(".2f", 1000, " ms")
