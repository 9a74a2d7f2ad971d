"""How long a copy takes from one local store into another, beside the same files copied without a library."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import Run
from benchmarks.tables import NOTHING, Series, Table, megabytes, ratio, seconds

_ROUNDS = 3


def measure_copying(run: Run) -> list[Table]:
    """Measure a copy into an empty store, and the same copy said again."""
    records = run.sizes.resumed
    source = run.store()
    run.say(f"copy: filling a store with {records:,} records")
    run.ours.turn("fill", directory=source, records=records, jobs=max(1, records // 100))
    measured: dict[str, list[float]] = defaultdict(list)
    for _ in run.rounds("copy", _ROUNDS):
        target = run.store()
        with run.fresh_contestant("benchmarks.our_copies") as raw:
            measured["raw"].append(raw.turn("copy_files", source=source, target=run.store()))
        for name, new in (("copy", records), ("again", 0)):
            with run.fresh_contestant("benchmarks.our_copies") as ours:
                found = ours.turn("copy_store", source=source, target=target, records=records, new=new)
            measured[name].append(found["seconds"])
            measured[f"{name} peak"].append(found["peak"])
    series = {name: Series(tuple(values)) for name, values in measured.items()}
    return [
        Table(
            "Copy",
            f"A store of {records:,} records of about 1.5 KB and {max(1, records // 100):,} execution jobs is copied "
            "into an empty one on the same disk, and once more into what it has become; until both stores are closed. "
            "Each in a process of its own, whose peak memory is given. The raw loop is `VACUUM INTO`, then each file "
            "read and written, and one sync at the end: nothing is compared, journaled or logged.",
            ("", "seconds", "÷ raw loop", "peak memory"),
            (
                ("raw loop", seconds(series["raw"]), NOTHING, NOTHING),
                ("copy", seconds(series["copy"]), ratio(series["copy"], series["raw"]), megabytes(series["copy peak"])),
                (
                    "the same again",
                    seconds(series["again"]),
                    ratio(series["again"], series["raw"]),
                    megabytes(series["again peak"]),
                ),
            ),
        )
    ]
