"""How long copies, checks and backups of a local store take, in both layouts."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, megabytes, ratio, seconds

_ROUNDS = 3
_GOAL = 3
_WHAT = {
    "copy": "`copy` into an empty store",
    "again": "the same again",
    "verify": "`verify`",
    "backup": "`backup` into an empty directory",
}
_GOALS = {"copy": _GOAL, "verify": _GOAL, "backup": _GOAL}


def measure_copying(run: Run) -> list[Table]:
    """Measure a copy into an empty store, the same copy said again, a check and a backup."""
    records = run.sizes.resumed
    sources = {layout: run.store() for layout in LAYOUTS}
    for layout, source in sources.items():
        run.say(f"copy: filling a store with {records:,} records, {layout}")
        run.ours.turn("fill", directory=source, records=records, jobs=max(1, records // 100), layout=layout)
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    peaks: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in run.rounds("copy", _ROUNDS):
        with run.fresh_contestant("benchmarks.our_copies") as raw:
            taken["raw", "files"].append(raw.turn("copy_files", source=sources["files"], target=run.store()))
        for layout, source in sources.items():
            target = run.store()
            into = {"source": source, "target": target, "layout": layout, "records": records}
            for what, task, given in (
                ("copy", "copy_store", {**into, "new": records}),
                ("again", "copy_store", {**into, "new": 0}),
                ("verify", "verify_store", {"source": source, "records": records}),
                ("backup", "back_up", {"source": source, "target": run.store(), "records": records}),
            ):
                with run.fresh_contestant("benchmarks.our_copies") as ours:
                    found = ours.turn(task, **given)
                taken[what, layout].append(found["seconds"])
                peaks[what, layout].append(found["peak"])
    raw_loop = Series(tuple(taken["raw", "files"]))
    rows: list[tuple[str, ...]] = [("raw loop", seconds(raw_loop), *[NOTHING] * 4)]
    for what, words in _WHAT.items():
        files, packed = (Series(tuple(taken[what, layout])) for layout in LAYOUTS)
        memory = (megabytes(Series(tuple(peaks[what, layout]))) for layout in LAYOUTS)
        rows.append((words, seconds(files), seconds(packed), ratio(files, packed, _GOALS.get(what)), *memory))
    return [
        Table(
            "Copy, verify, backup",
            f"Seconds for a store of {records:,} records of 1.5 KB and {max(1, records // 100):,} execution jobs. "
            "It is copied into an empty one of its layout on the same disk, and once more into what it has become, "
            "until both stores are closed; checked; and backed up. Each in a process of its own, whose peak memory is "
            "given. The raw loop copies the files of the first: `VACUUM INTO`, then each file read and written, and "
            "one sync at the end: nothing is compared, journaled or logged.",
            ("", "files", "packed", "files ÷ packed", "peak memory, files", "peak memory, packed"),
            tuple(rows),
        )
    ]
