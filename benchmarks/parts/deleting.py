"""How long others wait while a large run is deleted, in PostgreSQL and in SQLite."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant
from benchmarks.parts.many_inputs import load, load_local, prepare
from benchmarks.remote_servers import remote_servers
from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds, rate, ratio, seconds

_ALONE_SECONDS = 10.0
_ROUNDS = 1


def measure_deleting(run: Run) -> list[Table]:
    """Have one process delete a run while another saves records of another run, one after the other."""
    rows = [_sqlite(run), _postgres(run)]
    return [
        Table(
            f"Save while a run of {run.sizes.deleted:,} records is deleted",
            "One process deletes; another saves records of another run with one caller, beside it and, before, for "
            f"{_ALONE_SECONDS:.0f} s while nothing is deleted. The goal is that no save waits for 100 ms longer.",
            (
                "rows in",
                "saves a second, nothing deleted",
                "beside the deletion",
                "÷",
                "median wait",
                "99th percentile",
                "longest wait",
                "99th, nothing deleted",
                "longest, nothing deleted",
                "deletion",
            ),
            tuple(rows),
        )
    ]


def _sqlite(run: Run) -> tuple[str, ...]:
    rounds: list[dict[str, float]] = []
    for _ in run.rounds("delete: SQLite", _ROUNDS):
        root = Path(run.store())
        where: dict[str, Any] = {"uri": root.as_uri(), "data_uri": None}
        prepare(run, where, {})
        load_local(run, root, run.sizes.deleted, 0)
        rounds.append(_turn(run, where, {}))
    return _row("SQLite", rounds)


def _postgres(run: Run) -> tuple[str, ...]:
    rounds: list[dict[str, float]] = []
    with remote_servers(run.directory) as servers:
        for number in run.rounds("delete: PostgreSQL", _ROUNDS):
            schema = f"delete_{number}"
            where = {"uri": servers.uri(schema), "data_uri": servers.data_uri("directory", schema)}
            prepare(run, where, servers.environment)
            load(run, servers, schema, run.sizes.deleted, 0)
            rounds.append(_turn(run, where, servers.environment))
            servers.postgres.execute(f"DROP SCHEMA {schema} CASCADE")
    return _row("PostgreSQL", rounds)


def _turn(run: Run, where: dict[str, Any], environment: dict[str, str]) -> dict[str, float]:
    end = run.directory / "end"
    how = {**where, "environment": environment}
    ours = "benchmarks.our_remote"
    with run.fresh_contestant(ours) as saver, run.fresh_contestant(ours) as deleter, ThreadPoolExecutor(1) as pool:
        made = saver.turn("prepare", **how, jobs=1, layout="packed")
        saver.turn("enter", **how, made=made, warm_up=200)
        end.touch()

        def saving() -> Any:
            return saver.turn("save_until", end=str(end))

        def beside(wait: Any) -> tuple[list[float], float]:
            end.unlink()
            saved = pool.submit(saving)
            took = wait()
            end.touch()
            return saved.result(), took

        alone, _ = beside(lambda: time.sleep(_ALONE_SECONDS))
        waits, took = beside(lambda: _delete(deleter, how))
        saver.turn("leave")
    return {
        "alone": len(alone) / sum(alone),
        "beside": len(waits) / sum(waits),
        "median": statistics.median(waits),
        "99th": _late(waits),
        "longest": max(waits),
        "99th alone": _late(alone),
        "longest alone": max(alone),
        "deletion": took,
    }


def _late(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=100)[-1]


def _delete(deleter: Contestant, how: dict[str, Any]) -> float:
    took: float = deleter.turn("delete", **how)
    return took


def _row(engine: str, rounds: list[dict[str, float]]) -> tuple[str, ...]:
    series = {what: Series(tuple(one[what] for one in rounds)) for what in rounds[0]}
    return (
        engine,
        rate(series["alone"]),
        rate(series["beside"]),
        ratio(series["beside"], series["alone"]),
        milliseconds(series["median"]),
        milliseconds(series["99th"]),
        milliseconds(series["longest"]),
        milliseconds(series["99th alone"]),
        milliseconds(series["longest alone"]),
        seconds(series["deletion"]),
    )
