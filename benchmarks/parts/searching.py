"""How long the text search takes, and what it takes of a run that is searched while it writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds, rate, ratio, seconds

_QUERIES = (
    ("a word in every record", "the"),
    ("a word in few", "4999"),
    ("three words", "eggs garden Betty"),
    ("a phrase", '"dozen eggs"'),
    ("the beginning of words", "gar*"),
    ("a word in one field", "solution:pencils"),
    ("no hit", "nothinglikethis"),
)
_REPEATS = 20
_PAUSE = 5.0
_GOAL = 0.95


def measure_searching(run: Run) -> list[Table]:
    """Index and search a store, and run beside somebody who searches."""
    records, store = run.sizes.exports, run.store()
    with run.fresh_contestant("benchmarks.our_searches") as ours:
        run.say(f"search: filling a store with {records:,} records")
        ours.turn("fill", directory=store, records=records)
        made = [ours.turn("index", directory=store) for _ in run.rounds("search, index", 2)]
        rows = [_searched(run, ours, store, *one) for one in _QUERIES]
    built = Series(tuple(one["seconds"] * 1000 / records for one in made))
    used = Series(tuple(one["processor"] * 1000 / records for one in made))
    peak, size = max(one["peak"] for one in made), made[-1]["bytes"] / records
    note = (
        f"In a store of {records:,} records of 1.5 KB; a page of 50 hits with their snippets, and whatever the search "
        f"does to bring the index up to date. To make the index takes {seconds(built)} for each 1,000 records, "
        f"{seconds(used)} of the processor; it has {size:,.0f} bytes a record. Peak of memory: {peak:,.0f} MB."
    )
    return [Table("Search", note, ("query", "found", "time"), tuple(rows)), _searched_run(run)]


def _searched(run: Run, ours: Contestant, store: str, what: str, query: str) -> tuple[str, ...]:
    run.say(f"search: {what}")
    done = ours.turn("search", directory=store, query=query, repeats=_REPEATS)
    found = f"more than {done['found']:,}" if done["is_cut"] else f"{done['found']:,}"
    return f"{what}, `{query}`", found, milliseconds(Series(tuple(done["times"])))


def _searched_run(run: Run) -> Table:
    """Run in turns alone and beside a process that searches once a second."""
    amount = {"callers": 50, "warm_up": run.sizes.warm_up, "inputs": run.sizes.calls, "durability": "process"}
    alone: list[float] = []
    searched: list[float] = []
    searches: list[float] = []
    processor: list[float] = []
    with (
        run.fresh_contestant("benchmarks.our_runs") as ours,
        run.fresh_contestant("benchmarks.our_searches") as searcher,
        ThreadPoolExecutor(1) as beside,
    ):
        for _ in run.rounds("search, a run that is searched"):
            alone.append(ours.turn("generate_run", directory=run.store(), **amount))
            store = run.store()
            stop = Path(f"{store}-stop")
            looking = beside.submit(searcher.turn, "keep_searching", directory=store, stop=str(stop), pause=_PAUSE)
            try:
                searched.append(ours.turn("generate_run", directory=store, **amount))
            finally:
                stop.touch()
            done = looking.result()
            searches.append(done["searches"])
            processor.append(done["processor"] / max(1, done["searches"]))
    count = run.sizes.calls
    plain, beside_search = Series.rates(count, alone), Series.rates(count, searched)
    return Table(
        "A run that is searched",
        f'Records a second of `generate`, `durability="process"`, a function that returns at once, {count:,} inputs, '
        f"alone and beside another process that searches the store every {_PAUSE:.0f} s ({min(searches):.0f} to "
        f"{max(searches):.0f} times a run), which brings the index up to date each time. A search used "
        f"{seconds(Series(tuple(processor)))} of the processor. A real run waits for a model and leaves that to "
        "others; this one wants all of it.",
        ("", "alone", "searched", "÷ alone"),
        (("`generate`", rate(plain), rate(beside_search), ratio(beside_search, plain, _GOAL)),),
    )
