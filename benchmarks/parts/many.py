"""A large store: the memory of the process that writes it, and the queries over it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds

_CALLERS = 50
_JOBS = 1000
_ROUNDS = 3
_REPEATS = 20

_GOALS = {
    "first page": "< 5 ms",
    "page at the end": "< 10 ms",
    "deep page": "",
    "count": "< 5 ms",
    "one look-up": "< 0.1 ms",
    "reopen": "< 20 ms",
}

_WHAT = {
    "first page": "first page of 100, `get_records_for_master_job(limit=100)`",
    "page at the end": "page of 100 at the end, `iter_records(after=...)`; the peer by offset",
    "deep page": "page of 100 behind nine tenths, by offset (for information)",
    "count": "`count_records_for_master_job`, by status",
    "one look-up": "`get_record_metadata`",
    "reopen": "`setup()` of the closed store",
}


def measure_many(run: Run) -> list[Table]:
    """Write very many records in a process of its own, then query them in turns with the peer."""
    records = run.sizes.many
    store, peer_store = run.store(), run.store()
    run.say(f"many: writing {records:,} records by {_CALLERS} callers")
    with run.fresh_contestant() as writer:
        written = writer.turn("write_many", directory=store, records=records, callers=_CALLERS, jobs=_JOBS)
    loaded: dict[str, Any] = {}
    if run.peer is not None:
        run.say(f"many: loading {records:,} rows for the peer")
        loaded = run.peer.turn("load_records", directory=peer_store, records=records, jobs=_JOBS)
    ours: dict[str, list[float]] = defaultdict(list)
    theirs: dict[str, list[float]] = defaultdict(list)
    for _ in run.rounds("many: queries", _ROUNDS):
        if run.peer is not None:
            _query(run.peer, theirs, peer_store, loaded, records)
        _query(run.ours, ours, store, written, records)
    return [_memory(written, records), _queries(ours, theirs, records)]


def _query(contestant: Any, seconds: dict[str, list[float]], store: str, made: dict[str, Any], records: int) -> None:
    measured = contestant.turn(
        "query_many",
        directory=store,
        master_job_id=made["master_job_id"],
        uids=made["uids"],
        records=records,
        repeats=_REPEATS,
    )
    for query, each in measured.items():
        seconds[query] += each


def _memory(written: dict[str, Any], records: int) -> Table:
    rate = records / written["seconds"]
    return Table(
        f"Memory while {records:,} records are written",
        f"Resident set of a fresh process that saves them by {_CALLERS} callers with `save_record` "
        f'(`durability="power"`); {rate:,.0f} records a second over the whole. 1 MB is 1,000,000 bytes.',
        ("", "store opened", "all written", "peak", "goal"),
        (
            (
                "resident",
                f"{written['before']:.0f} MB",
                f"{written['after']:.0f} MB",
                f"{written['peak']:.0f} MB",
                "< 80 MB",
            ),
        ),
    )


def _queries(ours: dict[str, list[float]], theirs: dict[str, list[float]], records: int) -> Table:
    def cell(seconds: dict[str, list[float]], query: str) -> str:
        return milliseconds(Series(tuple(seconds[query])) if query in seconds else None)

    return Table(
        f"Queries over {records:,} records of one master job",
        "Ours is the store that was written for the memory above; the peer's rows were loaded with SQL, without data "
        f"files. Both are in the system's cache and opened anew for each of {_ROUNDS} rounds; the largest figure is "
        "mostly the first query after opening.",
        ("query", "Starfish 0.1.3", "ours", "goal"),
        tuple((_WHAT[query], cell(theirs, query), cell(ours, query), goal) for query, goal in _GOALS.items()),
    )
