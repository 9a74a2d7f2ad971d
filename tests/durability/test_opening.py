"""Opening what is not as it should be: forged entries, missing directories, another's database."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from durability import workload
from starfish_storage import (
    DataNotFoundError,
    ForeignStoreError,
    GenerationMasterJob,
    InvalidReferenceError,
    LocalStorage,
    StoreOpenError,
)
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.metadata.sqlite import commit as commit_module
from starfish_storage.metadata.sqlite import connection as connection_module
from starfish_storage.metadata.sqlite.commit import GroupCommit
from starfish_storage.metadata.sqlite.connection import open_for_writing
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.sqlite.locks import HeldAlone
from starfish_storage.metadata.sqlite.migrate import migrate


async def filled(root: Path, data: Path | None = None) -> str:
    """Make a store with one record and return its reference."""
    async with LocalStorage(f"file://{root}", f"file://{data}" if data else None) as storage:
        await workload.prepare(storage)
        return await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))


async def test_a_request_config_that_is_none_is_never_removed(tmp_path: Path) -> None:
    await filled(tmp_path)
    names = ["metadata.db", "metadata.db-wal", "writer.lock", "data/82/r1.json", "configs/a/b.json", "mine.json"]
    (tmp_path / "mine.json").write_text("{}")
    async with LocalStorage(f"file://{tmp_path}") as storage:
        for number, name in enumerate(names):
            job = GenerationMasterJob(
                master_job_id=f"m{number}", project_id=workload.PROJECT, request_config_ref=name,
                output_schema={}, storage_uri="", target_record_count=0,
            )  # fmt: skip
            if name == "mine.json":
                await storage.log_master_job_start(job)
                await storage.delete_master_job(job.master_job_id)
            else:
                with pytest.raises(InvalidReferenceError):
                    await storage.log_master_job_start(job)
        await workload.check_whole(storage, tmp_path)
    assert all((tmp_path / name).exists() for name in ("metadata.db", "writer.lock", "data/82/r1.json", "mine.json"))


@pytest.mark.parametrize("key", ["../outside.json", "metadata.db", "data/../../outside.json", "/outside.json"])
async def test_a_forged_journal_writes_and_removes_nothing_outside(tmp_path: Path, key: str) -> None:
    root = tmp_path / "store"
    reference = await filled(root)
    (tmp_path / "outside.json").write_text("{}")
    database = apsw.Connection(str(root / "metadata.db"))
    for payload in (b'{"forged":true}\n', None):
        database.execute("INSERT INTO data_journal (key, payload) VALUES (?, ?)", (key, payload))
    database.close()
    async with LocalStorage(f"file://{root}") as storage:
        assert await storage.get_record_data(reference) == workload.payload("r1", 1)
    assert (tmp_path / "outside.json").read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside.json", "store"]


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "metadata.db"))
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = (tmp_path / "metadata.db").read_bytes()
    with pytest.raises(ForeignStoreError, match="another program"):
        await LocalStorage(f"file://{tmp_path}").setup()
    assert [path.name for path in tmp_path.iterdir()] == ["metadata.db"]
    assert (tmp_path / "metadata.db").read_bytes() == before


async def test_a_store_whose_data_lies_elsewhere_is_not_opened_without_it(tmp_path: Path) -> None:
    reference = await filled(tmp_path / "store", tmp_path / "data")
    with pytest.raises(StoreOpenError, match="data_storage_uri_override"):
        await LocalStorage(f"file://{tmp_path}/store").setup()
    async with LocalStorage(f"file://{tmp_path}/store", f"file://{tmp_path}/data") as storage:
        assert await storage.get_record_data(reference) == workload.payload("r1", 1)


async def test_a_store_whose_data_lies_beside_it_is_not_opened_with_another(tmp_path: Path) -> None:
    await filled(tmp_path / "store")
    with pytest.raises(StoreOpenError, match="beside it"):
        await LocalStorage(f"file://{tmp_path}/store", f"file://{tmp_path}/data").setup()


async def test_data_may_be_moved_out_of_the_store_and_back(tmp_path: Path) -> None:
    root, data = tmp_path / "store", tmp_path / "data"
    reference = await filled(root)
    data.mkdir()
    shutil.move(root / "data", data / "data")
    shutil.move(root / "configs", data / "configs")
    async with LocalStorage(f"file://{root}", f"file://{data}") as storage:
        assert await storage.get_record_data(reference) == workload.payload("r1", 1)
    shutil.rmtree(root / "data", ignore_errors=True)
    shutil.rmtree(root / "configs", ignore_errors=True)
    for name in ("data", "configs"):
        shutil.move(data / name, root / name)
    async with LocalStorage(f"file://{root}") as storage:
        assert await storage.get_record_data(reference) == workload.payload("r1", 1)


async def test_directories_that_vanish_under_a_writer_are_made_anew(tmp_path: Path) -> None:
    reference = await filled(tmp_path)
    async with LocalStorage(f"file://{tmp_path}") as storage:
        await storage.save_record(workload.record("r1", 2), workload.payload("r1", 2))
        shutil.rmtree(tmp_path / "data")
        await storage.save_record(workload.record("r1", 3), workload.payload("r1", 3))
        assert await storage.get_record_data(reference) == workload.payload("r1", 3)


async def test_an_emptied_database_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "metadata.db").write_bytes(b"")
    with pytest.raises(StoreOpenError, match="there is data beside it"):
        await LocalStorage(f"file://{tmp_path}").setup()


async def test_a_lost_file_is_named(tmp_path: Path) -> None:
    reference = await filled(tmp_path)
    Path(reference).unlink()
    async with LocalStorage(f"file://{tmp_path}") as storage:
        with pytest.raises(DataNotFoundError, match=r"r1\.json"):
            await storage.get_record_data(reference)
        with pytest.raises(DataNotFoundError, match=r"r1\.json"):
            await storage.get_records_data([reference])


class _NotClosing:
    """A connection that fails when it is closed, as on a disk that has gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def close(self) -> None:
        self._connection.close()
        raise apsw.IOError("injected")


def test_a_connection_that_cannot_be_closed_gives_back_the_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "open_for_writing", lambda *given: _NotClosing(open_for_writing(*given)))
    data = FileSystemDataHandler(str(tmp_path))
    commit = GroupCommit(str(tmp_path), data, data.row_log, "power", None)
    with pytest.raises(apsw.IOError):
        commit.close()
    with HeldAlone(str(tmp_path), timeout=0):
        pass


def test_a_store_that_another_process_is_just_making_is_not_foreign(tmp_path: Path) -> None:
    """What tells a database of ours is read of one moment, and not half before and half after its schema is there."""
    path = str(tmp_path / "metadata.db")
    maker = apsw.Connection(path)
    maker.pragma("journal_mode", "wal")
    maker.execute("CREATE TABLE t (x); DROP TABLE t")  # so that it is no empty file

    class MadeMeanwhile(apsw.Connection):
        def pragma(self, name: str, *given: Any, **more: Any) -> Any:
            found = super().pragma(name, *given, **more)
            if name == "application_id":
                migrate(cast("Any", maker), path, alone=True)
            return found

    reader = MadeMeanwhile(path)
    try:
        connection_module.refuse_foreign(cast("Any", reader), path)
    finally:
        reader.close()
        maker.close()
