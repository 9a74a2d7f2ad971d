"""Places that cannot be a store: the exact error, and everything there left as it was."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from starfish_storage import LocalStorage, Project
from starfish_storage.errors import (
    ForeignStoreError,
    NotSetUpError,
    StorageClosedError,
    StorageError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.testing.samples import a_record, save_run
from starfish_storage.testing.suites.suite import refused
from unit.store_on_disk import bytes_of, rows_of

PAGE = 4096


async def refusal(directory: Path, *, in_use: bool = False) -> StorageError:
    """Return the error of opening a store, having seen that nothing there was changed and nothing left open.

    Args:
        directory: the store.
        in_use: this process has the database open itself; SQLite then closes its files only with that.
    """
    before, descriptors = untouched(directory), open_descriptors()
    storage = LocalStorage(directory.as_uri())
    with pytest.raises(StorageError) as caught:
        await storage.setup()
    with refused(NotSetUpError, "setup()"):
        await storage.save_project(Project(name="never"))
    assert untouched(directory) == before
    await storage.close()
    assert untouched(directory) == before
    assert in_use or open_descriptors() <= descriptors
    assert "\n" not in str(caught.value)
    return caught.value


def untouched(directory: Path) -> dict[str, bytes | None]:
    """Return the content of everything in a directory, but for what reading alone leaves behind.

    Whoever reads a database with a log, writes which part of the log it reads into the log's index, and makes both
    files if they are not there.
    """
    return {
        name: content
        for name, content in bytes_of(directory).items()
        if name != "metadata.db-shm" and (name, content) != ("metadata.db-wal", b"")
    }


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


async def make_store(directory: Path) -> None:
    """Make a store with some records."""
    async with LocalStorage(directory.as_uri(), durability="process") as storage:
        await save_run(storage)
        await storage.save_records((a_record(f"r{number}"), {"n": number}) for number in range(200))


def make_database(directory: Path, script: str) -> None:
    connection = apsw.Connection(str(directory / "metadata.db"))
    for statement in script.split(";"):  # of several at a time, those behind one that returns rows are not run
        connection.execute(statement).fetchall()
    connection.close()


async def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    storage = LocalStorage((tmp_path / "store").as_uri())
    with refused(StoreOpenError, "is a file; name a directory"):
        await storage.setup()
    assert bytes_of(tmp_path) == {"store": b"mine"}


async def test_a_root_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    storage = LocalStorage((tmp_path / "file/a/store").as_uri())
    with refused(StoreOpenError, "is a file; name a directory"):
        await storage.setup()
    assert bytes_of(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("part", ["data", "configs", "staging"])
async def test_a_part_of_the_store_that_is_a_file(tmp_path: Path, part: str) -> None:
    (tmp_path / part).write_text("mine")
    storage = LocalStorage(tmp_path.as_uri())
    with pytest.raises(StorageError, match=part):
        await storage.setup()
    await storage.close()
    assert (tmp_path / part).read_text() == "mine"


async def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data-of-store").write_text("mine")
    storage = LocalStorage((tmp_path / "store").as_uri(), (tmp_path / "data-of-store").as_uri())
    with refused(StoreOpenError, "is a file; name a directory"):
        await storage.setup()
    assert (tmp_path / "data-of-store").read_text() == "mine"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a directory that nobody can write to, root neither")
async def test_a_root_that_cannot_be_made() -> None:
    storage = LocalStorage("file:///proc/self/store")
    with refused(StoreOpenError, "the directory cannot be made"):
        await storage.setup()


# Root may write anywhere. So it first becomes somebody else, in a process of its own, once a store has been opened:
# what is imported on the way may lie where only root can read.
_AS_NOBODY = """
import asyncio, os, sys
from starfish_storage import LocalStorage, StorageError
async def main(warm_up, *uris):
    async with LocalStorage(warm_up):
        pass
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for uri in uris:
        try:
            await LocalStorage(uri).setup()
            print("opened")
        except StorageError as error:
            print(type(error).__name__, error)
