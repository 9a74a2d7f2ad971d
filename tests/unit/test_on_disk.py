"""What lies on disk: nothing absolute, nothing that others can read, and nothing that is followed out of the store."""

import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from starfish_storage import LocalStorage
from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StorageError
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    RECORD,
    a_master_job,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import refused
from unit.store_on_disk import data_of, rows_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def storage(root: Path) -> AsyncIterator[LocalStorage]:
    async with LocalStorage(root.as_uri(), durability="process") as storage:
        await save_run(storage)
        yield storage


def outside_of(root: Path) -> Path:
    """Make a directory beside the store with something that looks like data."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('{"secret": true}')
    return outside


def file_of(reference: str) -> Path:
    return Path(reference)


async def test_nothing_that_is_stored_is_absolute(storage: LocalStorage, root: Path) -> None:
    job = a_master_job(storage, "m2", storage_uri=storage.storage_uri)
    await storage.log_master_job_start(job)
    config = await storage.save_request_config(job.request_config_ref, {"model": "m"})
    reference = await storage.save_record(a_record(), {"answer": 42})
    await storage.log_record_metadata(a_record("r2", output_ref=reference))
    moved = "/where/it/lay/before/" + "/".join(file_of(reference).parts[-3:])
    await storage.log_record_metadata(a_record("r3", output_ref=moved))
    await storage.close()
    for path in (path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert str(root).encode() not in content, path
        assert b"/where/it/lay/before" not in content, path
    assert file_of(config).is_relative_to(root)
    assert file_of(reference).is_relative_to(root)


async def test_files_are_their_owners_only(tmp_path: Path) -> None:
    before = os.umask(0)  # whatever others may do elsewhere
    try:
        root = tmp_path / "new" / "store"
        async with LocalStorage(root.as_uri(), (tmp_path / "data").as_uri()) as storage:
            await save_run(storage)
            await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {})
            await storage.save_record(a_record(), {})
            for place in (root, tmp_path / "data"):
                for path in (place, *place.rglob("*")):
                    mode = stat.S_IMODE(path.stat().st_mode)
                    assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
    finally:
        os.umask(before)


async def test_data_lies_where_the_format_says(storage: LocalStorage, root: Path) -> None:
    await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"model": "ü"})
    await storage.save_record(a_record("r1"), {"answer": [1, 2.5]})
    assert {name: json.loads(content) for name, content in data_of(root).items()} == {
        "configs/master-1.request.json": {"model": "ü"},
        "data/82/r1.json": {"answer": [1, 2.5]},
    }


async def test_what_an_end_reports_is_kept_whole(storage: LocalStorage, root: Path) -> None:
    counts: dict[str, Any] = {"completed": 1, "retried": 7, "by model": {"a": [1, None]}}
    await storage.log_execution_job_end(JOB, "completed", counts, at(1), at(2))
    await storage.log_master_job_end(MASTER_JOB, "completed", counts, at(1), at(2))
    await storage.close()
    rows = rows_of(root)
    for table in ("execution_jobs", "master_jobs"):
        (row,) = rows[table]
        assert isinstance(row, tuple)
        assert counts in [json.loads(value) for value in row if isinstance(value, str) and value.startswith("{")]


async def test_times_are_text_of_fixed_width(storage: LocalStorage, root: Path) -> None:
    await storage.log_execution_job_start(
        an_execution_job(creation_time="0001-01-02T00:00:00", start_time=at(0.000001))
    )
    await storage.close()
    (row,) = rows_of(root)["execution_jobs"]
    assert isinstance(row, tuple)
    assert "0001-01-02T00:00:00.000000Z" in row
    assert "2026-01-31T12:00:00.000001Z" in row


async def test_a_planted_link_is_not_read(storage: LocalStorage, root: Path) -> None:
    outside = outside_of(root)
    reference = await storage.save_record(a_record(), {"a": 1})
    file_of(reference).unlink()
    file_of(reference).symlink_to(outside / "secret.json")
    with refused(InvalidReferenceError, "not a regular file"):
        await storage.get_record_data(reference)
    with refused(InvalidReferenceError, "not a regular file"):
        await storage.get_records_data([reference])
    with refused(DataNotFoundError, reference):
        await storage.log_record_metadata(a_record("r2", output_ref=reference))


async def test_a_planted_link_is_replaced_and_not_written_through(storage: LocalStorage, root: Path) -> None:
    outside = outside_of(root)
    reference = await storage.save_record(a_record(), {"a": 1})
    file_of(reference).unlink()
    file_of(reference).symlink_to(outside / "secret.json")
    await storage.save_record(a_record(), {"a": 2})
    assert await storage.get_record_data(reference) == {"a": 2}
    assert not file_of(reference).is_symlink()
    assert (outside / "secret.json").read_text() == '{"secret": true}'


@pytest.mark.parametrize("part", ["data", "configs", "data/b7"])
async def test_a_planted_directory_link_is_not_followed(root: Path, part: str) -> None:
    outside = outside_of(root)
    async with LocalStorage(root.as_uri()) as storage:
        await save_run(storage)
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {})
        await storage.save_record(a_record(), {"a": 1})
        assert (root / "data/b7/record-1.json").exists()
    (root / part).rename(root / "moved-away")
    (root / part).symlink_to(outside)
    (outside / "record-1.json").write_text("{}")
    (outside / "master-1.request.json").write_text("{}")
    before = sorted(outside.iterdir())

    async def read_and_write() -> None:
        async with LocalStorage(root.as_uri()) as storage:
            if part == "configs":
                await storage.get_request_config(storage.generate_request_config_path(MASTER_JOB))
            await storage.get_record_data("data/b7/record-1.json")

    async def write() -> None:
        async with LocalStorage(root.as_uri()) as storage:
            await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"b": 2})
            await storage.save_record(a_record(), {"a": 2})

    for attempt in (read_and_write, write):
        with pytest.raises(StorageError):
            await attempt()
    assert sorted(outside.iterdir()) == before
    assert (outside / "record-1.json").read_text() == "{}"


async def test_what_is_no_file_is_not_waited_for(storage: LocalStorage) -> None:
    pipe, directory = [await storage.save_record(a_record(uid), {"a": 1}) for uid in ("pipe", "directory")]
    for reference in (pipe, directory):
        file_of(reference).unlink()
    os.mkfifo(pipe)
    file_of(directory).mkdir()
    for reference in (pipe, directory):
        with pytest.raises(StorageError):
            await storage.get_record_data(reference)
        with refused(DataNotFoundError):
            await storage.log_record_metadata(a_record("r2", output_ref=reference))


async def test_what_cannot_be_replaced_fails_alone_and_changes_nothing(storage: LocalStorage) -> None:
    reference = await storage.save_record(a_record("in-the-way"), {"a": 1})
    file_of(reference).unlink()
    file_of(reference).mkdir()
    (file_of(reference) / "something").touch()
    changed = a_record("in-the-way", status="failed")
    with pytest.raises(StorageError):
        await storage.save_record(changed, {"a": 2})
    with pytest.raises(StorageError):
        await storage.save_records([(a_record("beside"), {"b": 1}), (changed, {"a": 2})])
    found = await storage.get_record_metadata("in-the-way")
    assert found is not None
    assert found.status == "completed"
    assert await storage.get_record_metadata("beside") is None
    assert await storage.get_record_data(await storage.save_record(a_record(RECORD), {"c": 1})) == {"c": 1}
