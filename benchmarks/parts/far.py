"""What a store does that is far away: every round trip to PostgreSQL takes 20 ms, and every put 30 ms."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.contestants import Contestant
from benchmarks.remote_servers import RemoteServers, remote_servers
from benchmarks.run import Run
from benchmarks.tables import NOTHING, Series, Table, rate, ratio

_ROUND_TRIP = 0.02
_A_PUT = 0.03
_TABLE = "plain_records"
_JOBS = 20


class _Work(NamedTuple):
    """One kind of work.

    Attributes:
        name: what it is.
        callers: at a time.
        seconds: how long a call takes; None: there are none, records are saved.
        share: of the inputs of a full run.
        goal: records or inputs a second; None: nine tenths of what calls that wait for nothing would do.
    """

    name: str
    callers: int
    seconds: float | None
    share: float
    goal: float | None


_WORK = (
    _Work("`save_record`, 50 callers", 50, None, 1, 1500),
    _Work("`save_record`, 100 callers", 100, None, 1, 1500),
    _Work("`generate`, 50 calls of 20 ms", 50, 0.02, 1, 400),
    _Work("`generate`, 50 calls of 1 s", 50, 1.0, 0.375, None),
)


def measure_far(run: Run) -> list[Table]:
    """Measure saving and generating in a packed store, beside a raw loop over the same network."""
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    with remote_servers(run.directory) as servers, ExitStack() as stack:
        network = stack.enter_context(run.fresh_contestant("benchmarks.slow_network"))
        bucket = stack.enter_context(run.fresh_contestant("benchmarks.slow_bucket"))
        ours = stack.enter_context(run.fresh_contestant("benchmarks.our_remote"))
        raw = stack.enter_context(run.fresh_contestant("benchmarks.raw_far"))
        port = network.turn("start", host="127.0.0.1", port=servers.postgres.port, round_trip=_ROUND_TRIP)
        environment = bucket.turn("start", seconds=_A_PUT)
        for _ in run.rounds("far", run.sizes.remote_rounds):
            for work in _WORK:
                run.say(f"far: {work.name}")
                count = max(round(work.share * run.sizes.remote_records), work.callers)
                for who, seconds in _turn(run, servers, port, environment, ours, raw, work, count).items():
                    took[work.name, who].append(count / seconds)
    return [_table(took)]


def _turn(
    run: Run,
    servers: RemoteServers,
    port: int,
    environment: dict[str, str],
    ours: Contestant,
    raw: Contestant,
    work: _Work,
    count: int,
) -> dict[str, float]:
    place = run.store().rpartition("/")[2].replace("-", "_")
    where = {
        "uri": str(servers.postgres.uri(schema=place, port=port)),
        "data_uri": f"s3://bucket/{place}",
        "environment": environment,
    }
    made = ours.turn("prepare", **where, jobs=_JOBS, layout="packed")
    ours.turn("enter", **where, made=made, warm_up=200)
    raw.turn("enter", **where, made=made, table=_TABLE)
    if work.seconds is None:
        begun, ended = ours.turn("save", callers=work.callers, records=count)
        found = {"ours": ended - begun, "raw": raw.turn("save", callers=work.callers, records=count)}
    else:
        given = {"callers": work.callers, "inputs": count, "seconds": work.seconds}
        found = {"ours": ours.turn("work_far", **given), "raw": raw.turn("work", **given)}
    raw.turn("leave")
    ours.turn("leave")
    return found


def _table(took: dict[tuple[str, str], list[float]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for work in _WORK:
        ours, raw = (Series(tuple(took[work.name, who])) for who in ("ours", "raw"))
        ideal = None if work.seconds is None else work.callers / work.seconds
        goal = work.goal or 0.9 * (ideal or 0.0)
        most = NOTHING if ideal is None else f"{ideal:,.0f}"
        rows.append((work.name, rate(raw), f"{rate(ours)}, goal {goal:,.0f}", ratio(ours, raw), most))
    return Table(
        "Far from the store",
        "Records or inputs a second. Packed stores with rows in PostgreSQL, where each round trip takes "
        f"{_ROUND_TRIP * 1000:.0f} ms ([slow_network.py](slow_network.py)), and data in a bucket where each put takes "
        f"{_A_PUT * 1000:.0f} ms ([slow_bucket.py](slow_bucket.py)). The raw loop ([raw_far.py](raw_far.py)) stores "
        "what waits as one object and one statement, one group at a time, and each call waits until its result is "
        "stored. `generate` is measured whole, from the first statement to the report. The last column is what calls "
        "do that wait for nothing; 50 callers that save wait for a put and a round trip, so 1,000 a second is their "
        "most.",
        ("work", "raw loop", "starfish-storage", "÷ raw loop", "without a store"),
        tuple(rows),
    )
