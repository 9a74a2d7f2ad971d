"""How many records a second are read back: row and data."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, rate, ratio

_GOALS = {1: 15, 50: 8}
_GOAL_FILES = 2
_TIMES_AS_MANY = 10


def measure_reading(run: Run) -> list[Table]:
    """Measure `get_record_metadata` and `get_record_data` of records in random order, in both layouts."""
    reads = run.sizes.reads
    many = reads * _TIMES_AS_MANY
    stores, peer_store = {layout: run.store() for layout in LAYOUTS}, run.store()
    run.say("read: filling the stores")
    for layout, store in stores.items():
        run.ours.turn("fill", directory=store, records=reads, jobs=20, layout=layout)
    if run.peer is not None:
        run.peer.turn("fill", directory=peer_store, records=reads, jobs=20)
    rows: list[tuple[str, ...]] = []
    for callers, goal in _GOALS.items():
        took: dict[str, list[float]] = defaultdict(list)
        for number in run.rounds(f"read, {callers} at a time"):
            how = {"callers": callers, "seed": number}
            if run.peer is not None:
                took["peer"].append(run.peer.turn("read", directory=peer_store, reads=reads, **how))
            for layout, store in stores.items():
                took[layout].append(run.ours.turn("read", directory=store, reads=many, **how))
        peer = Series.rates(reads, took["peer"]) if took["peer"] else None
        in_files = Series.rates(many, took["files"])
        for layout in LAYOUTS:
            mine = Series.rates(many, took[layout])
            is_packed = layout == "packed"
            to_files = ratio(mine, in_files, _GOAL_FILES) if is_packed else NOTHING
            to_peer = ratio(mine, peer, goal if is_packed else None)
            rows.append((f"{layout}, {callers}", rate(peer), rate(mine), to_peer, to_files))
    return [
        Table(
            "Read back",
            f"Records a second, `get_record_metadata` then `get_record_data`, in random order from a store of "
            f"{reads:,} records that is in the system's cache.",
            ("layout, callers", "Starfish 0.1.3", "ours", "÷ Starfish", "÷ files"),
            tuple(rows),
        )
    ]
