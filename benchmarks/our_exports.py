"""The library's exports as a contestant: a filled store into a file, through the public API."""

from __future__ import annotations

import asyncio
import os
import time

from benchmarks.callers import settle
from benchmarks.memory import resident_megabytes
from benchmarks.ours import start_run
from benchmarks.payloads import make_payloads
from benchmarks.turns import serve
from starfish_storage import LocalStorage, Record
from starfish_storage.export import Form, form_named, form_of
from starfish_storage.export import export as export_records
from starfish_storage.interface import Layout

_BATCH = 1000

_filled: dict[str, str] = {}
"""The master job of each store that was filled."""


def fill(directory: str, records: int, layout: Layout = "files") -> None:
    """Make a store of so many completed records."""
    asyncio.run(_fill(directory, records, layout))


def export(directory: str, target: str, metadata: bool, conversations: bool) -> dict[str, float]:
    """Export a filled store; return the seconds and the peak of this process's memory."""
    if conversations:
        form = form_named("openai", target, messages=(("user", "question"), ("assistant", "answer")))
    else:
        form = form_of(target, metadata_key="metadata" if metadata else None)
    return asyncio.run(_export(directory, target, form))


async def _fill(directory: str, records: int, layout: Layout) -> None:
    payloads = make_payloads(1000)
    async with LocalStorage(f"file://{directory}", durability="process", layout=layout) as store:
        master_job_id, job_ids = await start_run(store, 1000)
        for start in range(0, records, _BATCH):
            await store.save_records(
                (
                    Record(job_id=job_ids[n % len(job_ids)], master_job_id=master_job_id, status="completed"),
                    payloads[n % len(payloads)],
                )
                for n in range(start, min(start + _BATCH, records))
            )
        _filled[directory] = master_job_id


async def _export(directory: str, target: str, form: Form) -> dict[str, float]:
    async with LocalStorage(f"file://{directory}") as store:
        settle()
        begun = time.perf_counter()
        report = await export_records(store, target, form, master_job_ids=[_filled[directory]], overwrite=True)
        seconds = time.perf_counter() - begun
    os.unlink(target)
    return {"seconds": seconds, "records": report.records, "peak": resident_megabytes()["peak"]}


if __name__ == "__main__":
    serve({"fill": fill, "export": export})
