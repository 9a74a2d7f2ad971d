"""How long a run of Starfish's factory takes with its own storage and with ours, and how much of that is storage."""

from __future__ import annotations

from collections import defaultdict

from benchmarks.contestants import Contestant
from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import NOTHING, Series, Table, ratio, seconds

_CONCURRENCY = (10, 50)
_LEVELS = ("power", "process")
_STORAGES = ("nothing", "starfish", *(f"{layout}, {level}" for level in _LEVELS for layout in LAYOUTS))
_NAMES = {"nothing": "nothing", "starfish": "Starfish 0.1.3"}
_GOAL = 2
_WARM_UP, _ROUNDS = 50, 3


def measure_factories(run: Run) -> list[Table]:
    """Run the framework in turns with each storage, in one process."""
    if run.peer_python is None:
        return []
    inputs = run.sizes.factory_inputs
    took: dict[tuple[str, int], list[float]] = defaultdict(list)
    worked: dict[tuple[str, int], list[float]] = defaultdict(list)
    with Contestant(run.peer_python, "benchmarks.factories") as contestant:

        def turn(storage: str, inputs: int, concurrency: int) -> dict[str, float]:
            name, _, durability = storage.partition(", ")
            how = {"inputs": inputs, "concurrency": concurrency, "durability": durability}
            return contestant.turn("run_factory", directory=run.store(), storage=name, **how)

        for storage in _STORAGES:
            turn(storage, _WARM_UP, _CONCURRENCY[0])
        for concurrency in _CONCURRENCY:
            for _ in run.rounds(f"starfish, {concurrency} at a time", min(_ROUNDS, run.sizes.rounds)):
                for storage in _STORAGES:
                    found = turn(storage, inputs, concurrency)
                    took[storage, concurrency].append(found["seconds"])
                    worked[storage, concurrency].append(found["processors"])
    rows: list[tuple[str, ...]] = []
    for concurrency in _CONCURRENCY:
        peer, nothing = (Series(tuple(took[name, concurrency])) for name in ("starfish", "nothing"))
        for storage in _STORAGES:
            mine = Series(tuple(took[storage, concurrency]))
            rows.append(
                (
                    f"{_NAMES.get(storage, storage)}, {concurrency}",
                    seconds(mine),
                    seconds(Series(tuple(worked[storage, concurrency]))),
                    NOTHING if storage in _NAMES else ratio(peer, mine, _GOAL),
                    NOTHING if storage == "nothing" else _share(mine, nothing),
                )
            )
    return [
        Table(
            "Starfish's factories",
            f"A run of Starfish's `data_factory` over {inputs:,} inputs, whose function returns at once, from `run` to "
            "its return: with its own storage, which syncs nothing; with ours by `install`, in both layouts and at "
            "both durabilities; and with its storage in memory, which keeps nothing. The share of storage is what a "
            "run takes longer than with that; with its own storage, up to a second is a sleep at the end.",
            ("storage, at a time", "seconds", "of processors", "Starfish ÷ ours", "share of storage"),
            tuple(rows),
        )
    ]


def _share(mine: Series, nothing: Series) -> str:
    shares = Series(tuple(1 - least / each for each, least in zip(mine.values, nothing.values, strict=True)))
    return shares.spread(".0f", 100, " %")
