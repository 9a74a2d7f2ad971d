"""How much slower a run is than the storing of its records: a function that returns at once, over many inputs."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, rate, ratio

_CALLERS = 50
_JOBS = 20
_LEVELS = ("power", "process")
_GOAL = 0.6
_GOAL_FILES = 2


def measure_generating(run: Run) -> list[Table]:
    """Measure `generate` beside `save_record` alone, in both layouts."""
    calls = run.sizes.calls
    saved: dict[tuple[str, str], list[float]] = defaultdict(list)
    generated: dict[tuple[str, str], list[float]] = defaultdict(list)
    amount = {"callers": _CALLERS, "warm_up": run.sizes.warm_up}
    with run.fresh_contestant("benchmarks.our_runs") as ours:
        for _ in run.rounds("generate"):
            for level in _LEVELS:
                for layout in LAYOUTS:
                    how = {"durability": level, "layout": layout, **amount}
                    alone = {"records": calls, "jobs": _JOBS, "two_calls": False}
                    saved[level, layout].append(ours.turn("write", directory=run.store(), **alone, **how))
                    seconds = ours.turn("generate_run", directory=run.store(), inputs=calls, **how)
                    generated[level, layout].append(seconds)
    rows: list[tuple[str, ...]] = []
    for level in _LEVELS:
        in_files = Series.rates(calls, generated[level, "files"])
        for layout in LAYOUTS:
            alone, whole = Series.rates(calls, saved[level, layout]), Series.rates(calls, generated[level, layout])
            to_files = NOTHING if layout == "files" else ratio(whole, in_files, _GOAL_FILES)
            rows.append((f"{level}, {layout}", rate(alone), rate(whole), ratio(whole, alone, _GOAL), to_files))
    return [
        Table(
            "Generate",
            f"Records a second. `generate` calls a function that returns at once for {calls:,} inputs, "
            f"`max_concurrency={_CALLERS}`: from the call to its return, so with the storing of the inputs, claims, "
            f"attempts and counts. `save_record` alone stores the same payloads by {_CALLERS} callers, in the same "
            f"process, in turns. Each after {run.sizes.warm_up:,} that are not timed.",
            ("durability, layout", "`save_record`", "`generate`", "÷ `save_record`", "÷ files"),
            tuple(rows),
        )
    ]
