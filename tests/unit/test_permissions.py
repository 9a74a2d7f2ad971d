"""Files and directories are their owner's only, whatever the umask, in the whole life of a store."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from starfish_storage import LocalStorage
from starfish_storage.files.permissions import create_private_file, make_private_directory, tighten_empty_directory

UMASKS = [0, 0o022, 0o077, 0o277, 0o777]

# Every kind of file there is: the database with its log, locks, staging, configurations, data, a batch's backups, and
# SQLite's own journal. Looked at after each step, and while a writer is killed with files staged. The umask counts for
# who may not do everything, so root becomes somebody else first, once everything that has to be imported is.
_LIFE = """
import asyncio, ctypes, json, os, sys
from pathlib import Path
from starfish_storage import LocalStorage
from starfish_storage.files.atomic import FileOperations
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run

umask, place, warm_up = int(sys.argv[1], 8), Path(sys.argv[2]), sys.argv[3]
seen = {}

def look(when):
    for root in (place / "deep", place / "data"):
        for path in (root, *root.rglob("*")):
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            seen.setdefault(oct(found.st_mode), set()).add(path.name)

def looking(name):
    step = getattr(FileOperations, name)
    def looked(self, *given):
        try:
            return step(self, *given)
        finally:
            look(name)
    setattr(FileOperations, name, looked)

async def main():
    async with LocalStorage(warm_up):
        pass
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for name in ("write_new", "link", "rename", "sync_all"):
        looking(name)
    for _ in range(2):
        os.umask(umask)
        async with LocalStorage((place / "deep/er/store").as_uri(), (place / "data").as_uri()) as storage:
            look("setup")
            if await storage.get_master_job(MASTER_JOB) is None:
                await save_run(storage)
            path = storage.generate_request_config_path(MASTER_JOB)
            assert await storage.get_request_config(await storage.save_request_config(path, {})) == {}
            for _ in range(2):
                await storage.save_records([(a_record(f"r{number}"), {}) for number in range(3)])
            look("saved")
        look("closed")
    os.umask(umask)
    storage = LocalStorage((place / "deep/er/store").as_uri(), (place / "data").as_uri())
    await storage.setup()
    await storage.save_record(a_record("before-kill"), {})
    look("killed")
    print(json.dumps({mode: sorted(names) for mode, names in seen.items()}), flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_the_whole_life_of_a_store(tmp_path: Path, open_path: Path, umask: int) -> None:
    place = open_path / "life"
    place.mkdir()
    place.chmod(0o777)
    run = [sys.executable, "-c", _LIFE, oct(umask), str(place), (tmp_path / "warm-up").as_uri()]
    finished = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == -9, finished.stderr
    seen = json.loads(finished.stdout)
    file, directory = oct(stat.S_IFREG | 0o600), oct(stat.S_IFDIR | 0o700)
    assert set(seen) == {file, directory}, seen
    assert {"deep", "er", "store", "data", "configs", "staging"} <= set(seen[directory])
    assert {"metadata.db", "metadata.db-wal", "metadata.db-shm", "writer.lock", "session.lock", "r0.json"} <= set(
        seen[file]
    )
    assert {"master-1.request.json", "0", "1"} <= set(seen[file])  # and files that are being written


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_what_is_made_here(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_private_directory(str(tmp_path / "directory"))
        os.close(create_private_file(str(tmp_path / "directory/file"), os.O_WRONLY))
        with pytest.raises(FileExistsError):
            create_private_file(str(tmp_path / "directory/file"), os.O_WRONLY)
        with pytest.raises(FileExistsError):
            make_private_directory(str(tmp_path / "directory"))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "directory") == 0o700
    assert mode_of(tmp_path / "directory/file") == 0o600


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def opened_and_closed(root: Path, data: Path | None = None) -> None:
    async with LocalStorage(root.as_uri(), None if data is None else data.as_uri()):
        pass


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o2775])
async def test_an_empty_root_becomes_its_owners_only(tmp_path: Path, mode: int) -> None:
    for name in ("store", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    await opened_and_closed(tmp_path / "store", tmp_path / "data")
    assert mode_of(tmp_path / "store") & 0o777 == 0o700
    assert mode_of(tmp_path / "data") & 0o777 == 0o700


async def test_a_root_that_holds_something_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mine").touch()
    (tmp_path / "store").chmod(0o755)
    await opened_and_closed(tmp_path / "store")
    assert mode_of(tmp_path / "store") == 0o755
    # So does a store that its owner has opened up to others.
    (tmp_path / "store/mine").unlink()
    (tmp_path / "store/writer.lock").chmod(0o660)
    await opened_and_closed(tmp_path / "store")
    assert mode_of(tmp_path / "store") == 0o755
    assert mode_of(tmp_path / "store/writer.lock") == 0o660


async def test_what_stands_above_a_new_root_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "above").mkdir()
    (tmp_path / "above").chmod(0o755)
    await opened_and_closed(tmp_path / "above/store")
    assert mode_of(tmp_path / "above") == 0o755
    assert mode_of(tmp_path / "above/store") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_an_empty_directory_of_somebody_else_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.chown(tmp_path, 65534, 65534)
    tighten_empty_directory(str(tmp_path))
    assert mode_of(tmp_path) == 0o755


def test_an_empty_directory_for_all_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    tighten_empty_directory(str(tmp_path))
    assert mode_of(tmp_path) == 0o1777
