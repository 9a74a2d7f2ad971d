"""Packed stores on disks that fill up or fail, killed, cut, and written by several at a time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from durability import workload
from durability.file_systems import Mounted
from starfish_storage import LocalStorage, StorageFullError


def padded(size: int) -> dict[str, str]:
    return {"text": "x" * size}


async def save(storage: LocalStorage, uid: str, size: int) -> None:
    await storage.save_record(workload.record(uid, 1), padded(size))


async def sizes_of(storage: LocalStorage) -> dict[str, int]:
    """Read everything."""
    found: dict[str, int] = {}
    async for record in storage.iter_records(workload.MASTER):
        assert record.output_ref is not None
        found[record.record_uid] = len((await storage.get_record_data(record.output_ref))["text"])
    return found


def packs_of(root: Path) -> list[Path]:
    return sorted((root / "data" / "packs").iterdir())


async def test_of_a_group_that_does_not_fit_the_disk_the_smaller_calls_succeed(disk: Mounted) -> None:
    root = disk.path / "store"
    async with LocalStorage(root.as_uri(), layout="packed") as storage:
        await workload.prepare(storage)
        await save(storage, "first", 10)
        free = os.statvfs(disk.path).f_bavail * os.statvfs(disk.path).f_bsize
        (disk.path / "ballast").write_bytes(bytes(free - 1_000_000))
        sizes = {"a": 700_000, "b": 10, "c": 2_000_000, "d": 20_000, "e": 10}  # each takes twice its size: the journal
        outcomes = await asyncio.gather(
            *(save(storage, uid, size) for uid, size in sizes.items()), return_exceptions=True
        )
        refused = [uid for uid, outcome in zip(sizes, outcomes, strict=True) if outcome is not None]
        assert refused == ["a", "c"]
        assert all(isinstance(outcome, StorageFullError) for outcome in outcomes if outcome is not None)
        assert await sizes_of(storage) == {"first": 10, "b": 10, "d": 20_000, "e": 10}
        (pack,) = packs_of(root)
        assert pack.stat().st_size < 50_000
        (disk.path / "ballast").unlink()
        await save(storage, "a", 700_000)
    async with LocalStorage(root.as_uri()) as storage:
        assert await sizes_of(storage) == {"first": 10, "a": 700_000, "b": 10, "d": 20_000, "e": 10}
