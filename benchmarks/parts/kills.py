"""What is paid twice, lost or stored twice when a process of a run is killed in the middle of it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contestants import Contestant
from benchmarks.crowd import Crowd
from benchmarks.run import Run
from benchmarks.tables import NOTHING, Series, Table

_INPUTS, _CONCURRENCY, _SHARING = 200, 10, 4
_RUN = "run-1"
_SECONDS = {1: 0.004, _SHARING: 0.04}
"""How long a call takes: longer where several share the run, so that all of them are at it in the middle."""

_QUOTED = {
    "Starfish framework": "102 of 102",
    "DataDesigner, its default": "104 of 104",
    "sdg_hub, its default": "102 of 102",
    "Inspect": "9 of 104",
    "Curator": "4 of 100",
    "distilabel": "hangs",
}


def measure_kills(run: Run) -> list[Table]:
    """Kill at many moments near the middle, and count."""
    kills = run.sizes.kills
    middle = _INPUTS // 2
    moments = [middle - kills + 1 + 2 * number for number in range(kills)]
    rows: list[tuple[str, ...]] = []
    with run.fresh_contestant("benchmarks.our_runs") as examiner:
        for processes, what in ((1, "one process, resumed"), (_SHARING, f"one of {_SHARING} that share the run")):
            found = [
                _kill_one(run, examiner, processes, moments[number])
                for number in run.rounds(f"kills, {what}", len(moments))
            ]
            rows.append((what, f"{moments[0]}-{moments[-1]}", *_cells(found)))
    rows += [(f"{name} (quoted)", NOTHING, paid, NOTHING, NOTHING, NOTHING) for name, paid in _QUOTED.items()]
    return [
        Table(
            "Kills",
            f"{_INPUTS} inputs, {_CONCURRENCY} at a time in each process, through a function that notes each call it "
            f"is charged for outside the store. {kills} times, a process gets a SIGKILL, each time at another call of "
            f"the run; then the run is resumed, or the {_SHARING - 1} others that share it end it. Calls paid twice: "
            f"the median with the smallest and the largest; at most the {_CONCURRENCY} in flight need be. The other "
            "figures are sums over all kills; wrong counts are runs whose status, counts, attempts or files are not "
            "exact in the end. The quoted rows are from the issue that asked for this, not measured here.",
            ("killed", "at call", "calls paid twice", "lost", "stored twice", "wrong counts"),
            tuple(rows),
        )
    ]


def _kill_one(run: Run, examiner: Contestant, processes: int, moment: int) -> tuple[int, int, int, int]:
    """Return the calls paid twice, the inputs lost, the records stored twice, and 1 if the counts are wrong."""
    store = run.store()
    arguments = [f"file://{store}", _RUN, str(_INPUTS), str(_CONCURRENCY), str(_SECONDS[processes])]
    with Crowd(run.python, "benchmarks.paying", [*arguments, "generate"], processes) as crowd:
        charges = crowd.read(moment)
        crowd.kill_first()
        charges += crowd.rest()
    if processes == 1:
        with Crowd(run.python, "benchmarks.paying", [*arguments, "resume"], 1) as crowd:
            charges += crowd.rest()
    found = examiner.turn("examine_run", directory=store, run=_RUN, inputs=_INPUTS)
    return len(charges) - len(set(charges)), found["lost"], found["stored_twice"], 0 if found["counts_hold"] else 1


def _cells(found: Sequence[tuple[int, int, int, int]]) -> tuple[str, ...]:
    paid, lost, stored, wrong = zip(*found, strict=True)
    twice = Series(paid)
    return (
        f"**{twice.median:g}** ({min(paid)}-{max(paid)}, goal at most {_CONCURRENCY})",
        *(f"{sum(each)} (goal 0)" for each in (lost, stored, wrong)),
    )
