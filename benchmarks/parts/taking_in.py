"""How long a JSON Lines file takes to come in, beside a bare loop that stores its lines."""

from __future__ import annotations

import json

from benchmarks.payloads import make_payloads
from benchmarks.run import Run
from benchmarks.tables import Series, Table, megabytes, ratio, seconds

_GROUP = 500
_ROUNDS = 3
_GOAL = 1.5


def measure_taking_in(run: Run) -> list[Table]:
    """Measure `import_file` beside the raw loop, each import by a fresh process, into a fresh store."""
    records = run.sizes.imported
    source = run.directory / "imported.jsonl"
    with source.open("w", encoding="utf-8") as file:
        payloads = make_payloads(1000)
        for number in range(records):
            file.write(json.dumps({"number": number, **payloads[number % len(payloads)]}, ensure_ascii=False) + "\n")
    size = source.stat().st_size / records / 1000
    raw: list[float] = []
    ours: list[float] = []
    again: list[float] = []
    peaks: list[float] = []
    for _ in run.rounds("import of a file", _ROUNDS):
        raw.append(run.raw_loop.turn("import_lines", directory=run.store(), source=str(source), group=_GROUP))
        with run.fresh_contestant("benchmarks.our_imports") as importing:
            found = importing.turn("import_lines", directory=run.store(), source=str(source), records=records)
        ours.append(found["seconds"])
        again.append(found["again"])
        peaks.append(found["peak"])
    raw_series, our_series = Series(tuple(raw)), Series(tuple(ours))
    return [
        Table(
            f"Import of a JSON Lines file of {records:,} rows",
            f"Rows of {size:.1f} KB. `import_file` reads the file for its digest, to check and to store its rows, and "
            "for its digest again. The raw loop reads it once, parses each line and stores it, in groups of "
            f"{_GROUP}, with the same files, rows and syncs. Both survive a power cut. 1 MB is 1,000,000 bytes.",
            ("", "raw loop", "`import_file`", "÷ raw loop (smaller is better)", "again", "peak of memory"),
            (
                (
                    "import",
                    seconds(raw_series),
                    seconds(our_series),
                    ratio(our_series, raw_series, _GOAL),
                    seconds(Series(tuple(again))),
                    megabytes(Series(tuple(peaks))),
                ),
            ),
        )
    ]
