"""Runs on file systems that are really full, and on a store whose files cannot be written for a while."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from durability.faults import FaultyStorage, Steps
from generation.runs import RUN, Calls, Paying, Seen, attempts, data, numbers, open_store, sound, start
from starfish_storage import Context, ResultsSpooledError, StorageError
from starfish_storage.generation import resume

COUNT, SLOTS = 12, 4
LONG = 60.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: that takes the system's administrator")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> None:
    with (disk / "other").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def test_a_full_disk(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool goes to another one."""
    monkeypatch.delenv("STARFISH_STORAGE_SPOOL")
    monkeypatch.setenv("XDG_STATE_HOME", str(small_disk / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    function, seen = Paying(lambda: fill(small_disk), 5, SLOTS), Seen(1)  # some may find room in the log

    async def long(n: int, context: Context) -> dict[str, Any]:
        return {**await function(n, context), "text": "x" * 10_000}

    store = (small_disk / "store").as_uri()
    async with open_store(store) as storage:
        run = asyncio.create_task(
            start(storage, long, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG)
        )
        await seen.until_all_wait()
        (file,) = (tmp_path / "here").iterdir()
        assert file.name.endswith(".spool.jsonl")
        (small_disk / "other").unlink()
        done = await run
        assert (done.records, done.attempts, done.failed_attempts) == ({"completed": COUNT}, COUNT, 0)
        assert sorted(function.made) == list(range(COUNT))
        assert [one["n"] for one in await data(storage)] == list(range(COUNT))
        assert not file.exists()
    sound(store)


class ReadOnly:
    """What happens while a file system is mounted read-only: nothing can be written, and SQLite gives up."""

    def __init__(self) -> None:
        self.is_so = False

    def before(self, _number: int, step: str) -> None:
        if self.is_so and step.startswith("page"):
            raise apsw.ReadOnlyError("injected")
        if self.is_so and step.startswith(("write", "rename", "mkdir")):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("patience", [LONG, 0.3])
async def test_a_store_that_turns_read_only_is_opened_again(tmp_path: Path, patience: float) -> None:
    """SQLite alone would stay so for as long as the store is open, and refuse every later write."""
    mount = ReadOnly()

    async def answer(n: int, context: Context) -> dict[str, Any]:
        # The first write that fails is a row, not a file: the writer gives up.
        await context.once("call", lambda: function(n, context))
        return {"n": n}

    function, seen = Paying(lambda: setattr(mount, "is_so", True), 5, SLOTS), Seen(SLOTS)
    async with FaultyStorage(tmp_path / "store", Steps(mount.before), "process") as storage:
        run = asyncio.create_task(
            start(storage, answer, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=patience)
        )
        if patience == LONG:
            await seen.until_all_wait()
            with pytest.raises(StorageError):
                await storage.update_master_job_status(RUN, "running", (await storage.ledger.now()))
            mount.is_so = False
            assert (await run).records == {"completed": COUNT}
            assert sorted(function.made) == list(range(COUNT))
        else:
            with pytest.raises(ResultsSpooledError):
                await run
            mount.is_so = False
    async with open_store((tmp_path / "store").as_uri()) as reopened:
        if patience != LONG:
            again = Calls()

            async def rest(n: int, context: Context) -> dict[str, Any]:
                await context.once("call", lambda: again(n))
                return {"n": n}

            assert (await resume(reopened, RUN, rest, progress="quiet")).records == {"completed": COUNT}
            assert sorted(function.made + again.made) == list(range(COUNT)), "no reply is paid for twice"
        for n in range(COUNT):
            assert [one.status for one in await attempts(reopened, n)].count("completed") == 1
    sound((tmp_path / "store").as_uri())
