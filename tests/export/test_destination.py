"""Where an export is written: whole or not there, whatever happens, and nothing else is touched."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.errors import (
    AlreadyExistsError,
    InvalidInputError,
    StorageBusyError,
    StorageFullError,
    StorageIOError,
)
from starfish_storage.export import ExportProgress, HuggingFace, JsonLines, export, spreadsheet, unified_table
from starfish_storage.export.conveyor import Conveyor
from starfish_storage.export.spool import Spool
from starfish_storage.testing.samples import (
    MASTER_JOB,
)
from starfish_storage.testing.suites.suite import refused

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def left_beside(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != "store")


async def test_what_is_there_is_replaced_only_if_that_was_said(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}])
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    with refused(AlreadyExistsError, "out.jsonl"):
        await export(storage, target, **ONE)
    assert target.read_text() == "mine"
    await export(storage, target, overwrite=True, **ONE)
    assert lines(target) == [{"n": 1}]
    assert left_beside(tmp_path) == ["out.jsonl"]


async def test_two_at_a_time_are_told_of_each_other(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}])
    partial = tmp_path / ".out.jsonl.export-partial"
    with partial.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with refused(StorageBusyError, "out.jsonl"):
            await export(storage, tmp_path / "out.jsonl", **ONE)
        assert partial.exists()
    await export(storage, tmp_path / "out.jsonl", **ONE)
    assert left_beside(tmp_path) == ["out.jsonl"]


async def test_what_a_killed_export_left_is_used_again(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ({"n": number} for number in range(1000)))
    program = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from starfish_storage import LocalStorage
        from starfish_storage.export import export

        async def main(store, target):
            async with LocalStorage(store) as storage:
                kill = lambda progress: os.kill(os.getpid(), signal.SIGKILL)
                await export(storage, target, master_job_ids=["master-1"], progress=kill)

        asyncio.run(main(*sys.argv[1:]))
        """
    )
    target = tmp_path / "out.jsonl"
    await storage.close()
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, (tmp_path / "store").as_uri(), target], check=False
    )
    assert done.returncode == -9
    assert left_beside(tmp_path) == [".out.jsonl.export-partial"]
    await storage.setup()
    await export(storage, target, **ONE)
    assert len(lines(target)) == 1000
    assert left_beside(tmp_path) == ["out.jsonl"]


async def test_a_cancelled_export_leaves_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ({"n": number} for number in range(1100)))
    begun = asyncio.Event()
    work = asyncio.create_task(export(storage, tmp_path / "out.jsonl.gz", progress=lambda progress: begun.set(), **ONE))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert left_beside(tmp_path) == []
    assert len(await storage.get_records_for_master_job(MASTER_JOB)) == 1100


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "dataset"])
async def test_both_passes_of_a_table_are_told_and_the_second_is_cancelled(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in (unified_table, spreadsheet):
        monkeypatch.setattr(module, "_PIECE", 10_000)
    await save(storage, ({"n": number, "text": "x" * 90} for number in range(600)))
    form, told = HuggingFace() if name == "dataset" else None, list[ExportProgress]()
    before = (tmp_path / name, await export(storage, tmp_path / name, form, progress=told.append, **ONE))[0]
    assert [one.phase for one in told] == ["reading"] * 2 + ["writing"] * (len(told) - 2)
    assert (told[1], told[-1]) == (ExportProgress(600, 600), ExportProgress(600, 600, "writing"))
    pieces, is_stopped, read = len(told) - 2, threading.Event(), list[int]()
    assert pieces > 4
    batches = Spool.batches

    def waiting(spool: Spool, *words: int) -> Iterator[list[bytes]]:
        for lines in batches(spool, *words):
            if read:
                is_stopped.wait(20)  # so that there is something left to be cancelled
            read.append(len(lines))
            yield lines

    monkeypatch.setattr(Spool, "batches", waiting)

    def cancelling(progress: ExportProgress) -> None:
        if progress.phase == "writing":
            work.cancel()

    def stopping(conveyor: Conveyor) -> None:
        stop(conveyor)
        is_stopped.set()

    stop = Conveyor.stop
    monkeypatch.setattr(Conveyor, "stop", stopping)
    old = [path.stat().st_mtime_ns for path in (before, *before.rglob("*"))]
    work = asyncio.create_task(export(storage, before, form, overwrite=True, progress=cancelling, **ONE))
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(read) < pieces - 1
    assert [path.stat().st_mtime_ns for path in (before, *before.rglob("*"))] == old
    assert left_beside(tmp_path) == [name]


async def test_what_the_caller_does_with_progress_may_end_the_second_pass(
    storage: LocalStorage, tmp_path: Path
) -> None:
    await save(storage, ({"n": number} for number in range(10)))

    def failing(progress: ExportProgress) -> None:
        if progress.phase == "writing":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await export(storage, tmp_path / "out.csv", progress=failing, **ONE)
    assert left_beside(tmp_path) == []


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.csv", "out.parquet", "out.arrow"])
async def test_a_full_disk_ends_it_and_leaves_nothing(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    noise = (os.urandom(1500).hex() for _ in range(1100))
    await save(storage, ({"n": text} for text in noise))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # Python ignores the signal: the call fails
    try:
        with refused(StorageFullError, str(tmp_path)):
            await export(storage, tmp_path / name, **ONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_beside(tmp_path) == []


async def test_a_link_is_not_followed(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}])
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".out.jsonl.export-partial").symlink_to(tmp_path / "victim")
    with refused(StorageIOError, "out.jsonl"):
        await export(storage, tmp_path / "out.jsonl", **ONE)
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("store", "belongs to the store"),
        ("store/out.jsonl", "belongs to the store"),
        ("store/data/00/out.jsonl", "belongs to the store"),
        ("link/out.jsonl", "belongs to the store"),
        ("out\0.jsonl", "cannot be the name of a file"),
        ("out\ud800.jsonl", "cannot be the name of a file"),
        ("out.jsonl/", "names a directory"),
        ("-", "standard output"),
    ],
)
async def test_places_that_an_export_cannot_have(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    await save(storage, [{"n": 1}])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("store")
    with refused(InvalidInputError, said):
        await export(storage, name, JsonLines(), overwrite=True, **ONE)
    assert left_beside(tmp_path) == ["link"]
    assert len(await storage.get_records_for_master_job(MASTER_JOB)) == 1


async def test_long_names_and_links_are_fine(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}])
    long = tmp_path / ("n" * 249 + ".jsonl")
    await export(storage, long, **ONE)
    assert lines(long) == [{"n": 1}]
    (tmp_path / "link.jsonl").symlink_to("there.jsonl")
    report = await export(storage, tmp_path / "link.jsonl", **ONE)
    assert report.path == str(tmp_path / "there.jsonl")
    assert left_beside(tmp_path) == ["link.jsonl", long.name, "there.jsonl"]
    with refused(AlreadyExistsError, "there.jsonl"):
        await export(storage, tmp_path / "link.jsonl", **ONE)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet", "out.arrow"])
async def test_names_that_are_no_unicode_are_fine(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    await save(storage, [{"n": 1}])
    target = os.fsdecode(os.fsencode(tmp_path) + b"/\xff" + name.encode())
    await export(storage, target, **ONE)
    assert os.path.getsize(target) > 0
