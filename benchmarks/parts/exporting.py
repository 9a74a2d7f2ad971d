"""How long it takes to write all records of a run into one file."""

from __future__ import annotations

from typing import Any

from benchmarks.run import Run
from benchmarks.tables import Series, Table, ratio, seconds

_FORMS: tuple[tuple[str, str, bool, str, float | None], ...] = (
    ("JSON Lines, against a loop that copies bytes", "jsonl", False, "bytes", 1.3),
    ("JSON Lines, against a loop of `json.loads` and `json.dumps`", "jsonl", False, "json", None),
    ("JSON Lines with metadata, against a loop that copies bytes", "jsonl", True, "bytes", None),
    ("Parquet, against a loop of `json.loads` and `pyarrow`", "parquet", False, "parquet", 1.5),
)
"""What is written, the ending of the file, whether with metadata, the loop beside it, and the goal."""


def measure_exporting(run: Run) -> list[Table]:
    """Export a store in turns with plain loops over its files, and with the peer's API."""
    records, peer_records = run.sizes.exports, run.sizes.peer_exports
    store, peer_store = run.store(), run.store()
    with run.fresh_contestant("benchmarks.our_exports") as ours, run.fresh_contestant("benchmarks.raw_exports") as raw:
        run.say(f"export: filling a store with {records:,} records")
        ours.turn("fill", directory=store, records=records)
        theirs = _peer(run, peer_store, peer_records)
        rows = [_measure(run, ours, raw, store, *form) for form in _FORMS]
        peak = max(float(row[-1]) for row in rows)
    return [
        Table(
            "Export",
            f"Seconds for {records:,} records that are in the system's cache. The loops read every data file and write "
            "one file; they look at no row, no order and no digest, and sync nothing. "
            f"Peak of the exporting process's memory over all forms: {peak:,.0f} MB. "
            + (f"Through the peer's API, JSON Lines: {theirs}." if theirs else ""),
            ("what", "the loop", "ours", "ours ÷ loop", "peak, MB"),
            tuple(rows),
        )
    ]


def _measure(
    run: Run, ours: Any, raw: Any, store: str, what: str, ending: str, metadata: bool, way: str, goal: float | None
) -> tuple[str, ...]:
    mine: list[float] = []
    loops: list[float] = []
    peak = 0.0
    for _ in run.rounds(f"export, {what}"):
        loop = raw.turn("export", directory=store, target=f"{store}-raw.{ending}", way=way)
        done = ours.turn("export", directory=store, target=f"{store}-ours.{ending}", metadata=metadata)
        if done["records"] != loop["records"]:
            raise RuntimeError(f"{done['records']} records were exported, not {loop['records']}")
        loops.append(loop["seconds"])
        mine.append(done["seconds"])
        peak = max(peak, done["peak"])
    loop_series, our_series = Series(tuple(loops)), Series(tuple(mine))
    return what, seconds(loop_series), seconds(our_series), ratio(our_series, loop_series, goal), f"{peak:.0f}"


def _peer(run: Run, store: str, records: int) -> str:
    if run.peer is None:
        return ""
    run.say(f"export: filling a store of the peer with {records:,} records")
    run.peer.turn("fill", directory=store, records=records, jobs=1000)
    taken = run.peer.turn("export", directory=store, target=f"{store}-peer.jsonl")
    return f"{taken:.2f} s for {records:,}, one after the other, as its interface has it"
