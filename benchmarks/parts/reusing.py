"""What it takes to find the answer to a request in another run, and to say why a model was asked."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import Run
from benchmarks.tables import Series, Table, megabytes, seconds

_MICRO = 1e6


def measure_reusing(run: Run) -> list[Table]:
    """Measure look-ups by request beside those of own replies, and explanations of a small and a large run."""
    measured: dict[int, dict[str, list[float]]] = {}
    sizes = (run.sizes.resumed // 10, run.sizes.resumed)
    lookups = min(run.sizes.lookups, sizes[0])
    stores = {size: run.store() for size in sizes}
    for size, store in stores.items():
        run.say(f"reuse: making two runs of {size:,} requests each")
        with run.fresh_contestant("benchmarks.our_requests") as maker:
            maker.turn("fill_requests", directory=store, requests=size)
        measured[size] = defaultdict(list)
    for number in run.rounds("reuse", 3):
        for size, store in stores.items():
            with run.fresh_contestant("benchmarks.our_requests") as ours:
                found = ours.turn("look_up", directory=store, requests=size, lookups=lookups, seed=number)
                for what, taken in found.items():
                    measured[size][what].append(taken / lookups)
            with run.fresh_contestant("benchmarks.our_requests") as ours:
                for what, value in ours.turn("explain", directory=store, requests=size).items():
                    measured[size][what].append(value)
    return [_lookups(measured), _explanations(measured)]


def _lookups(measured: dict[int, dict[str, list[float]]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for size, by_name in measured.items():
        found = {what: Series(tuple(values)) for what, values in by_name.items()}
        times = (found[what].spread(",.0f", _MICRO, " µs") for what in ("plain", "found", "missed"))
        rows.append((f"{2 * size:,}", *times))
    return Table(
        "Reuse",
        "Time of one look-up, one caller, in a store of so many requests in two runs: of the input's own reply, of a "
        'reply in the project by the request (what `reuse="project"` adds), and of one that is not there. The goal is '
        "that a look-up adds less than 50 µs.",
        ("requests", "own reply", "found in the project", "not there"),
        tuple(rows),
    )


def _explanations(measured: dict[int, dict[str, list[float]]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for size, by_name in measured.items():
        found = {what: Series(tuple(values)) for what, values in by_name.items()}
        rows.append((f"{size:,}", seconds(found["seconds"]), megabytes(found["peak"])))
    return Table(
        "Explaining a run",
        "Time of `explain_calls` for a run of so many requests, each compared with that of its input in an earlier "
        "run, and the resident set of a fresh process at its peak.",
        ("requests", "time", "peak"),
        tuple(rows),
    )
