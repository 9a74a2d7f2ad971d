"""An older store is read from a migrated copy; what somebody writes to the store meanwhile is seen all the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from durability import reading_stores
from migrations.stores import unpack
from starfish_storage import LocalStorage, Project, Storage, StorageError
from starfish_storage.metadata.sqlite import copied_readers

OLDER = ("v1", "v1-not-closed", "v2", "v2-not-closed", "v4", "starfish-0.1.3")

_SAVE_AGAIN = """
import asyncio, sys
from starfish_storage import LocalStorage

async def save_again():
    async with LocalStorage(sys.argv[1]) as storage:
        for job in await storage.list_master_jobs():
            async for record in storage.iter_records(job.master_job_id):
                if record.output_ref:
                    await storage.save_record(record, {"changed": True})
                    return print(record.record_uid)

asyncio.run(save_again())
"""


def save_again(root: Path) -> str:
    command = [sys.executable, "-c", _SAVE_AGAIN, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


async def data_of(storage: Storage, uid: str) -> object:
    record = await storage.get_record_metadata(uid)
    assert record is not None
    assert record.output_ref is not None
    return await storage.get_record_data(record.output_ref)


@pytest.mark.parametrize(
    ("name", "read_only"), [*((name, True) for name in OLDER), ("v1-not-closed", False), ("starfish-0.1.3", False)]
)
async def test_what_another_process_writes_is_seen(tmp_path: Path, name: str, read_only: bool) -> None:
    root = tmp_path / "store"
    unpack(name, root)
    async with LocalStorage(root, read_only=read_only) as reader:
        before = await reading_stores.look(reader)
        uid = await asyncio.to_thread(save_again, root)
        assert await data_of(reader, uid) == {"changed": True}
        seen = await reading_stores.look(reader)
        assert seen != before
        async with LocalStorage(root) as writer:
            assert await reading_stores.look(writer) == seen == await reading_stores.look(reader)
            await writer.save_project(Project(project_id="later", name="later"))
            assert "later" in [project.name for project in await reader.list_projects()]
        assert "later" in [project.name for project in await reader.list_projects()]


def rename_project(root: Path, name: str) -> None:
    """Change an older store as its own release would, which leaves its format."""
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.execute("UPDATE projects SET name = ? WHERE rowid = (SELECT min(rowid) FROM projects)", (name,))
    connection.close()


@pytest.mark.parametrize("name", OLDER)
async def test_what_its_own_release_writes_is_seen(tmp_path: Path, name: str) -> None:
    root, copies = tmp_path / "store", tmp_path / "copies"
    unpack(name, root)
    copies.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tempfile.tempdir", str(copies))
        async with LocalStorage(root, read_only=True) as reader:
            for version in ("one", "two"):
                await reading_stores.look(reader)
                await asyncio.to_thread(rename_project, root, version)
                assert version in [project.name for project in await reader.list_projects()]
                assert len(os.listdir(copies)) <= 1  # the former copy is dropped
    assert os.listdir(copies) == []


async def test_what_changes_too_fast_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(unpack, "v2", tmp_path / "store")
    async with LocalStorage(tmp_path / "store", read_only=True) as storage:
        numbers = iter(range(1 << 20))
        monkeypatch.setattr(copied_readers, "states_of_files", lambda _: {"": next(numbers)})
        with pytest.raises(StorageError, match="is being written in an older format") as raised:
            await storage.list_projects()
        assert raised.value.code == "storage_busy"
