"""Copies of a store as a contestant: `copy`, used as a caller uses it, and the same files copied without a library.

The raw loop is the recipe of docs/format.md for a store in use: ``VACUUM INTO``, then each file read and written, one
after the other, and one sync of the file system. It compares nothing, keeps no journal and no log, and what it has
copied is safe at its end only.
"""

from __future__ import annotations

import asyncio
import os
import time

import apsw

from benchmarks.callers import settle
from benchmarks.memory import resident_megabytes
from benchmarks.turns import serve
from starfish_storage import LocalStorage
from starfish_storage.copying import copy


def copy_store(source: str, target: str, records: int, new: int) -> dict[str, float]:
    """Copy a store in this process; return the ``seconds`` until it is closed, and the ``peak`` of its memory."""
    return asyncio.run(_copy_store(source, target, records, new))


def copy_files(source: str, target: str) -> float:
    """Copy the database and the files, durably; return the seconds."""
    settle()
    begun = time.perf_counter()
    os.makedirs(f"{target}/data")
    connection = apsw.Connection(f"{source}/metadata.db")
    connection.execute("VACUUM INTO ?", (f"{target}/metadata.db",))
    connection.close()
    for shard in sorted(os.listdir(f"{source}/data")):
        os.mkdir(f"{target}/data/{shard}")
        for name in os.listdir(f"{source}/data/{shard}"):
            with open(f"{source}/data/{shard}/{name}", "rb") as file:
                content = file.read()
            with open(f"{target}/data/{shard}/{name}", "xb") as file:
                file.write(content)
    os.sync()
    return time.perf_counter() - begun


async def _copy_store(source: str, target: str, records: int, new: int) -> dict[str, float]:
    settle()
    begun = time.perf_counter()
    async with LocalStorage(f"file://{source}") as from_, LocalStorage(f"file://{target}") as to:
        report = await copy(from_, to)
    seconds = time.perf_counter() - begun
    if (report.records, report.records + report.unchanged) < (new, records):
        raise RuntimeError(f"{report.records} records were copied, not {new} of {records}")
    return {"seconds": seconds, "peak": resident_megabytes()["peak"]}


if __name__ == "__main__":
    serve({"copy_store": copy_store, "copy_files": copy_files})
