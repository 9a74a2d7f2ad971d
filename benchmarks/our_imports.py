"""This library's side of the import of files: a task a turn."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.callers import settle
from benchmarks.memory import resident_megabytes
from benchmarks.turns import serve
from starfish_storage import LocalStorage
from starfish_storage.imports import import_file
from starfish_storage.uri import file_uri_of_path


def import_lines(directory: str, source: str, records: int) -> dict[str, Any]:
    """Import a file into a fresh store, and again; return the seconds of both, and the peak of memory."""
    return asyncio.run(_import_lines(directory, source, records))


async def _import_lines(directory: str, source: str, records: int) -> dict[str, Any]:
    async with LocalStorage(file_uri_of_path(directory)) as storage:
        settle()
        begun = time.perf_counter()
        report = await import_file(storage, source)
        seconds = time.perf_counter() - begun
        if report.new_records != records:
            raise RuntimeError(f"{report.new_records} records are stored, not {records}")
        begun = time.perf_counter()
        again = await import_file(storage, source)
        if not again.already_imported:
            raise RuntimeError("imported twice")
        return {"seconds": seconds, "again": time.perf_counter() - begun, "peak": resident_megabytes()["peak"]}


if __name__ == "__main__":
    serve({"import_lines": import_lines})
