"""How many records a second processes store together in PostgreSQL, with their data in an object store or directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from benchmarks.callers import settle
from benchmarks.contestants import Contestant
from benchmarks.remote_servers import RemoteServers, remote_servers
from benchmarks.run import LAYOUTS, Run
from benchmarks.tables import Series, Table, rate, ratio

_KINDS = ("S3", "directory")
_PROCESSES = (1, 4, 8)
_CALLERS = (1, 50, 500)
_JOBS = 20
_GOAL = 0.5
_TABLE = "plain_records"

_Measured = dict[tuple[str, int, int], dict[str, list[float]]]


def measure_remote_writing(run: Run) -> list[Table]:
    """Measure `save_record` beside the raw loop, with the same number of processes of each."""
    measured: _Measured = defaultdict(lambda: defaultdict(list))
    with remote_servers(run.directory) as servers, ExitStack() as stack:
        most = max(_PROCESSES)
        ours = [stack.enter_context(run.fresh_contestant("benchmarks.our_remote")) for _ in range(most)]
        raw = [stack.enter_context(run.fresh_contestant("benchmarks.raw_remote")) for _ in range(most)]
        for number in run.rounds("remote-write", run.sizes.remote_rounds):
            for kind in _KINDS:
                for processes in _PROCESSES:
                    for callers in _CALLERS:
                        run.say(f"remote-write: {kind}, {processes} processes, {callers} callers each")
                        found = measured[kind, processes, callers]
                        records = _records(run, processes, callers)
                        # Who is first has the emptier caches and the other's pages behind him: in turns.
                        turns = (("raw", raw), ("files", ours), ("packed", ours))
                        for who, contestants in turns if number % 2 else reversed(turns):
                            crowd = contestants[:processes]
                            for what, value in _turn(run, servers, kind, who, crowd, callers, records).items():
                                found[f"{who} {what}"].append(value)
    return [_table(run, measured, kind) for kind in _KINDS]


def together(contestants: Sequence[Contestant], task: str, **arguments: Any) -> list[Any]:
    """Have all of them do a task at the same time."""
    with ThreadPoolExecutor(len(contestants)) as threads:
        return list(threads.map(lambda one: one.turn(task, **arguments), contestants))


def _records(run: Run, processes: int, callers: int) -> int:
    """Return how many each process saves: enough to last, and some groups of every caller at least."""
    sizes = run.sizes
    if callers == 1:
        return sizes.remote_single
    return max(sizes.remote_records // processes, 2 * callers)


def _turn(
    run: Run, servers: RemoteServers, kind: str, who: str, crowd: list[Contestant], callers: int, records: int
) -> dict[str, float]:
    place = run.store().rpartition("/")[2].replace("-", "_")
    uri, data_uri = servers.uri(place), servers.data_uri(kind, place)
    with run.fresh_contestant("benchmarks.our_remote") as maker:
        layout = "packed" if who == "packed" else "files"
        where = {"uri": uri, "data_uri": data_uri, "environment": servers.environment}
        made = maker.turn("prepare", jobs=_JOBS, layout=layout, **where)
    if who == "raw":
        crowd[0].turn("prepare", uri=uri, name=_TABLE)
    warm_up = min(run.sizes.warm_up, 200)
    given = {"made": {**made, "table": _TABLE}, "environment": servers.environment, "warm_up": warm_up}
    together(crowd, "enter", uri=uri, data_uri=data_uri, **given)
    settle()
    servers.postgres.execute("CHECKPOINT")
    before = servers.written()
    spans = together(crowd, "save", callers=callers, records=records)
    total = len(crowd) * records
    log_bytes = (servers.written() - before) / total
    found = crowd[0].turn("count")
    together(crowd, "leave")
    if found != total + len(crowd) * warm_up:
        raise RuntimeError(f"{found} records are stored, not {total + len(crowd) * warm_up}")
    return {"rate": total / (max(end for _, end in spans) - min(begin for begin, _ in spans)), "log": log_bytes}


def _table(run: Run, measured: _Measured, kind: str) -> Table:
    rows: list[tuple[str, ...]] = []
    for processes in _PROCESSES:
        for callers in _CALLERS:
            found = {what: Series(tuple(values)) for what, values in measured[kind, processes, callers].items()}
            raw, files, packed = (found[f"{who} rate"] for who in ("raw", *LAYOUTS))
            logs = [f"{found[f'{who} log'].median / 1000:.1f} KB" for who in ("raw", *LAYOUTS)]
            shown = (rate(raw), rate(files), ratio(files, raw, _GOAL), rate(packed), ratio(packed, files))
            rows.append((f"{processes} x {callers}", *shown, *logs))
    where = "an S3 server (`rclone serve s3`)" if kind == "S3" else "a directory on the same disk"
    return Table(
        f"Write to PostgreSQL, data in {where}",
        f"Records a second of all processes together, `save_record`, {run.sizes.remote_records:,} a turn "
        f"({run.sizes.remote_single:,} a process by one caller), each process after {min(run.sizes.warm_up, 200)} that "
        "are not timed. The raw loop has as many processes, and groups as large as there are callers in each. Server, "
        "object store and all processes share the machine. Log: what PostgreSQL writes ahead for a record.",
        (
            *("processes x callers each", "raw loop", "files", "files ÷ raw loop", "packed", "packed ÷ files"),
            *("log, raw", "log, files", "log, packed"),
        ),
        tuple(rows),
    )
