"""How soon a resumed run makes its first call, and in how much memory, however much of it is done."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.run import Run
from benchmarks.tables import Series, Table, megabytes, ratio, seconds

_GOAL = "< 3 s"
_ROUNDS = 3

_Measured = dict[str, list[float]]


def measure_resuming_runs(run: Run) -> list[Table]:
    """Measure `resume` of large runs of which few inputs are left, and of a small one of as many, all left."""
    inputs, left = run.sizes.resumed, run.sizes.left
    sizes = (left, inputs // 5, inputs)
    stores: dict[int, str] = {}
    measured: dict[tuple[int, bool], _Measured] = defaultdict(lambda: defaultdict(list))
    with run.fresh_contestant("benchmarks.our_runs") as maker:
        for size in sizes:
            run.say(f"resume-run: making a run of {size:,} inputs")
            stores[size] = run.store()
            maker.turn("fill_run", directory=stores[size], inputs=size)
        for _ in run.rounds("resume-run", _ROUNDS):
            for given in (False, True):
                for size, store in stores.items():
                    maker.turn("put_back", directory=store, inputs=left)
                    _resume(run, measured[size, given], store, size, given=given)
    return [_table(measured, sizes)]


def _resume(run: Run, measured: _Measured, store: str, inputs: int, *, given: bool) -> None:
    """Resume in a process that has done nothing yet: memory is looked at."""
    with run.fresh_contestant("benchmarks.our_runs") as ours:
        found = ours.turn("resume_run", directory=store, inputs=inputs, left=run.sizes.left, given=given)
    for what, value in found.items():
        measured[what].append(value)


def _table(measured: dict[tuple[int, bool], _Measured], sizes: tuple[int, ...]) -> Table:
    left = sizes[0]
    rows: list[tuple[str, ...]] = []
    for given in (False, True):
        for size in sizes:
            found = {what: Series(tuple(values)) for what, values in measured[size, given].items()}
            small = Series(tuple(measured[left, given]["peak"]))
            rows.append(
                (
                    f"{size:,} of which {size - left:,} done, {'given again' if given else 'not given'}",
                    seconds(found["seconds"]),
                    _GOAL if size == sizes[-1] else "",
                    *(megabytes(found[when]) for when in ("opened", "first_call", "done", "peak")),
                    ratio(found["peak"], small) if size != left else "",
                )
            )
    return Table(
        "Resume of a run",
        "Time from the call of `resume` to the first call of the function, and the resident set of the process, fresh "
        f"each time: with the store opened, at the first call, when the {left:,} inputs that were left are done, and "
        "at its peak, which is compared with that of a run that has no others. A small run does not fill the page "
        "caches of its connections (8 MiB to write, 4 MiB each to read), a larger one does. Inputs given again come "
        'from a generator. `durability="process"`; 1 MB is 1,000,000 bytes.',
        ("inputs", "to the first call", "goal", "opened", "first call", "all done", "peak", "÷ small run"),
        tuple(rows),
    )