asyncio.run(main(*sys.argv[1:]))
"""


def test_a_root_that_is_not_writable(tmp_path: Path, open_path: Path) -> None:
    directory = open_path / "not-writable"
    directory.mkdir()
    (directory / "store").mkdir()
    modes = {directory / "store": 0o555, directory: 0o555}
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        roots = [directory / "store", directory / "new", directory / "store/new"]
        finished = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, tmp_path.as_uri(), *(root.as_uri() for root in roots)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    finally:
        for path in modes:
            path.chmod(0o755)
    lines = finished.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["StoreOpenError"] * 3, finished.stdout
    for line, root in zip(lines, roots, strict=True):
        assert str(root) in line
    assert "change its permissions or name another" in lines[0]
    assert bytes_of(directory) == {"store": None}


@pytest.mark.parametrize(
    "content",
    [b"not a database", b"x" * 100_000, b"SQLite format 3\0" + b"x" * 8192, b"{}", b"\0" * PAGE],
    ids=["text", "long text", "a forged header", "JSON", "zeros"],
)
async def test_a_database_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.db").write_bytes(content)
    error = await refusal(tmp_path)
    assert type(error) is ForeignStoreError, str(error)
    assert str(tmp_path / "metadata.db") in str(error)
    assert "untouched" in str(error)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE something (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 3",
        "PRAGMA journal_mode = wal; CREATE TABLE records (record_uid); INSERT INTO records VALUES ('mine')",
        "CREATE VIEW v AS SELECT 1",
    ],
)
async def test_another_programs_database(tmp_path: Path, script: str) -> None:
    make_database(tmp_path, script)
    error = await refusal(tmp_path)
    assert type(error) is ForeignStoreError, str(error)
    assert "another program's SQLite database; name another directory" in str(error)


async def test_another_programs_database_that_is_in_use(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "metadata.db"))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
    error = await refusal(tmp_path, in_use=True)
    assert type(error) is ForeignStoreError, str(error)
    connection.execute("INSERT INTO mine VALUES (2)")
    connection.close()


def leave_log_behind(source: Path, target: Path, script: str) -> None:
    """Copy a database as a kill leaves it: with changes that stand in its log only."""
    connection = apsw.Connection(str(source / "metadata.db"))
    connection.pragma("journal_mode", "wal")
    connection.execute(script)
    target.mkdir()
    for name in ("metadata.db", "metadata.db-wal"):
        (target / name).write_bytes((source / name).read_bytes())
    connection.close()


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
async def test_a_newer_store(tmp_path: Path, killed: bool) -> None:
    store = tmp_path / "store"
    await make_store(store)
    newer = f"PRAGMA user_version = {latest_version() + 1}"
    if killed:
        leave_log_behind(store, tmp_path / "copy", newer)
        store = tmp_path / "copy"
    else:
        make_database(store, newer)
    error = await refusal(store)
    assert type(error) is StoreVersionError, str(error)
    assert str(store / "metadata.db") in str(error)
    assert f"format {latest_version() + 1}" in str(error)
    assert "upgrade starfish-storage" in str(error)


async def test_another_programs_database_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    leave_log_behind(tmp_path / "source", tmp_path / "copy", "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
    error = await refusal(tmp_path / "copy")
    assert type(error) is ForeignStoreError, str(error)


async def test_a_far_newer_store_of_which_nothing_is_known(tmp_path: Path) -> None:
    # What a later release keeps in there is none of our business.
    await make_store(tmp_path)
    make_database(tmp_path, "PRAGMA user_version = 1000; ALTER TABLE records RENAME TO artifacts")
    error = await refusal(tmp_path)
    assert type(error) is StoreVersionError, str(error)
    assert "format 1000" in str(error)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2 // PAGE * PAGE + 100]


def without_schema(content: bytes) -> bytes:
    return content[:100] + b"\xff" * (PAGE - 100) + content[PAGE:]


def with_wrong_page_size(content: bytes) -> bytes:
    return content[:16] + b"\x03\x07" + content[18:]


@pytest.mark.parametrize("damage", [cut, without_schema, with_wrong_page_size])
async def test_a_corrupt_database(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    await make_store(tmp_path)
    path = tmp_path / "metadata.db"
    path.write_bytes(damage(path.read_bytes()))

    async def read_everything() -> None:
        async with LocalStorage(tmp_path.as_uri()) as storage:
            await storage.get_records_for_master_job("master-1")
            await storage.list_projects()
            await storage.list_execution_jobs("master-1")

    with pytest.raises(StorageError) as caught:
        await read_everything()
    assert type(caught.value) in (StoreDamagedError, ForeignStoreError), str(caught.value)
    assert str(path) in str(caught.value)


async def test_a_database_whose_first_page_is_damaged_is_left_alone(tmp_path: Path) -> None:
    await make_store(tmp_path)
    path = tmp_path / "metadata.db"
    path.write_bytes(without_schema(path.read_bytes()))
    error = await refusal(tmp_path)
    assert type(error) is StoreDamagedError, str(error)


async def test_a_lost_database_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    # The data is still there; an empty database beside it would make it unreachable, and its ids free.
    await make_store(tmp_path)
    for path in tmp_path.glob("metadata.db*"):
        path.unlink()
    before = {name for name, content in bytes_of(tmp_path).items() if content is not None}
    storage = LocalStorage(tmp_path.as_uri())
    with refused(StoreOpenError, "restore a backup"):
        await storage.setup()
    await storage.close()
    after = {name for name, content in bytes_of(tmp_path).items() if content}
    assert {name for name in before if name.startswith("data/")} <= after
    assert (tmp_path / "metadata.db").exists() is False or (tmp_path / "metadata.db").stat().st_size == 0


async def test_a_database_that_is_a_link(tmp_path: Path) -> None:
    await make_store(tmp_path / "real")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/metadata.db").symlink_to(tmp_path / "real/metadata.db")
    before = bytes_of(tmp_path / "real")
    storage = LocalStorage((tmp_path / "store").as_uri())
    with pytest.raises(StorageError, match=r"metadata\.db"):
        await storage.setup()
    await storage.close()
    assert bytes_of(tmp_path / "real") == before


async def test_a_root_that_is_reached_through_a_link_is_fine(tmp_path: Path) -> None:
    await make_store(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    async with LocalStorage((tmp_path / "link").as_uri()) as storage:
        reference = await storage.save_record(a_record("through-link"), {"a": 1})
        assert reference.startswith(f"{tmp_path}/link/data/")
        assert await storage.get_record_data(reference) == {"a": 1}
        assert await storage.get_record_data(reference.replace("/link/", "/real/")) == {"a": 1}


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "metadata.db").touch()
    async with LocalStorage(tmp_path.as_uri()) as storage:
        await storage.save_project(Project(name="first"))
    assert len(rows_of(tmp_path)["projects"]) == 1


async def test_a_refused_store_can_be_opened_once_it_is_mended(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    storage = LocalStorage((tmp_path / "store").as_uri())
    with refused(StoreOpenError):
        await storage.setup()
    (tmp_path / "store").unlink()
    async with storage:
        await storage.save_project(Project(name="first"))
    with refused(StorageClosedError):
        await storage.list_projects()


async def test_two_setups_at_once_open_one_store(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path.as_uri())
    await asyncio.gather(*(storage.setup() for _ in range(5)))
    await storage.save_project(Project(name="first"))
    await asyncio.gather(*(storage.close() for _ in range(5)))
    async with LocalStorage(tmp_path.as_uri()) as again:
        assert len(await again.list_projects()) == 1
