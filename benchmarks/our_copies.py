"""What is done with whole stores, as a contestant: copies, checks, backups; and files copied without a library.

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
from benchmarks.memory import on_disk, resident_megabytes
from benchmarks.turns import serve
from starfish_storage import LocalStorage
from starfish_storage.copying import copy
from starfish_storage.interface import Layout
from starfish_storage.maintenance import backup, verify
from starfish_storage.maintenance.compressing import compress
from starfish_storage.maintenance.packing import pack


def copy_store(source: str, target: str, records: int, new: int, layout: Layout) -> dict[str, float]:
    """Copy a store in this process; return the ``seconds`` until it is closed, and the ``peak`` of its memory."""
    return asyncio.run(_copy_store(source, target, records, new, layout))


def verify_store(source: str, records: int) -> dict[str, float]:
    """Check a store in this process; return the ``seconds``, and the ``peak`` of its memory."""
    settle()
    begun = time.perf_counter()
    report = verify(source)
    seconds = time.perf_counter() - begun
    if not report.is_sound or report.records != records:
        raise RuntimeError(f"of {records} records, {report.records} were checked, and found was: {report}")
    return {"seconds": seconds, "peak": resident_megabytes()["peak"]}


def back_up(source: str, target: str, records: int) -> dict[str, float]:
    """Back up a store in this process; return the ``seconds``, and the ``peak`` of its memory."""
    settle()
    begun = time.perf_counter()
    report = backup(source, target)
    seconds = time.perf_counter() - begun
    if report.records != records:
        raise RuntimeError(f"{report.records} records were backed up, not {records}")
    return {"seconds": seconds, "peak": resident_megabytes()["peak"]}


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


def compress_packs(directory: str) -> dict[str, float]:
    """Compress the packs of a store; return the seconds as ``compressed_in``, and what is on disk afterwards."""
    return {"compressed_in": asyncio.run(_compress(directory)), **on_disk(directory)}


async def _compress(directory: str) -> float:
    store = LocalStorage(f"file://{directory}")
    async with store:
        report = await pack(store)  # moves nothing: everything lies in packs
    async with store:
        begun = time.perf_counter()
        await compress(store, report)
        return time.perf_counter() - begun


async def _copy_store(source: str, target: str, records: int, new: int, layout: Layout) -> dict[str, float]:
    settle()
    begun = time.perf_counter()
    async with LocalStorage(f"file://{source}") as from_, LocalStorage(f"file://{target}", layout=layout) as to:
        report = await copy(from_, to)
    seconds = time.perf_counter() - begun
    if (report.records, report.records + report.unchanged) < (new, records):
        raise RuntimeError(f"{report.records} records were copied, not {new} of {records}")
    return {"seconds": seconds, "peak": resident_megabytes()["peak"]}


if __name__ == "__main__":
    serve({task.__name__: task for task in (copy_store, copy_files, verify_store, back_up, compress_packs)})
