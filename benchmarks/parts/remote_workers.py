"""What a run costs as more and more workers share it: the rate, transactions, log and connections."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack

from benchmarks.callers import settle
from benchmarks.contestants import Contestant
from benchmarks.parts.remote_writing import together
from benchmarks.remote_servers import RemoteServers, remote_servers
from benchmarks.run import Run
from benchmarks.tables import Series, Table, rate, ratio

_WORKERS = (1, 2, 4, 8, 16)
_CALLERS = 50
_KIND = "directory"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'starfish%'"


def measure_remote_workers(run: Run) -> list[Table]:
    """Measure a function that returns at once, over the same inputs, by 1 to 16 workers."""
    measured: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with remote_servers(run.directory) as servers, ExitStack() as stack:
        workers = [stack.enter_context(run.fresh_contestant("benchmarks.our_remote")) for _ in range(max(_WORKERS))]
        for _ in run.rounds("remote-workers", run.sizes.remote_rounds):
            for count in _WORKERS:
                run.say(f"remote-workers: {count}")
                for what, value in _turn(run, servers, workers[:count]).items():
                    measured[count][what].append(value)
    return [_table(run, measured)]


def _turn(run: Run, servers: RemoteServers, workers: list[Contestant]) -> dict[str, float]:
    place = run.store().rpartition("/")[2].replace("-", "_")
    where = {"uri": servers.uri(place), "data_uri": servers.data_uri(_KIND, place), "environment": servers.environment}
    inputs = run.sizes.remote_inputs
    with run.fresh_contestant("benchmarks.our_remote") as maker:
        maker.turn("prepare_run", **where, inputs=inputs)
    together(workers, "enter", **where, made={}, warm_up=0)
    settle()
    servers.postgres.execute("CHECKPOINT")
    log, commits = servers.written(), servers.commits()
    spans = together(workers, "work", callers=_CALLERS * len(workers))  # that of the run: each takes its share
    log = servers.written() - log
    connections = servers.number(_CONNECTIONS)
    together(workers, "leave")
    calls = sum(made for _, _, made in spans)
    if calls != inputs:
        raise RuntimeError(f"{calls} calls were made for {inputs} inputs")
    return {
        "rate": inputs / (max(last for _, last, _ in spans) - min(begin for begin, _, _ in spans)),
        "transactions": (servers.commits() - commits) / inputs,
        "log": log / inputs / 1000,
        "connections": connections,
    }


def _table(run: Run, measured: dict[int, dict[str, list[float]]]) -> Table:
    series = {
        count: {what: Series(tuple(values)) for what, values in found.items()} for count, found in measured.items()
    }
    alone = series[1]["rate"]
    return Table(
        "Workers that share a run",
        f"Inputs a second of all workers together. Each is a process in `resume`, with {_CALLERS} calls at a time for "
        "each (`max_concurrency`) and a function that returns at once; the run's "
        f"{run.sizes.remote_inputs:,} inputs were stored before, and each "
        "was called once. From the first start to the last call: a worker that finds nothing left looks again every "
        f"half second until the others are done. Data in a {_KIND}; server and workers share the machine. "
        "Transactions are all that the server committed; log is what it wrote ahead; connections, those open at the "
        "end.",
        ("workers", "inputs a second", "÷ one worker", "transactions an input", "log an input", "connections"),
        tuple(
            (
                str(count),
                rate(found["rate"]),
                ratio(found["rate"], alone),
                found["transactions"].spread(".3f"),
                found["log"].spread(".1f", unit=" KB"),
                f"{found['connections'].median:g}",
            )
            for count, found in series.items()
        ),
    )
