"""A store that nobody writes to still finishes what could not be finished at once."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from durability import workload
from durability.faults import FaultyStorage, Steps
from starfish_storage.metadata.sqlite import checkpoint

LIMIT_SECONDS = 30.0


async def test_a_sync_that_failed_is_made_good_without_another_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_RETRY_SECONDS", 0.5)
    failed, made_good = threading.Event(), threading.Event()

    def before(_number: int, step: str) -> None:
        if step.startswith("fsync") and not failed.is_set():
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if step.startswith("append") and failed.is_set():
            made_good.set()

    async with FaultyStorage(tmp_path / "store", Steps(), layout="packed") as storage:
        await workload.prepare(storage)
        await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))
        storage.steps.before = before
        assert await asyncio.to_thread(made_good.wait, LIMIT_SECONDS), "the range was not written anew"
