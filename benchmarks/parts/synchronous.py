"""What a call through the synchronous face takes beyond the same call that is awaited."""

from __future__ import annotations

from benchmarks.run import Run
from benchmarks.tables import Series, Table

_CALLS, _ROUNDS = 50, 100
_GOAL = "goal 60"
_NAMES = {
    "nothing": "a coroutine that does nothing",
    "get_project": "`get_project`",
    "get_record_data": "`get_record_data`",
    "save_record": "`save_record`, `process`",
    "iter": "`iter_records`, each of 5,000 records",
}


def measure_synchronous(run: Run) -> list[Table]:
    """Call both faces by turns, in one process."""
    run.say("sync: calls of both faces")
    with run.fresh_contestant("benchmarks.our_sync") as ours:
        found = ours.turn("compare", directory=run.store(), calls=_CALLS, rounds=_ROUNDS)
    rows: list[tuple[str, ...]] = []
    for name, what in _NAMES.items():
        awaited, called = (Series(tuple(found[name][face])) for face in ("await", "sync"))
        more = min(called.values) - min(awaited.values)
        rows.append((what, _micro(awaited), _micro(called), f"**{more * 1e6:,.0f} µs** ({_GOAL})"))
    note = (
        f"{_ROUNDS} rounds of {_CALLS} calls, one after the other, of a local store: awaited in a loop, and through "
        "the synchronous face. Both take turns in one process. A call through the face waits for a thread, so for a "
        "processor: where others use them, that is what is measured, and the quietest rounds say more."
    )
    header = ("call", "awaited", "synchronous", "more, in the quietest rounds")
    return [Table("The synchronous face", note, header, tuple(rows))]


def _micro(series: Series) -> str:
    return series.spread(",.0f", 1e6, " µs")
