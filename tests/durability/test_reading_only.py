"""Reading needs neither a writable nor an empty disk: full ones, read-only ones, and ones that only others write."""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from durability import reading_stores, workload
from durability.file_systems import Mounted
from migrations.stores import on_disk, unpack
from starfish_storage import (
    LocalStorage,
    Project,
    StorageError,
    StoreOpenError,
    open_storage,
)
from starfish_storage.metadata.sqlite import starfish_copy, untouched

OLDER = ("v1", "v1-not-closed", "v2", "v2-not-closed", "starfish-0.1.3")


KINDS: dict[str, Callable[[Path], object]] = {
    "killed": reading_stores.make_killed,
    "killed, packed": reading_stores.make_killed_packed,
    "without index": reading_stores.make_without_index,
    "closed": reading_stores.make_closed,
    **{name: partial(unpack, name) for name in OLDER},
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return KINDS[request.param]


@functools.cache
def expected(make: Callable[[Path], object]) -> dict[str, Any]:
    """Return what a store shows that may be written."""
    with tempfile.TemporaryDirectory() as beside:
        make(Path(beside, "store"))
        found = asyncio.run(reading_stores.opened(lambda: LocalStorage(Path(beside, "store"))))
    assert found["refusal"][0] == "written"
    return found["seen"]


def test_on_a_full_disk(make: Callable[[Path], object], disk: Mounted) -> None:
    there = expected(make)
    root = disk.path / "store"
    make(root)
    reading_stores.fill(disk.path)
    found = asyncio.run(reading_stores.opened(lambda: open_storage(root)))
    assert found.get("seen") == there, found
    assert found["refusal"][0] in ("storage_full", "written")  # SQLite may have had room in what it has already
    if found["refusal"][0] == "storage_full":
        assert "disk" in found["refusal"][1] or "space" in found["refusal"][1]
    (disk.path / "ballast").unlink()
    assert asyncio.run(reading_stores.opened(lambda: open_storage(root)))["refusal"][0] == "written"


async def test_a_storage_writes_again_once_there_is_room(disk: Mounted) -> None:
    await asyncio.to_thread(reading_stores.make_killed, disk.path / "store")
    reading_stores.fill(disk.path)
    async with LocalStorage(disk.path / "store") as storage:
        there = await reading_stores.look(storage)
        with pytest.raises(StorageError):
            await storage.save_project(Project(project_id="p", name="another"))
        (disk.path / "ballast").unlink()
        await storage.save_project(Project(project_id="p", name="another"))
        assert await reading_stores.look(storage) == there | {"projects": ["another", *there["projects"]]}


def test_on_a_disk_mounted_read_only(make: Callable[[Path], object], disk: Mounted) -> None:
    there = expected(make)
    make(disk.path / "store")
    disk.remount("ro")
    before = on_disk(disk.path / "store")
    found = asyncio.run(reading_stores.opened(lambda: open_storage(disk.path / "store")))
    assert found.get("seen") == there, found
    assert found["refusal"][0] == "store_read_only"
    assert str(disk.path / "store") in found["refusal"][1]
    assert "mounted read-only" in found["refusal"][1]
    assert on_disk(disk.path / "store") == before


def test_where_only_others_may_write(open_path: Path, tmp_path: Path) -> None:
    roots = {open_path / f"store {number}": make for number, make in enumerate(KINDS.values())}
    for root, make in roots.items():
        make(root)
        for path in [root, *root.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
    before = {root: on_disk(root) for root in roots}
    for (root, make), found in zip(roots.items(), read_as_nobody(tmp_path, *roots), strict=True):
        assert on_disk(root) == before[root]
        assert found.get("seen") == expected(make), found
        assert found["refusal"][0] == "store_read_only"
        assert "this user may not write" in found["refusal"][1]


def read_as_nobody(warm_up: Path, *roots: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "durability.reading_process", "nobody", str(warm_up / "warm-up"), *map(str, roots)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_a_store_that_another_user_writes(open_path: Path, tmp_path: Path) -> None:
    root = open_path / "store"
    async with LocalStorage(root) as storage:
        await workload.prepare(storage)
        for version in (1, 2):
            await storage.save_record(workload.record("r1", version), workload.payload("r1", version))
            for path in [root, *root.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            (found,) = await asyncio.to_thread(read_as_nobody, tmp_path / str(version), root)
            assert found["seen"] == await reading_stores.look(storage)
            assert found["seen"][workload.MASTER]["data"] == [workload.payload("r1", version)]
            assert found["refusal"][0] == "store_read_only"


def test_on_purpose_nothing_is_written_where_it_could_be(make: Callable[[Path], object], tmp_path: Path) -> None:
    there = expected(make)
    root = tmp_path / "store"
    make(root)
    before = on_disk(root)
    found = asyncio.run(reading_stores.opened(lambda: open_storage(root, read_only=True)))
    assert found.get("seen") == there, found
    assert found["refusal"][0] == "store_read_only"
    assert "read_only=True" in found["refusal"][1]
    after = on_disk(root)
    for name in before:
        assert after[name] == before[name] or name == "metadata.db-shm"  # no more than SQLite's index of its log
    assert after.keys() == before.keys()


async def test_there_must_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("none", "empty"):
        with pytest.raises(StoreOpenError, match="contains no store to read"):
            await open_storage(tmp_path / name, read_only=True).setup()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert list((tmp_path / "empty").iterdir()) == []


async def test_every_write_is_refused(tmp_path: Path) -> None:
    async with LocalStorage(tmp_path / "store") as storage:
        await workload.prepare(storage)
        await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))
    before = on_disk(tmp_path / "store")
    async with LocalStorage(tmp_path / "store", read_only=True) as storage:
        await reading_stores.check_refusals(storage, str(tmp_path / "store"))
        assert (await reading_stores.look(storage))[workload.MASTER]["records"] == {"r1": "completed"}
    assert on_disk(tmp_path / "store") == before


@pytest.mark.parametrize("kind", ["killed", "killed, packed", "without index", "closed"])
async def test_what_is_written_meanwhile_is_seen(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "store"
    await asyncio.to_thread(KINDS[kind], root)
    async with LocalStorage(root, read_only=True) as reader:
        seen = await reading_stores.look(reader)
        for version in (3, 4):
            async with LocalStorage(root) as writer:
                await writer.save_record(workload.record("r1", version), workload.payload("r1", version))
                assert await reading_stores.look(reader) == await reading_stores.look(writer) != seen
                # The locks of this process still hold: another one must not take the database for its own.
                assert await asyncio.to_thread(is_locked, root / "metadata.db")
            assert (await reading_stores.look(reader))[workload.MASTER]["data"].count(
                workload.payload("r1", version)
            ) == 1
        async with LocalStorage(root) as writer:
            await reader.close()
            assert await asyncio.to_thread(is_locked, root / "metadata.db")
            await writer.save_record(workload.record("r1", 5), workload.payload("r1", 5))


_ASK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)  # SQLite's range of shared locks
    except BlockingIOError:
        sys.exit(1)
"""


def is_locked(database: Path) -> bool:
    return subprocess.run([sys.executable, "-c", _ASK, str(database)], check=False, timeout=60).returncode == 1


def test_an_older_store_is_read_where_there_is_no_room_for_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    for name in OLDER:
        there = expected(KINDS[name])
        unpack(name, tmp_path / name)
        with monkeypatch.context() as patched:
            patched.setattr(starfish_copy.tempfile, "mkdtemp", refuse)
            found = asyncio.run(reading_stores.opened(lambda name=name: open_storage(tmp_path / name, read_only=True)))
        assert found.get("seen") == there, found


async def test_what_changes_too_fast_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(reading_stores.make_closed, tmp_path / "store")
    async with LocalStorage(tmp_path / "store", read_only=True) as storage:
        numbers = iter(range(1 << 20))
        monkeypatch.setattr(untouched, "states_of_files", lambda _: {"-wal": None, "-journal": None, "": next(numbers)})
        with pytest.raises(StorageError) as raised:
            await storage.list_projects()
        assert raised.value.code == "storage_busy"


async def test_data_elsewhere_is_read_too(tmp_path: Path) -> None:
    async with LocalStorage(tmp_path / "store", tmp_path / "data") as storage:
        await workload.prepare(storage)
        await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))
        there = await reading_stores.look(storage)
    before = on_disk(tmp_path)
    async with open_storage(tmp_path / "store", tmp_path / "data", read_only=True) as storage:
        assert await reading_stores.look(storage) == there
    with pytest.raises(StoreOpenError, match="its data lies elsewhere"):
        await open_storage(tmp_path / "store", read_only=True).setup()
    assert on_disk(tmp_path) == before
    shutil.rmtree(tmp_path / "data/data")
    with pytest.raises(StorageError, match="missing"):
        await open_storage(tmp_path / "store", tmp_path / "data", read_only=True).setup()
