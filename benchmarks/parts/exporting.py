"""How long it takes to write all records of a run into one file, in both layouts."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import Series, Table, ratio, seconds

_ROUNDS = 3


class _Form(NamedTuple):
    """A form that is measured.

    Attributes:
        what: it is called in the table.
        ending: of the file.
        way: of the loop beside it.
        goal: times that loop, of files.
        goal_packed: of a packed store, times files.
        library: the way of `datasets`, if it writes the same.
        metadata: each record has its metadata.
        conversations: each record is a conversation.
    """

    what: str
    ending: str
    way: str
    goal: float | None = None
    goal_packed: float | None = None
    library: str | None = None
    metadata: bool = False
    conversations: bool = False


_FORMS = (
    _Form("JSON Lines, beside a loop that copies bytes", "jsonl", "bytes", 1.3, 0.4, "datasets"),
    _Form("JSON Lines, beside a loop of `json.loads` and `json.dumps`", "jsonl", "json"),
    _Form("JSON Lines with metadata, beside a loop that copies bytes", "jsonl", "bytes", metadata=True),
    _Form("Parquet, beside a loop of `json.loads` and `pyarrow`", "parquet", "parquet", 1.3, 0.8, "datasets"),
    _Form("conversations in JSON Lines", "jsonl", "messages", 1.5, None, "datasets-messages", conversations=True),
    _Form(
        "conversations in Parquet", "parquet", "messages-parquet", 1.5, None, "datasets-messages", conversations=True
    ),
)


def measure_exporting(run: Run) -> list[Table]:
    """Export stores in turns with plain loops over the files of one, and with the peer's API."""
    records, peer_records = run.sizes.exports, run.sizes.peer_exports
    stores, peer_store = {layout: run.store() for layout in LAYOUTS}, run.store()
    with run.fresh_contestant("benchmarks.our_exports") as ours, run.fresh_contestant("benchmarks.raw_exports") as raw:
        for layout, store in stores.items():
            run.say(f"export: filling a store with {records:,} records, {layout}")
            ours.turn("fill", directory=store, records=records, layout=layout)
        theirs = _peer(run, peer_store, peer_records)
        rows = [_measure(run, ours, raw, stores, form) for form in _FORMS]
        peak = max(float(row[-1]) for row in rows)
    return [
        Table(
            "Export",
            f"Seconds for {records:,} records that are in the system's cache. The loops read every data file and write "
            "one file; they look at no row, no order and no digest, and sync nothing. `datasets` makes a dataset of "
            "what `json` reads of the same files, and writes it. "
            f"Peak of the exporting process's memory over all forms: {peak:,.0f} MB. "
            + (f"Through the peer's API, JSON Lines: {theirs}." if theirs else ""),
            (
                *("what", "the loop", "`datasets`", "files", "files ÷ loop", "files ÷ `datasets`"),
                *("packed", "packed ÷ files", "peak, MB"),
            ),
            tuple(rows),
        )
    ]


def _measure(run: Run, ours: Any, raw: Any, stores: dict[str, str], form: _Form) -> tuple[str, ...]:
    taken: dict[str, list[float]] = {"loop": [], "library": [], **{layout: [] for layout in LAYOUTS}}
    peak = 0.0
    for _ in run.rounds(f"export, {form.what}", min(_ROUNDS, run.sizes.rounds)):
        files = stores["files"]
        loop = raw.turn("export", directory=files, target=f"{files}-raw.{form.ending}", way=form.way)
        taken["loop"].append(loop["seconds"])
        if form.library is not None:
            told = raw.turn("export", directory=files, target=f"{files}-library.{form.ending}", way=form.library)
            taken["library"].append(told["seconds"])
        for layout, store in stores.items():
            done = ours.turn(
                "export",
                directory=store,
                target=f"{store}-ours.{form.ending}",
                metadata=form.metadata,
                conversations=form.conversations,
            )
            if done["records"] != loop["records"]:
                raise RuntimeError(f"{done['records']} records were exported, not {loop['records']}")
            taken[layout].append(done["seconds"])
            peak = max(peak, done["peak"])
    loops, library, files, packed = (Series(tuple(one)) if one else None for one in taken.values())
    return (
        form.what,
        seconds(loops),
        seconds(library),
        seconds(files),
        ratio(files, loops, form.goal),
        ratio(files, library),
        seconds(packed),
        ratio(packed, files, form.goal_packed),
        f"{peak:.0f}",
    )


def _peer(run: Run, store: str, records: int) -> str:
    if run.peer is None:
        return ""
    run.say(f"export: filling a store of the peer with {records:,} records")
    run.peer.turn("fill", directory=store, records=records, jobs=1000)
    taken = run.peer.turn("export", directory=store, target=f"{store}-peer.jsonl")
    return f"{taken:.2f} s for {records:,}, one after the other, as its interface has it"
