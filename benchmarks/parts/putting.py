"""How many records a second a store saves whose data lies in a bucket where each put takes its time."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, rate, ratio

_CALLERS = (50, 500)
_JOBS = 20
_WARM_UP = 100
_SECONDS_A_PUT = 0.03
_GOAL = 5
_GOAL_PUTS = {50: ", goal 0.05"}


def measure_putting(run: Run) -> list[Table]:
    """Measure `save_record` into a bucket in both layouts, and count the puts."""
    records = run.sizes.remote_records
    took: dict[tuple[str, int], list[float]] = defaultdict(list)
    puts: dict[tuple[str, int], list[float]] = defaultdict(list)
    with run.fresh_contestant("benchmarks.slow_bucket") as bucket, run.fresh_contestant() as ours:
        environment = bucket.turn("start", seconds=_SECONDS_A_PUT)
        for _ in run.rounds("put", run.sizes.remote_rounds):
            for callers in _CALLERS:
                for layout in LAYOUTS:
                    store = run.store()
                    how = {"callers": callers, "warm_up": _WARM_UP, "jobs": _JOBS, "layout": layout}
                    before = bucket.turn("puts")
                    place = {"directory": store, "data_uri": f"s3://bucket{store}", "environment": environment}
                    seconds = ours.turn("write_remote", records=records, **place, **how)
                    took[layout, callers].append(seconds)
                    puts[layout, callers].append((bucket.turn("puts") - before) / (records + _WARM_UP))
    rows: list[tuple[str, ...]] = []
    for callers in _CALLERS:
        one_each = Series.rates(records, took["files", callers])
        for layout in LAYOUTS:
            saved, is_packed = Series.rates(records, took[layout, callers]), layout == "packed"
            count = Series(tuple(puts[layout, callers])).spread(".3f") + (
                _GOAL_PUTS.get(callers, "") if is_packed else ""
            )
            rows.append(
                (f"{layout}, {callers}", rate(saved), ratio(saved, one_each, _GOAL) if is_packed else NOTHING, count)
            )
    return [
        Table(
            "Write to a bucket",
            f"Records a second, `save_record` to a local store whose data lies in a bucket of which each put takes "
            f"{_SECONDS_A_PUT * 1000:.0f} ms ([slow_bucket.py](slow_bucket.py)); {records:,} a round, after "
            f"{_WARM_UP} that are not timed. Puts a record, from the opening of the store to its end.",
            ("layout, callers", "`save_record`", "÷ files", "puts a record"),
            tuple(rows),
        )
    ]
