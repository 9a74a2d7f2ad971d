"""A large store in both layouts: the memory of the process that writes it, what is on disk, and the queries over it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, milliseconds

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

_Made = Mapping[str, dict[str, Any]]
_Times = Mapping[str, dict[str, list[float]]]


def measure_many(run: Run) -> list[Table]:
    """Write very many records in processes of their own, query them in turns with the peer, and compress the packs."""
    records = run.sizes.many
    stores, peer_store = {layout: run.store() for layout in LAYOUTS}, run.store()
    made: dict[str, dict[str, Any]] = {}
    for layout, store in stores.items():
        run.say(f"many: writing {records:,} records by {_CALLERS} callers, {layout}")
        with run.fresh_contestant() as writer:
            made[layout] = writer.turn(
                "write_many", directory=store, records=records, callers=_CALLERS, jobs=_JOBS, layout=layout
            )
    if run.peer is not None:
        run.say(f"many: loading {records:,} rows for the peer")
        made["peer"] = run.peer.turn("load_records", directory=peer_store, records=records, jobs=_JOBS)
    times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in made}
    for _ in run.rounds("many: queries", _ROUNDS):
        for name, found in times.items():
            contestant = run.peer if name == "peer" else run.ours
            _query(contestant, found, stores.get(name, peer_store), made[name], records)
    run.say("many: compressing the packs")
    with run.fresh_contestant("benchmarks.our_copies") as ours:
        compressed = ours.turn("compress_packs", directory=stores["packed"])
    return [_memory(made, records), _on_disk(made, compressed, records), _queries(times, records)]


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


def _memory(made: _Made, records: int) -> Table:
    rows: list[tuple[str, ...]] = []
    for layout in LAYOUTS:
        written = made[layout]
        memory = (f"{written[moment]:.0f} MB" for moment in ("before", "after", "peak"))
        rows.append((layout, f"{records / written['seconds']:,.0f}", *memory, "< 80 MB"))
    return Table(
        f"Memory while {records:,} records are written",
        f"Resident set of a fresh process that saves them by {_CALLERS} callers with `save_record` "
        '(`durability="power"`), and records a second over the whole. 1 MB is 1,000,000 bytes.',
        ("layout", "records a second", "store opened", "all written", "peak", "goal"),
        tuple(rows),
    )


def _on_disk(made: _Made, compressed: dict[str, Any], records: int) -> Table:
    rows: list[tuple[str, ...]] = []
    for what, found, goals in (
        ("files", made["files"], ("", "")),
        ("packed", made["packed"], (", goal 120", ", goal 1.15")),
        ("packed and compressed", made["packed"] | compressed, ("", ", goal 0.35")),
    ):
        data, rest = (found[kind] / found["payload"] for kind in ("data", "rows"))
        took = f"{found['compressed_in']:.0f} s" if "compressed_in" in found else NOTHING
        files = f"{found['files']:,}{goals[0]}"
        rows.append((what, files, f"{found['data'] / 1e6:,.0f} MB", f"**{data:.2f}**{goals[1]}", f"{rest:.2f}", took))
    return Table(
        f"{records:,} records on disk",
        f"The stores of the table above, closed: {made['packed']['payload'] / 1e6:,.0f} MB of payload. Blocks that the "
        "file system has given to files, of data and of all else: the database and the row log.",
        ("", "files", "data", "data ÷ payload", "rows ÷ payload", "compressed in"),
        tuple(rows),
    )


def _queries(times: _Times, records: int) -> Table:
    def cell(name: str, query: str) -> str:
        return milliseconds(Series(tuple(times[name][query])) if name in times else None)

    return Table(
        f"Queries over {records:,} records of one master job",
        "Ours are the stores that were written for the memory above; the peer's rows were loaded with SQL, without "
        f"data files. All are in the system's cache and opened anew for each of {_ROUNDS} rounds; the largest figure "
        "is mostly the first query after opening.",
        ("query", "Starfish 0.1.3", "files", "packed", "goal"),
        tuple(
            (_WHAT[query], *(cell(name, query) for name in ("peer", *LAYOUTS)), goal) for query, goal in _GOALS.items()
        ),
    )
