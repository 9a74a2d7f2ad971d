"""Stores of Starfish 0.1.x, as the real one wrote them: read without a trace, migrated at the first write."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import apsw
import pytest

from durability.processes import start
from migrations.own_writer import write_master_job
from migrations.reading import everything
from migrations.stores import noted, on_disk, unpack
from starfish_storage import (
    GenerationJob,
    GenerationMasterJob,
    LocalStorage,
    Project,
    Record,
    StorageError,
    StoreOpenError,
)
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.sqlite.migrate import APPLICATION_ID

STARFISH = "starfish-0.1.3"
OLD_PLACE = "/tmp/starfish-run"
BACKUP = "metadata.db.starfish-0.1"


def as_read_here(model: type[Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return what Starfish said of a row, in our spelling of times and relative to where the store lies."""
    values = model.model_validate(said).model_dump(mode="json")
    for name in ("request_config_ref", "output_ref"):
        if values.get(name):
            values[name] = values[name].removeprefix(f"{OLD_PLACE}/")
    if values.get("storage_uri") == f"file://{OLD_PLACE}":
        values["storage_uri"] = "its own"
    return values


def assert_holds_what_starfish_said(found: dict[str, Any]) -> None:
    said = noted(STARFISH)
    for kind, model, name in (
        ("master_jobs", GenerationMasterJob, "master_job_id"),
        ("execution_jobs", GenerationJob, "job_id"),
        ("records", Record, "record_uid"),
    ):
        here = {row[name]: row for row in found[kind]}
        assert said[kind]
        for row in said[kind]:
            expected = as_read_here(model, row)
            expected.pop("summary", None)  # which Starfish stores and never returns
            assert {field: here[row[name]][field] for field in expected} == expected
    for master_job_id, counts in said["counts"].items():
        assert {status: n for status, n in found["counts"][master_job_id].items() if n} == counts
    assert {uid: found["data"][uid] for uid in said["data"]} == said["data"]
    assert found["data"].keys() == said["data"].keys()
    assert found["configs"] == said["configs"]


def version_of(root: Path) -> tuple[int, int]:
    connection = apsw.Connection(str(root / "metadata.db"))
    try:
        return connection.pragma("application_id"), connection.pragma("user_version")
    finally:
        connection.close()


async def test_everything_is_read_and_nothing_is_touched(tmp_path: Path) -> None:
    storage = unpack(STARFISH, tmp_path / "store")
    before = on_disk(tmp_path / "store")
    for _ in range(2):  # closed and set up again
        await storage.setup()
        found = await everything(storage)
        assert_holds_what_starfish_said(found)
        assert on_disk(tmp_path / "store") == before
        await storage.close()
    assert on_disk(tmp_path / "store") == before


async def test_what_starfish_itself_would_not_return_is_kept(tmp_path: Path) -> None:
    async with unpack(STARFISH, tmp_path / "store") as storage:
        found = await everything(storage)
    projects = {row["project_id"]: row for row in found["projects"]}
    masters = {row["master_job_id"]: row for row in found["master_jobs"]}
    jobs = {row["job_id"]: row for row in found["execution_jobs"]}
    records = {row["record_uid"]: row for row in found["records"]}
    assert projects.keys() == {"p-0", "p-1", "p-2", "dated-by-sqlite", "(no project)"}
    assert projects["dated-by-sqlite"]["created_when"] == "2025-01-02T03:04:05Z"
    assert projects["dated-by-sqlite"]["updated_when"] == "2025-01-02T03:04:05.500000Z"
    assert masters["m-generating"]["status"] == masters["m-aggregating"]["status"] == "running"
    assert masters["m-aggregating"]["project_id"] == masters["m-deleted"]["project_id"] == "(no project)"
    assert masters["m-aggregating"]["creation_time"] == "2025-04-01T12:00:00Z"
    assert masters["m-aggregating"]["last_update_time"] == "2025-04-01T12:00:00.123456Z"
    assert masters["m-aggregating"]["output_schema"] == {"value": ["a", 1]}
    assert masters["m-aggregating"]["storage_uri"] == "file:///somewhere/else"
    assert masters["Master-3"]["summary"] == {"completed": 1, "filtered": 1, "duplicate": 1, "failed": 1}
    assert jobs["e-list"]["run_config"] == {"value": "[1, NaN]"}
    assert jobs["e-orphan"]["master_job_id"] == "m-deleted"
    assert records["r-orphan"]["job_id"] == "e-deleted"
    assert jobs["e-deleted"]["master_job_id"] == records["r-orphan"]["master_job_id"] == "m-generating"
    assert records["r-two-masters"]["master_job_id"] == "m-aggregating"
    assert jobs[records["r-two-masters"]["job_id"]]["master_job_id"] == "m-aggregating"
    assert records["r-no-data"]["output_ref"] is records["r-outside"]["output_ref"] is None
    assert records["r-outside"]["error_message"].startswith("it failed (")
    assert "/etc/../etc/hostname" in records["r-outside"]["error_message"]
    assert len(records) == 6 * 7 + 4
    assert found["counts"]["m-generating"]["completed"] == found["counts"]["m-aggregating"]["completed"] == 1


