"""How long a run of Starfish's factory takes with its own storage and with ours, and how much of that is storage."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.contestants import Contestant
from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, ratio, seconds

_CONCURRENCY = (10, 50)
_STORAGES = {"nothing": "nothing", "starfish": "Starfish 0.1.3", **{name: f"ours, {name}" for name in LAYOUTS}}
_GOAL = 2
_WARM_UP = 50


def measure_factories(run: Run) -> list[Table]:
    """Run the framework in turns with each storage, in one process."""
    if run.peer_python is None:
        return []
    inputs = run.sizes.factory_inputs
    took: dict[tuple[str, int], list[float]] = defaultdict(list)
    worked: dict[tuple[str, int], list[float]] = defaultdict(list)
    with Contestant(run.peer_python, "benchmarks.factories") as contestant:
        for storage in _STORAGES:
            contestant.turn("run_factory", directory=run.store(), storage=storage, inputs=_WARM_UP, concurrency=10)
        for concurrency in _CONCURRENCY:
            for _ in run.rounds(f"starfish, {concurrency} at a time"):
                for storage in _STORAGES:
                    found = contestant.turn(
                        "run_factory",
                        directory=run.store(),
                        storage=storage,
                        inputs=inputs,
                        concurrency=concurrency,
                    )
                    took[storage, concurrency].append(found["seconds"])
                    worked[storage, concurrency].append(found["processors"])
    rows: list[tuple[str, ...]] = []
    for concurrency in _CONCURRENCY:
        peer, nothing = (Series(tuple(took[name, concurrency])) for name in ("starfish", "nothing"))
        for storage, name in _STORAGES.items():
            mine = Series(tuple(took[storage, concurrency]))
            is_ours = storage in LAYOUTS
            rows.append(
                (
                    f"{name}, {concurrency}",
                    seconds(mine),
                    seconds(Series(tuple(worked[storage, concurrency]))),
                    ratio(peer, mine, _GOAL) if is_ours else NOTHING,
                    NOTHING if storage == "nothing" else _share(mine, nothing),
                )
            )
    return [
        Table(
            "Starfish's factories",
            f"A run of Starfish's `data_factory` over {inputs:,} inputs, whose function returns at once, from `run` to "
            "its return: with its own storage, with ours by `install`, and with its storage in memory, which keeps "
            "nothing. The share of storage is what a run takes longer than with that.",
            ("storage, at a time", "seconds", "of processors", "Starfish ÷ ours", "share of storage"),
            tuple(rows),
        )
    ]


def _share(mine: Series, nothing: Series) -> str:
    shares = Series(tuple(1 - least / each for each, least in zip(mine.values, nothing.values, strict=True)))
    return shares.spread(".0f", 100, " %")
