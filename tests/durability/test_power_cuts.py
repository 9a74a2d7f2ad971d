"""Power cuts: what was not synced is lost, in whole or in part, and the store is opened on what remains."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from durability import workload
from durability.faults import FaultyStorage, Steps
from starfish_storage import LocalStorage
from starfish_storage.metadata.connection import Durability

CUTS = 12


class Disk:
    """Knows what of a store is safe on the disk, and makes the stores that a power cut may leave.

    The database and its log are safe as they were at their last sync; data files, once a syncfs or a synced
    directory covered them. Everything else may be lost, or be there in part.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._descriptors: dict[str, int] = {}
        self._safe: dict[str, bytes] = {}
        self.sync_everything()

    def after_step(self, step: str) -> None:
        """Note what the step that comes next makes safe."""
        kind, _, what = step.partition(" ")
        if kind == "sync":
            self._safe[what] = self._content(what)
        elif kind == "syncfs":
            self.sync_everything()

    def sync_everything(self) -> None:
        files = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        self._safe = {name: self._content(name) for name in files if "lock" not in name and "-shm" not in name}

    def cut(self, target: Path, chance: random.Random) -> None:
        """Write what a power cut now may leave."""
        present = {str(path.relative_to(self.root)) for path in self.root.rglob("*.json")}
        log = "metadata.db-wal"
        left = dict(self._safe)
        for name in sorted(present):  # unsynced files: gone, empty, cut short, or whole
            content = self._content(name)
            if left.get(name) != content:
                fate = chance.choice(["before", "empty", "short", "whole"])
                if fate != "before":
                    left[name] = content[: {"empty": 0, "short": len(content) // 2, "whole": len(content)}[fate]]
        if (self.root / log).exists():  # the log may have grown by any number of bytes since its last sync
            safe, now = left.get(log, b""), self._content(log)
            if now[: len(safe)] == safe:
                left[log] = now[: chance.randint(len(safe), len(now))]
        for name, content in left.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _content(self, name: str) -> bytes:
        if name.endswith(".json") or name.startswith("staging/"):
            try:
                return (self.root / name).read_bytes()
            except FileNotFoundError:
                return b""
        # Opened once and never closed: closing a database file in the process that uses it drops SQLite's locks.
        if name not in self._descriptors:
            self._descriptors[name] = os.open(self.root / name, os.O_RDONLY)
        descriptor = self._descriptors[name]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


async def run_and_cut(tmp_path: Path, seed: int, durability: Durability) -> list[tuple[Path, Path]]:
    """Run the workload, cutting the power at random steps; return the store and the log of each cut."""
    root, log = tmp_path / "store", tmp_path / "log"
    steps = Steps()
    storage = FaultyStorage(root, steps, durability)
    await storage.setup()
    await workload.run(storage, workload.Log(log), 4, workers=3)
    total = len(steps.taken)
    await storage.close()
    shutil.rmtree(root)
    log.unlink()

    chance = random.Random(seed)
    moments = set(chance.sample(range(40, total), CUTS))
    cuts: list[tuple[Path, Path]] = []
    steps = Steps()
    storage = FaultyStorage(root, steps, durability)
    await storage.setup()
    disk = Disk(root)

    def before(number: int, step: str) -> None:
        if number in moments:
            target, log_then = tmp_path / f"cut{number}", tmp_path / f"cut{number}-log"
            disk.cut(target, chance)
            shutil.copy(log, log_then)
            cuts.append((target, log_then))
        disk.after_step(step)

    steps.before = before
    await workload.run(storage, workload.Log(log), 4, workers=3)
    await storage.close()
    return cuts


@pytest.mark.parametrize("seed", range(3))
async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    cuts = await run_and_cut(tmp_path, seed, "power")
    assert len(cuts) >= CUTS - 2  # the number of steps varies a little with the groups
    for store, log in cuts:
        await workload.check(store, log)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
async def test_many_power_cuts_lose_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    for store, log in await run_and_cut(tmp_path, seed, "power"):
        await workload.check(store, log)


@pytest.mark.parametrize("seed", range(3))
async def test_a_power_cut_tears_nothing_that_was_saved_for_the_process(tmp_path: Path, seed: int) -> None:
    """The last moments may be gone; no row refers to data that is not whole, or is of another version."""
    for store, _log in await run_and_cut(tmp_path, seed, "process"):
        async with LocalStorage(f"file://{store}") as storage:
            for job in await storage.list_master_jobs():
                async for found in storage.iter_records(job.master_job_id):
                    assert found.output_ref is not None
                    data = await storage.get_record_data(found.output_ref)
                    assert data == workload.payload(found.record_uid, data["version"])
                    assert found.error_message == f"v{data['version']}"


def damage(disk_file: str) -> Callable[[Path], None]:
    """Return what removes one file of a store: the checks above must notice it."""

    def remove(store: Path) -> None:
        for path in store.glob(disk_file):
            path.unlink()

    return remove


async def test_the_check_itself_notices_a_lost_file(tmp_path: Path) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    storage = LocalStorage(f"file://{root}")
    await storage.setup()
    await workload.run(storage, workload.Log(log), 3)
    await storage.close()
    damage("data/*/w0-1.json")(root)
    with pytest.raises(Exception, match="w0-1"):
        await workload.check(root, log)
