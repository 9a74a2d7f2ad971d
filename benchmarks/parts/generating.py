"""How much slower a run is than the storing of its records: a function that returns at once, over many inputs."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import Run
from benchmarks.tables import Series, Table, rate, ratio

_CALLERS = 50
_JOBS = 20
_LEVELS = ("power", "process")
_GOAL = 0.6


def measure_generating(run: Run) -> list[Table]:
    """Measure `generate` beside `save_record` alone."""
    calls = run.sizes.calls
    saved: dict[str, list[float]] = defaultdict(list)
    generated: dict[str, list[float]] = defaultdict(list)
    amount = {"callers": _CALLERS, "warm_up": run.sizes.warm_up}
    with run.fresh_contestant("benchmarks.our_runs") as ours:
        for _ in run.rounds("generate"):
            for level in _LEVELS:
                alone = {"records": calls, "jobs": _JOBS, "two_calls": False, "durability": level}
                saved[level].append(ours.turn("write", directory=run.store(), **alone, **amount))
                whole = {"inputs": calls, "durability": level}
                generated[level].append(ours.turn("generate_run", directory=run.store(), **whole, **amount))
    rows: list[tuple[str, ...]] = []
    for level in _LEVELS:
        alone, whole = Series.rates(calls, saved[level]), Series.rates(calls, generated[level])
        rows.append((level, rate(alone), rate(whole), ratio(whole, alone, _GOAL)))
    return [
        Table(
            "Generate",
            f"Records a second. `generate` calls a function that returns at once for {calls:,} inputs, "
            f"`max_concurrency={_CALLERS}`: from the call to its return, so with the storing of the inputs, claims, "
            f"attempts and counts. `save_record` alone stores the same payloads by {_CALLERS} callers, in the same "
            f"process, in turns. Each after {run.sizes.warm_up:,} that are not timed.",
            ("durability", "`save_record`", "`generate`", "÷ `save_record`"),
            tuple(rows),
        )
    ]
