"""What a viewer costs: the run that it shows live, its memory over hours of events, and the time until it answers."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks.contestants import ENVIRONMENT, PROJECT_ROOT
from benchmarks.our_runs import RUN
from benchmarks.run import Run
from benchmarks.tables import Series, Table, rate, ratio
from starfish_storage import LocalStorage

_CALLERS = 50
_GOAL = 0.95
_KINDS = {"returns at once": 0.0, "takes 50 ms": 0.05}
_PLOTS_EVERY = 2  # seconds, as the page does
_REQUESTS = 2000
_LISTENERS = 4


class Viewer:
    """A viewer that runs.

    Attributes:
        address: where.
        started: seconds from its start until the first page was there.
    """

    def __init__(self, address: str, pid: int, started: float) -> None:
        self.address = address
        self.started = started
        self._status = Path(f"/proc/{pid}/status")
        self._stat = Path(f"/proc/{pid}/stat")

    def megabytes(self, field: str = "VmRSS") -> float:
        """Return how much memory it has resident, or had at its peak (``VmHWM``)."""
        lines = self._status.read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))

    def processor_seconds(self) -> float:
        """Return for how long it has kept a processor busy."""
        fields = self._stat.read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def viewing(python: str, store: str) -> Generator[Viewer]:
    """Give a viewer of a store, which has answered its first page."""
    words = ["-m", "starfish_storage", "view", "--no-open", "--port", "0", "--store", store]
    begun = time.perf_counter()
    with subprocess.Popen(
        [python, *words], cwd=PROJECT_ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            ask(address, "/")
            yield Viewer(address, process.pid, time.perf_counter() - begun)
        finally:
            process.terminate()


def ask(address: str, path: str) -> float:
    """Return how many seconds a page takes, from the request to the last byte."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    begun = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - begun
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{path} was answered with {answer.status}")
    return seconds


class Reader(threading.Thread):
    """Reads a run's page as a browser does: listens, and asks for its progress and its plots when something changes."""

    def __init__(self, address: str, run: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._run = run
        self._ended = False
        self.events = 0

    def run(self) -> None:
        """Read until `end`."""
        plotted = 0.0
        place = urlsplit(self._address)
        stream = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        stream.request("GET", f"/events?run={self._run}")
        for line in stream.getresponse():
            if self._ended:
                break
            if not line.startswith(b"event: progress"):
                continue
            self.events += 1
            ask(self._address, f"/run/progress?id={self._run}")
            if time.monotonic() - plotted > _PLOTS_EVERY:
                plotted = time.monotonic()
                ask(self._address, f"/run/timeline?id={self._run}")
        stream.close()

    def end(self) -> None:
        """Stop at the next line."""
        self._ended = True


def measure_slowdown(run: Run) -> Table:
    """Measure runs that are viewed beside runs that are not, in turns."""
    calls = run.sizes.calls
    alone: dict[str, list[float]] = defaultdict(list)
    viewed: dict[str, list[float]] = defaultdict(list)
    busy: dict[str, list[float]] = defaultdict(list)
    events = 0
    with run.fresh_contestant("benchmarks.our_runs") as ours:
        for number in run.rounds("viewer: slowdown", 2 * run.sizes.rounds):
            for kind, seconds in _KINDS.items():
                many = calls // 5 if seconds else calls
                given = {"callers": _CALLERS, "inputs": many, "warm_up": 200, "durability": "power", "each": seconds}
                for is_viewed in (False, True) if number % 2 else (True, False):
                    store = run.store()
                    if not is_viewed:
                        alone[kind].append(ours.turn("generate_run", directory=store, **given) / many)
                        continue
                    _make_store(store)
                    with viewing(run.python, store) as viewer:
                        reader = Reader(viewer.address, RUN)
                        reader.start()
                        seconds_before, begun = viewer.processor_seconds(), time.perf_counter()
                        viewed[kind].append(ours.turn("generate_run", directory=store, **given) / many)
                        used = viewer.processor_seconds() - seconds_before
                        busy[kind].append(used / (time.perf_counter() - begun))
                        reader.end()
                        events += reader.events
    rows: list[tuple[str, ...]] = []
    for kind in _KINDS:
        without, shown = Series.rates(1, alone[kind]), Series.rates(1, viewed[kind])
        rows.append((kind, rate(without), rate(shown), ratio(shown, without, _GOAL), f"{median(busy[kind]):.0%}"))
    return Table(
        "A run that is viewed",
        f"Inputs a second of `generate` with `max_concurrency={_CALLERS}` and `durability='power'`: {calls:,} inputs "
        "of a function that returns at once, a fifth of that of one that waits. The viewer, in a process of its own, "
        "tells a page what changes, and the page asks for progress and plots as a browser does "
        f"({events:,} times here). In turns, on the same machine.",
        ("function", "not viewed", "viewed", "÷ not viewed", "processor of the viewer"),
        tuple(rows),
    )


def measure_memory(run: Run, viewer: Viewer, large: str, paths: list[str]) -> Table:
    """Measure the resident memory of a viewer, from its first page on."""
    first = viewer.megabytes()
    readers = [Reader(viewer.address, large) for _ in range(_LISTENERS)]
    for reader in readers:
        reader.start()
    taken = [("after each page once", first)]
    for part in range(4):
        run.say(f"viewer: memory, part {part + 1} of 4")
        for number in range(_REQUESTS // 4):
            ask(viewer.address, paths[number % len(paths)])
        taken.append((f"after {(part + 1) * _REQUESTS // 4:,} requests more", viewer.megabytes()))
    for reader in readers:
        reader.end()
    taken.append(("at its peak", viewer.megabytes("VmHWM")))
    return Table(
        "Memory of the viewer",
        f"Resident, over the same store, with {_LISTENERS} pages that listen; the goal is less than 150 MB. The first "
        f"page was there {viewer.started:.2f} s after the start of the process (goal: 1 s).",
        ("when", "resident"),
        tuple((when, f"{megabytes:,.0f} MB") for when, megabytes in taken),
    )


def _make_store(directory: str) -> None:
    async def make() -> None:
        async with LocalStorage(Path(directory).as_uri()):
            pass

    asyncio.run(make())
