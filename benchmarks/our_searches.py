"""The library's text search as a contestant: a filled store is indexed and searched, through the public API."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

from benchmarks.callers import settle
from benchmarks.memory import resident_megabytes
from benchmarks.our_exports import fill
from benchmarks.turns import serve
from starfish_storage import StoreOpenError, open_storage

_CACHE = "STARFISH_STORAGE_CACHE"
_LONGEST_WAIT = 0.01


def index(directory: str) -> dict[str, float]:
    """Index a filled store from nothing; return the seconds, those of the processor, the bytes, and the memory."""
    return asyncio.run(_index(directory))


def search(directory: str, query: str, repeats: int) -> dict[str, Any]:
    """Search an indexed store; return the seconds of each search, and how many records were found."""
    return asyncio.run(_search(directory, query, repeats))


def keep_searching(directory: str, stop: str, pause: float) -> dict[str, float]:
    """Search a store from when it is there until a file is; return how often, and the processor's time."""
    return asyncio.run(_keep_searching(directory, Path(stop), pause))


async def _index(directory: str) -> dict[str, float]:
    cache = _cache_of(directory)
    async with open_storage(directory, read_only=True) as store:
        await store.drop_search_index()
        settle()
        begun, used = time.perf_counter(), time.process_time()
        state = await store.index_records()
        seconds, processor = time.perf_counter() - begun, time.process_time() - used
        if state.remaining:
            raise RuntimeError(f"{state.remaining} records are not indexed")
    size = sum(path.stat().st_size for path in cache.rglob("*.index"))
    return {"seconds": seconds, "processor": processor, "bytes": size, "peak": resident_megabytes()["peak"]}


async def _search(directory: str, query: str, repeats: int) -> dict[str, Any]:
    _cache_of(directory)
    times: list[float] = []
    async with open_storage(directory, read_only=True) as store:
        page = await store.search_records(query)
        settle()
        for _ in range(repeats):
            begun = time.perf_counter()
            page = await store.search_records(query)
            times.append(time.perf_counter() - begun)
    return {"times": times, "found": page.found, "is_cut": page.is_cut}


async def _keep_searching(directory: str, stop: Path, pause: float) -> dict[str, float]:
    _cache_of(directory)
    chance, searches, used = random.Random(1), 0, time.process_time()
    while not stop.exists():
        try:
            async with open_storage(directory, read_only=True) as store:
                while not stop.exists():
                    await store.search_records(chance.choice(("eggs", "total", "garden")))
                    searches += 1
                    await asyncio.sleep(pause)
        except StoreOpenError:
            await asyncio.sleep(_LONGEST_WAIT)  # it is not there yet
    return {"searches": searches, "processor": time.process_time() - used}


def _cache_of(directory: str) -> Path:
    """Return the cache of a store, which is from now on that of this process: beside the store, on the same disk."""
    cache = Path(f"{directory}-cache")
    os.environ[_CACHE] = str(cache)
    return cache


if __name__ == "__main__":
    serve({"fill": fill, "index": index, "search": search, "keep_searching": keep_searching})
