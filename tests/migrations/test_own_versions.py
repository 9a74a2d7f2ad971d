"""Stores of every format that this library ever had are opened, read whole, and used."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import apsw
import pytest

from durability.processes import run
from migrations.own_writer import write_master_job
from migrations.reading import asked_of, everything, judged_of, kept_of, runs_of, without_moments
from migrations.stores import noted, unpack
from starfish_storage import LocalStorage, StoreOpenError
from starfish_storage.export import export
from starfish_storage.maintenance import verify
from starfish_storage.maintenance.packing import pack
from starfish_storage.metadata.migrations import latest_version

_KILLED = """
import asyncio, os, signal, sys
import apsw
from starfish_storage import LocalStorage

def trace(cursor, statement, bindings):
    if statement.strip().startswith("DROP TABLE steps_before"):
        os.kill(os.getpid(), signal.SIGKILL)
    return True

apsw.connection_hooks.append(lambda connection: setattr(connection, "exec_trace", trace))
asyncio.run(LocalStorage(sys.argv[1]).setup())
"""

VERSIONS = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"]


def test_every_version_is_frozen() -> None:
    assert len(VERSIONS) == latest_version() - 1


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_frozen_store_is_read_and_used(tmp_path: Path, version: str, closed: bool) -> None:
    storage = unpack(version if closed else f"{version}-not-closed", tmp_path / "store")
    async with storage:
        said = noted(version)
        runs = said.pop("runs", {})
        for name, read in (("kept", kept_of), ("asked", asked_of), ("judged", judged_of)):
            if name in said:
                assert await read(storage) == said.pop(name)
        found = await everything(storage)
        if not closed:  # of another process than what was noted
            said, found = without_moments(said), without_moments(found)
        assert (found, await runs_of(storage)) == (said, runs)
        (migrated,) = await storage.ledger.list_actions()
        assert (migrated.action, migrated.detail) == ("migrate", f"version {version[1:]} to {latest_version()}")
        await storage.delete_master_job("Master-1")
        await write_master_job(storage, 9, "completed")
        used = await everything(storage)
    async with LocalStorage(storage.storage_uri) as again:
        assert await everything(again) == used
        assert {one["master_job_id"] for one in used["master_jobs"]} == {
            f"Master-{n}" for n in (0, 2, 3, 4, 5, 9)
        } | set(runs)
    connection = apsw.Connection(storage.metadata_db_path)
    assert connection.pragma("user_version") == latest_version()
    assert connection.execute("SELECT count(*) FROM data_journal").fetchone() == (0,)
    connection.close()


async def test_a_frozen_store_of_files_is_packed_and_used(tmp_path: Path) -> None:
    storage, said = unpack("v6", tmp_path / "store"), noted("v6")
    with pytest.raises(StoreOpenError, match="run 'starfish-storage pack'"):
        await LocalStorage(storage.storage_uri, layout="packed").setup()
    async with storage:
        assert (await pack(storage)).left == []
        assert await judged_of(storage) == said["judged"]
        await write_master_job(storage, 9, "completed")
        used = await everything(storage)
        assert used["data"].items() > said["data"].items()
    assert {path.parent.name for path in (tmp_path / "store/data").rglob("*.json*")} == {"packs"}
    assert verify(storage.storage_uri).is_sound
    async with LocalStorage(storage.storage_uri, layout="packed") as again:
        assert await everything(again) == used
        exported = await export(again, tmp_path / "run.jsonl", master_job_ids=["Run-1"], statuses=None)
    written = (tmp_path / "run.jsonl").read_text("utf-8").splitlines(keepends=True)
    assert exported.records == len(written) > 5
    assert any("edited" in line and str(2**70) in line for line in written), written


async def test_a_migration_that_was_killed_is_made_again(tmp_path: Path) -> None:
    storage = unpack("v4", tmp_path / "store")
    code, *_ = await asyncio.to_thread(run, ["-c", _KILLED, storage.storage_uri])
    assert code == -signal.SIGKILL
    connection = apsw.Connection(storage.metadata_db_path)
    assert connection.pragma("user_version") == 4
    connection.close()
    async with storage:
        assert await kept_of(storage) == noted("v4")["kept"]
