"""How long a file takes to come in, beside a bare loop that stores its rows, and beside the reader of `datasets`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks.payloads import make_payloads
from benchmarks.run import Run
from benchmarks.tables import Series, Table, megabytes, ratio, seconds

_GROUP = 500
_ROUNDS = 3


def measure_taking_in(run: Run) -> list[Table]:
    """Measure `import_file` beside the raw loop, each import by a fresh process, into a fresh store."""
    records = run.sizes.imported
    rows = tuple(_measured(run, *form, records) for form in _FORMS)
    return [
        Table(
            f"Import of a file of {records:,} rows",
            "Rows of 1.5 KB. `import_file` reads the file for its digest, to check and to store its rows, and for its "
            "digest again. The raw loop reads it once, parses each row and stores it, in groups of "
            f"{_GROUP}, with the same files, rows and syncs. Both survive a power cut. `datasets` reads it into its "
            "cache, and syncs nothing. 1 MB is 1,000,000 bytes.",
            (
                "",
                "raw loop",
                "`datasets`",
                "`import_file`",
                "÷ raw loop (smaller is better)",
                "again",
                "peak of memory",
            ),
            rows,
        )
    ]


def _measured(
    run: Run, what: str, ending: str, made: Callable[[Any], Any], goal: float, records: int
) -> tuple[str, ...]:
    source = run.directory / f"imported-{what.replace(' ', '-')}.{ending}"
    _write(str(source), made, records)
    raw: list[float] = []
    library: list[float] = []
    found: list[dict[str, float]] = []
    for number in run.rounds(f"import of a file, {what}", _ROUNDS):
        raw.append(run.raw_loop.turn("import_lines", directory=run.store(), source=str(source), group=_GROUP))
        with run.fresh_contestant("benchmarks.raw_exports") as reading:
            form = {"jsonl": "json"}.get(ending, ending)
            cache = f"{source}-{number}.cache"
            library.append(reading.turn("load", source=str(source), form=form, cache=cache)["seconds"])
        with run.fresh_contestant("benchmarks.our_imports") as importing:
            found.append(importing.turn("import_lines", directory=run.store(), source=str(source), records=records))
    loops = Series(tuple(raw))
    mine, again, peaks = (Series(tuple(one[name] for one in found)) for name in ("seconds", "again", "peak"))
    read = seconds(Series(tuple(library)))
    return what, seconds(loops), read, seconds(mine), ratio(mine, loops, goal), seconds(again), megabytes(peaks)


def _write(path: str, made: Callable[[Any], Any], records: int) -> None:
    payloads = make_payloads(1000)
    rows = [made({"number": number, **payloads[number % len(payloads)]}) for number in range(records)]
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
        return
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _conversation(row: dict[str, Any]) -> dict[str, Any]:
    said = [("user", row["question"]), ("assistant", row["answer"]), ("user", "Why?"), ("assistant", row["solution"])]
    return {"messages": [{"role": role, "content": text} for role, text in said], "is_correct": row["is_correct"]}


_FORMS: tuple[tuple[str, str, Callable[[Any], Any], float], ...] = (
    ("JSON Lines", "jsonl", dict, 1.3),
    ("Parquet", "parquet", dict, 1.3),
    ("conversations in JSON Lines", "jsonl", _conversation, 1.5),
)
"""What is imported, the ending of the file, what a row becomes, and the goal."""