async def test_it_is_migrated_by_the_first_write_and_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "store"
    storage = unpack(STARFISH, root)
    original = (root / "metadata.db").read_bytes()
    async with storage:
        before = await everything(storage)
        await storage.save_project(Project(project_id="new", name="a new one"))
        after = await everything(storage)
        assert [row for row in after.pop("projects") if row["project_id"] != "new"] == before.pop("projects")
        assert after == before
        await write_master_job(storage, 9, "completed")
        await storage.delete_master_job("Master-1")
        used = await everything(storage)
    assert version_of(root) == (APPLICATION_ID, latest_version())
    async with LocalStorage(storage.storage_uri) as again:
        assert await everything(again) == used
    assert not list(root.glob("data/*/*/Rec-1-*.json"))
    assert len(list(root.glob("data/Re/c-/Rec-2-*.json"))) == 5
    backup = apsw.Connection(str(root / BACKUP))
    kept = backup.execute("SELECT count(*) FROM Records").fetchone()
    assert kept == (6 * 7 + 4,)
    backup.close()
    restored = tmp_path / "restored"
    restored.mkdir()
    (restored / "metadata.db").write_bytes(original)
    assert tables_of(root / BACKUP) == tables_of(restored / "metadata.db")
    connection = apsw.Connection(str(root / "metadata.db"))
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert not [name for name in names if name.startswith("starfish_")]
    assert not connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()


def tables_of(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    connection = apsw.Connection(str(database))
    try:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in ("Projects", "GenerationMasterJob", "GenerationJob", "Records")
        }
    finally:
        connection.close()


async def test_ids_that_differ_in_case_alone_are_refused_afterwards(tmp_path: Path) -> None:
    async with unpack(STARFISH, tmp_path / "store") as storage:
        with pytest.raises(StorageError, match="Rec-0-completed"):
            await storage.save_record_data("rec-0-completed", "Master-0", "e-0", {"a": 1})


