"""How many records a second are stored, by 1, 50 and 500 callers at once, in both layouts and at both durabilities."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import Series, Table, rate, ratio

_CALLERS = (1, 50, 500)
_LEVELS = ("power", "process")
_JOBS = 20

_GOALS_PEER = {("power", 1): 1.5, ("power", 50): 12, ("power", 500): 15} | {
    ("process", 1): 4,
    ("process", 50): 14,
    ("process", 500): 18,
}
_GOALS_RAW = {("power", 50): 0.8, ("power", 500): 0.8}
_GOALS_TWO_CALLS = {("power", 50): 8, ("power", 500): 12}
"""All of them of packed stores."""

_Measured = dict[tuple[str, str, str, int], Series]


def measure_writing(run: Run) -> list[Table]:
    """Measure writing in one step, in two calls, by the peer and by the raw loop."""
    measured: _Measured = {}
    for callers in _CALLERS:
        measured |= _measure(run, callers)
    return [*(_one_step(run, measured, level) for level in _LEVELS), _two_calls(measured)]


def _measure(run: Run, callers: int) -> _Measured:
    sizes = run.sizes
    records = sizes.single_records if callers == 1 else sizes.records
    took: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    amount = {"callers": callers, "jobs": _JOBS}
    for _ in run.rounds(f"write, {callers} at a time"):
        if run.peer is not None:
            theirs = {"records": sizes.peer_records, "warm_up": sizes.peer_warm_up, **amount}
            took["peer", "", ""].append(run.peer.turn("write", directory=run.store(), **theirs))
        for level in _LEVELS:
            for layout in LAYOUTS:
                ours = {"records": records, "warm_up": sizes.warm_up, "durability": level, "layout": layout, **amount}
                took["raw", level, layout].append(run.raw_loop.turn("write", directory=run.store(), **ours))
                for way in ("one", "two"):
                    seconds = run.ours.turn("write", directory=run.store(), two_calls=way == "two", **ours)
                    took[way, level, layout].append(seconds)
    return {
        (who, level, layout, callers): Series.rates(sizes.peer_records if who == "peer" else records, seconds)
        for (who, level, layout), seconds in took.items()
    }


def _one_step(run: Run, measured: _Measured, level: str) -> Table:
    sizes = run.sizes
    rows: list[tuple[str, ...]] = []
    for layout in LAYOUTS:
        for callers in _CALLERS:
            peer = measured.get(("peer", "", "", callers))
            raw, ours = measured["raw", level, layout, callers], measured["one", level, layout, callers]
            goals = _GOALS_PEER if layout == "packed" else {}, _GOALS_RAW if layout == "packed" else {}
            to_peer, to_raw = (
                ratio(ours, other, goal.get((level, callers))) for other, goal in zip((peer, raw), goals, strict=True)
            )
            rows.append((f"{layout}, {callers}", rate(peer), rate(raw), rate(ours), to_peer, to_raw))
    promise = {
        "power": "Every acknowledged record survives a power cut (the peer's need not).",
        "process": "Every acknowledged record survives a kill -9, as the peer's rows do.",
    }[level]
    return Table(
        f'Write, `durability="{level}"`{" (default)" if level == "power" else ""}',
        f"Records a second, `save_record`. {promise} Ours and the raw loop write {sizes.records:,} records a round "
        f"({sizes.single_records:,} by one caller), the peer {sizes.peer_records:,}, each after {sizes.warm_up:,} and "
        f"{sizes.peer_warm_up:,} that are not timed.",
        ("layout, callers", "Starfish 0.1.3", "raw loop", "`save_record`", "÷ Starfish", "÷ raw loop"),
        tuple(rows),
    )


def _two_calls(measured: _Measured) -> Table:
    rows: list[tuple[str, ...]] = []
    for level in _LEVELS:
        for layout in LAYOUTS:
            for callers in _CALLERS:
                peer = measured.get(("peer", "", "", callers))
                ours, one_step = (measured[way, level, layout, callers] for way in ("two", "one"))
                to_peer = ratio(ours, peer, _GOALS_TWO_CALLS.get((level, callers)) if layout == "packed" else None)
                rows.append((f"{level}, {layout}, {callers}", rate(peer), rate(ours), to_peer, ratio(ours, one_step)))
    return Table(
        "Write in two calls",
        "Records a second, `save_record_data` then `log_record_metadata`: the published way, two commits a record.",
        ("durability, layout, callers", "Starfish 0.1.3", "two calls", "÷ Starfish", "÷ `save_record`"),
        tuple(rows),
    )
