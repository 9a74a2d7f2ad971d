"""The pages of the viewer over a large store: how long the server takes for each."""

from __future__ import annotations

from statistics import quantiles

from benchmarks.large_store import LARGE, make_large_store, uid_of
from benchmarks.parts.viewing_live import ask, measure_memory, measure_slowdown, viewing
from benchmarks.run import Run
from benchmarks.tables import Table

_RUNS = 500
_REPEATS = 40


def _pages(records: int) -> dict[str, str]:
    """Return the pages that are asked for, by what they are."""
    table, middle = f"/records?run={LARGE}", uid_of(records // 2)
    return {
        "runs": "/",
        "runs, a page at the end": "/?after=run-0060",
        "runs, searched by a text": "/?q=number",
        "the large run": f"/run?id={LARGE}",
        "its progress, as it is brought up to date": f"/run/progress?id={LARGE}",
        "its plots": f"/run/timeline?id={LARGE}",
        "records": table,
        "records, the newest first": f"{table}&order=newest",
        "records, from the middle": f"{table}&after={middle}",
        "records, before the middle": f"{table}&before={middle}",
        "records that failed, from the middle": f"{table}&status=failed&after={middle}",
        "records, a random sample": f"{table}&order=random&seed=7",
        "records, a random sample of those that failed": f"{table}&order=random&seed=7&status=failed",
        "records that fit a condition": f"{table}&where=score%3E0.9",
        "records, a look for what does not exist": f"{table}&where=score%3E9",
        "records, a look for a cost that does not exist": f"{table}&where=%40cost%3E9",
        "a record, in a sample": f"/record?uid={middle}&run={LARGE}&order=random&seed=7",
    }


def measure_viewing(run: Run) -> list[Table]:
    """Make the store, start the viewer as a user does, and ask for each page in turns."""
    store, records = run.store(), run.sizes.many
    run.say(f"viewer: making a store of {records:,} records and {_RUNS} runs")
    make_large_store(store, records, _RUNS)
    pages = _pages(records)
    first: dict[str, float] = {}
    taken: dict[str, list[float]] = {name: [] for name in pages}
    with viewing(run.python, store) as viewer:
        for name, path in pages.items():
            first[name] = ask(viewer.address, path)
        for _ in run.rounds("viewer: pages", _REPEATS):
            for name, path in pages.items():
                taken[name].append(ask(viewer.address, path))
        memory = measure_memory(run, viewer, LARGE, list(pages.values()))
    rows = [(name, *map(_milliseconds, (first[name], *_of(taken[name]))), "100, 300 ms") for name in pages]
    return [
        Table(
            f"Pages of the viewer, over {records:,} records and {_RUNS} runs",
            "From the request to the last byte of the answer, on the same machine. What takes long to count is counted "
            f"beside the pages and goes on at first; each page is asked for {_REPEATS} times, in turns.",
            ("page", "the first time", "median", "p95", "goals"),
            tuple(rows),
        ),
        memory,
        measure_slowdown(run),
    ]


def _of(taken: list[float]) -> tuple[float, float]:
    cuts = quantiles(taken, n=20)
    return cuts[9], cuts[18]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
