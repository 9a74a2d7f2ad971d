"""The pages of the viewer over a large store: how long the server takes for each."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from statistics import quantiles
from urllib.parse import urlsplit

from benchmarks.contestants import ENVIRONMENT, PROJECT_ROOT
from benchmarks.large_store import LARGE, make_large_store
from benchmarks.run import Run
from benchmarks.tables import Table

_RUNS = 500
_REPEATS = 40
_PAGES = {
    "runs": "/",
    "runs, a page at the end": "/?after=run-0060",
    "runs, searched by a text": "/?q=number",
    "the large run": f"/run?id={LARGE}",
    "its progress, as it is brought up to date": f"/run/progress?id={LARGE}",
    "its plots": f"/run/timeline?id={LARGE}",
    "records": f"/records?run={LARGE}",
}


def measure_viewing(run: Run) -> list[Table]:
    """Make the store, start the viewer as a user does, and ask for each page in turns."""
    store, records = run.store(), run.sizes.many
    run.say(f"viewer: making a store of {records:,} records and {_RUNS} runs")
    make_large_store(store, records, _RUNS)
    first: dict[str, float] = {}
    taken: dict[str, list[float]] = {name: [] for name in _PAGES}
    with viewing(run.python, store) as address:
        for name, path in _PAGES.items():
            first[name] = _ask(address, path)
        for _ in run.rounds("viewer: pages", _REPEATS):
            for name, path in _PAGES.items():
                taken[name].append(_ask(address, path))
    rows = [(name, *map(_milliseconds, (first[name], *_of(taken[name]))), "100, 300 ms") for name in _PAGES]
    return [
        Table(
            f"Pages of the viewer, over {records:,} records and {_RUNS} runs",
            "From the request to the last byte of the answer, on the same machine. What takes long to count is counted "
            f"beside the pages and goes on at first; each page is asked for {_REPEATS} times, in turns.",
            ("page", "the first time", "median", "p95", "goals"),
            tuple(rows),
        )
    ]


@contextmanager
def viewing(python: str, store: str) -> Generator[str]:
    """Give the address of a viewer of a store."""
    words = ["-m", "starfish_storage", "view", "--no-open", "--port", "0", "--store", store]
    with subprocess.Popen(
        [python, *words], cwd=PROJECT_ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _ask(address: str, path: str) -> float:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port)
    begun = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - begun
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{path} was answered with {answer.status}")
    return seconds


def _of(taken: list[float]) -> tuple[float, float]:
    cuts = quantiles(taken, n=20)
    return cuts[9], cuts[18]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
