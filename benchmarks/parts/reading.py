"""How many records a second are read back: row and data."""

from __future__ import annotations

from benchmarks.run import Run
from benchmarks.tables import Series, Table, rate, ratio

_GOALS = {1: 15, 50: 8}
_TIMES_AS_MANY = 10


def measure_reading(run: Run) -> list[Table]:
    """Measure `get_record_metadata` and `get_record_data` of records in random order."""
    reads = run.sizes.reads
    store, peer_store = run.store(), run.store()
    run.say("read: filling the stores")
    run.ours.turn("fill", directory=store, records=reads, jobs=20)
    if run.peer is not None:
        run.peer.turn("fill", directory=peer_store, records=reads, jobs=20)
    rows: list[tuple[str, ...]] = []
    for callers, goal in _GOALS.items():
        ours: list[float] = []
        theirs: list[float] = []
        for number in run.rounds(f"read, {callers} at a time"):
            if run.peer is not None:
                theirs.append(run.peer.turn("read", directory=peer_store, callers=callers, reads=reads, seed=number))
            many = reads * _TIMES_AS_MANY
            ours.append(run.ours.turn("read", directory=store, callers=callers, reads=many, seed=number))
        mine = Series.rates(reads * _TIMES_AS_MANY, ours)
        peer = Series.rates(reads, theirs) if theirs else None
        rows.append((str(callers), rate(peer), rate(mine), ratio(mine, peer, goal)))
    return [
        Table(
            "Read back",
            f"Records a second, `get_record_metadata` then `get_record_data`, in random order from a store of "
            f"{reads:,} records that is in the system's cache.",
            ("callers", "Starfish 0.1.3", "ours", "÷ Starfish"),
            tuple(rows),
        )
    ]