async def test_what_stands_only_in_the_log_of_a_killed_starfish_is_read(tmp_path: Path) -> None:
    unpack(STARFISH, tmp_path / "source")
    connection = apsw.Connection(str(tmp_path / "source" / "metadata.db"))
    connection.execute("INSERT INTO Projects (project_id, name) VALUES ('in the log', 'x')")
    shutil.copytree(tmp_path / "source", tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
    connection.close()
    before = on_disk(tmp_path / "copy")
    async with LocalStorage(f"file://{tmp_path}/copy") as storage:
        assert await storage.get_project("in the log") is not None
        assert on_disk(tmp_path / "copy") == before
    assert on_disk(tmp_path / "copy") == before
    async with LocalStorage(f"file://{tmp_path}/copy") as storage:
        await storage.save_project(Project(project_id="new", name="n"))
        assert await storage.get_project("in the log") is not None
    assert ("in the log", "x") in {row[:2] for row in tables_of(tmp_path / "copy" / BACKUP)["Projects"]}


async def test_a_backup_that_is_there_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "store"
    storage = unpack(STARFISH, root)
    shutil.copy(root / "metadata.db", root / BACKUP)
    connection = apsw.Connection(str(root / BACKUP))
    connection.execute("INSERT INTO Projects (project_id, name) VALUES ('of an earlier backup', 'x')")
    connection.close()
    earlier = tables_of(root / BACKUP)
    async with storage:
        await storage.save_project(Project(project_id="new", name="n"))
    assert tables_of(root / BACKUP) == earlier
    assert len(tables_of(root / f"{BACKUP}-2")["Projects"]) == len(earlier["Projects"]) - 1


async def test_data_that_lies_elsewhere(tmp_path: Path) -> None:
    unpack(STARFISH, tmp_path / "store")
    for name in ("data", "configs"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / "store" / name).rename(tmp_path / "elsewhere" / name)
    uri, data_uri = f"file://{tmp_path}/store", f"file://{tmp_path}/elsewhere"
    before = on_disk(tmp_path)
    async with LocalStorage(uri, data_uri) as storage:
        assert_holds_what_starfish_said(await everything(storage))
        assert on_disk(tmp_path) == before
        await write_master_job(storage, 9, "completed")
        used = await everything(storage)
    with pytest.raises(StoreOpenError, match="its data lies elsewhere"):
        await LocalStorage(uri).setup()
    async with LocalStorage(uri, data_uri) as storage:
        assert await everything(storage) == used


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before every statement that the first write runs in the database, in turn."""
    root = tmp_path / "store"
    storage = unpack(STARFISH, root)
    tables = tables_of(root / "metadata.db")
    hooks = [*apsw.connection_hooks]
    failed = 0
    async with storage:
        while True:
            left = failed + 1

            def trace(cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
                nonlocal left
                left -= 1
                return left != 0

            with monkeypatch.context() as patched:
                patched.setattr(apsw, "connection_hooks", [*hooks, lambda made: made.set_exec_trace(trace)])
                try:
                    await storage.save_project(Project(project_id="new", name="n"))
                except StorageError:
                    failed += 1
                else:
                    break
            if version_of(root) == (0, 0):
                assert tables_of(root / "metadata.db") == tables
            assert await storage.get_project("new") is None
            assert len(await storage.list_projects()) == 5
    assert failed > 40


def begin_first_writer(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that has the store open, has read it, and waits to be told to write."""
    process = start(["-m", "migrations.first_writer", str(root), *arguments])
    assert process.stdout is not None
    assert process.stdout.readline() == "5\n"
    return process


async def test_two_processes_that_write_first_at_once_migrate_once(tmp_path: Path) -> None:
    root = tmp_path / "store"
    storage = unpack(STARFISH, root)
    writers = [begin_first_writer(root, name) for name in ("one", "two", "three")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate(timeout=60)[1].count("is migrated") in (0, 1)
        assert writer.returncode == 0
    async with storage:
        assert_holds_what_starfish_said(await everything(storage))
        assert {one.project_id for one in await storage.list_projects()} >= {"one", "two", "three"}
    assert [path.name for path in root.glob(f"{BACKUP}*")] == [BACKUP]


async def killed_at(number: int, root: Path) -> bool:
    """Have the first writer killed before a statement; return False if it was through before."""
    storage = unpack(STARFISH, root)
    tables = tables_of(root / "metadata.db")
    with begin_first_writer(root, "new", str(number)) as writer:
        writer.communicate("go\n", timeout=60)
    if writer.returncode == 0:
        return False
    assert writer.returncode == -signal.SIGKILL
    if version_of(root) == (0, 0):
        assert tables_of(root / "metadata.db") == tables
    else:
        assert version_of(root) == (APPLICATION_ID, latest_version())
    async with storage:
        assert_holds_what_starfish_said(await everything(storage))
        await storage.save_project(Project(project_id="later", name="n"))
        assert_holds_what_starfish_said(await everything(storage))
    assert version_of(root) == (APPLICATION_ID, latest_version())
    finished = [path for path in root.glob(f"{BACKUP}*") if path.suffix not in ("-journal", "-wal", "-shm")]
    assert all(tables_of(path) == tables for path in finished)
    assert finished
    return True


@pytest.mark.parametrize("number", [10, 30, 45, 55])
async def test_a_writer_that_is_killed_at_the_migration(tmp_path: Path, number: int) -> None:
    assert await killed_at(number, tmp_path / "store")


@pytest.mark.slow
async def test_a_writer_that_is_killed_at_every_statement(tmp_path: Path) -> None:
    number = 1
    while await killed_at(number, tmp_path / str(number)):
        number += 1
    assert number > 50
