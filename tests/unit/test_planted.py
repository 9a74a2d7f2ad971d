"""Links, pipes, devices and directories planted in a store: nothing outside is read or written, and nothing hangs."""

import os
import shutil
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from migrations.stores import unpack
from starfish_storage import LocalStorage, Record
from starfish_storage.errors import InvalidReferenceError, StorageError
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    PROJECT,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import collected, refused
from unit.store_on_disk import bytes_of

pytestmark = pytest.mark.timeout(60)

DATA, CONFIG = "data/b7/record-1.json", "configs/master-1.request.json"
FILES = [
    *(DATA, CONFIG, "metadata.db", "metadata.db-wal", "metadata.db-shm", "metadata.db-journal"),
    *("writer.lock", "session.lock"),
]
DIRECTORIES = ["data", "data/b7", "configs", "staging"]
BEYOND = "from-beyond"
OUTSIDE = f'{{"came": "{BEYOND}"}}\n'.encode()


def link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / ("directory" if path.name in ("data", "b7", "configs", "staging") else "file"))


def link_to_nothing(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "nothing")


def link_to_zeros(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, outside: Path) -> None:
    path.mkdir()
    (path / "something").write_bytes(OUTSIDE)


def socket_file(path: Path, outside: Path) -> None:
    # The names of sockets are short: made in the directory itself.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


def device(path: Path, outside: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    except OSError as error:
        pytest.skip(f"a device cannot be made here: {error.strerror}")


def text(path: Path, outside: Path) -> None:
    path.write_bytes(OUTSIDE)


def hard_link(path: Path, outside: Path) -> None:
    os.link(outside / "file", path)


CASES = [
    *((place, kind) for place in FILES for kind in (link, link_to_nothing, link_to_zeros, pipe, socket_file, device)),
    *((place, directory) for place in FILES),
    *((place, kind) for place in DIRECTORIES for kind in (link, link_to_nothing, pipe, socket_file, device, text)),
    *((place, hard_link) for place in (DATA, CONFIG, "writer.lock", "session.lock")),
    *((place, text) for place in ("writer.lock", "session.lock")),
]


def calls(storage: LocalStorage) -> list[Callable[[], Awaitable[Any]]]:
    """Return every call of a storage, those that read first, and those that delete last."""
    borrowed = a_record("borrower", output_ref=DATA)
    return [
        lambda: storage.get_request_config(CONFIG),
        lambda: storage.get_record_data(DATA),
        lambda: storage.get_records_data([DATA, DATA]),
        storage.list_projects,
        storage.list_master_jobs,
        lambda: storage.get_project(PROJECT),
        lambda: storage.get_master_job(MASTER_JOB),
        lambda: storage.get_execution_job(JOB),
        lambda: storage.get_record_metadata(RECORD),
        lambda: storage.list_execution_jobs(MASTER_JOB),
        lambda: storage.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, "h", "completed"),
        lambda: storage.completed_config_hashes(MASTER_JOB),
        lambda: storage.get_records_for_master_job(MASTER_JOB),
        lambda: storage.count_records_for_master_job(MASTER_JOB),
        lambda: storage.list_record_metadata(MASTER_JOB, JOB),
        lambda: collected(storage.iter_records(MASTER_JOB)),
        lambda: storage.log_record_metadata(borrowed),
        lambda: storage.save_project(a_project()),
        lambda: storage.log_master_job_start(a_master_job(storage, "m2")),
        lambda: storage.update_master_job_status(MASTER_JOB, "running", at(1)),
        lambda: storage.log_master_job_end(MASTER_JOB, "completed", {}, at(1), at(2)),
        lambda: storage.log_execution_job_start(an_execution_job("j2")),
        lambda: storage.log_execution_job_end(JOB, "completed", {}, at(1), at(2)),
        lambda: storage.save_request_config(CONFIG, {"b": 2}),
        lambda: storage.save_record_data(RECORD, MASTER_JOB, JOB, {"a": 2}),
        lambda: storage.save_record(a_record(), {"a": 3}),
        lambda: storage.save_records([(a_record(), {"a": 4}), (a_record("beside"), {"a": 4})]),
        lambda: storage.get_record_data(DATA),
        lambda: storage.delete_master_job(MASTER_JOB),
        lambda: storage.delete_project(PROJECT, cascade=True),
    ]


async def every_call(storage: LocalStorage) -> tuple[list[Any], list[StorageError]]:
    """Make every call, and return what they return and what they raise, which is nothing but storage errors."""
    returned: list[Any] = []
    raised: list[StorageError] = []
    for call in calls(storage):
        try:
            returned.append(await call())
        except StorageError as error:
            raised.append(error)
    return returned, raised


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the store, in which everything is what a planted link wants."""
    outside = tmp_path / "outside"
    for place in ("", "b7"):
        (outside / "directory" / place).mkdir(parents=True)
    for place in ("file", "directory/record-1.json", "directory/b7/record-1.json", "directory/master-1.request.json"):
        (outside / place).write_bytes(OUTSIDE)
    return outside


async def make_store(root: Path) -> None:
    async with LocalStorage(root.as_uri()) as storage:
        await save_run(storage)
        await storage.save_request_config(CONFIG, {"a": 1})
        await storage.save_record(a_record(), {"a": 1})


@pytest.mark.parametrize(("place", "plant"), CASES, ids=lambda given: getattr(given, "__name__", given))
async def test_nothing_outside_is_read_or_written(
    tmp_path: Path, root: Path, outside: Path, place: str, plant: Callable[[Path, Path], None]
) -> None:
    await make_store(root)
    before = bytes_of(outside)
    if os.path.lexists(root / place):
        shutil.move(root / place, tmp_path / "kept")
    plant(root / place, outside)

    storage = LocalStorage(root.as_uri())
    refused = await refusal_of_setup(storage)
    if refused:
        assert str(root / place) in refused
    else:
        returned, raised = await every_call(storage)
        if plant is not hard_link:  # a file of two names is a file
            assert BEYOND not in repr(returned)
            assert BEYOND not in repr(raised)
    await storage.close()

    assert bytes_of(outside) == before
    assert not (outside / "nothing").exists()
    if place not in (DATA, CONFIG, "data/b7"):
        assert refused, "a store in which something is planted is not opened"
    if refused:
        # As good as before once that is removed.
        assert os.path.lexists(root / place), "what was refused stays as it was"
        remove(root / place)
        if os.path.lexists(tmp_path / "kept"):
            shutil.move(tmp_path / "kept", root / place)
        async with LocalStorage(root.as_uri()) as storage:
            assert await storage.get_record_data(DATA) == {"a": 1}
            assert await storage.get_request_config(CONFIG) == {"a": 1}


async def refusal_of_setup(storage: LocalStorage) -> str:
    try:
        await storage.setup()
    except StorageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("plant", [link, link_to_nothing, link_to_zeros, pipe, socket_file, device, directory])
async def test_only_regular_files_are_read(root: Path, outside: Path, plant: Callable[[Path, Path], None]) -> None:
    await make_store(root)
    async with LocalStorage(root.as_uri()) as storage:
        for place in (DATA, CONFIG):
            (root / place).unlink()
            plant(root / place, outside)
        for read in (
            storage.get_record_data(DATA),
            storage.get_records_data([DATA]),
            storage.get_request_config(CONFIG),
        ):
            with refused(InvalidReferenceError, "regular file"):
                await read


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        (path / "something").unlink()
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("plant", [link, link_to_nothing, pipe, socket_file, device, text])
@pytest.mark.parametrize("place", ["data", "data/b7", "configs", "staging"])
async def test_nothing_outside_is_reached_through_what_is_planted_under_an_open_store(
    tmp_path: Path, root: Path, outside: Path, place: str, plant: Callable[[Path, Path], None]
) -> None:
    before = bytes_of(outside)
    async with LocalStorage(root.as_uri()) as storage:
        await save_run(storage)
        await storage.save_record(a_record(), {"a": 1})
        shutil.move(root / place, tmp_path / "kept")
        plant(root / place, outside)
        returned, _ = await every_call(storage)
        assert BEYOND not in repr(returned)
    assert bytes_of(outside) == before


SUSPECTS = [
    *("/proc/self/environ", "/proc/self/mem", "/dev/zero", "/dev/stdin", "/dev/fd/0", "/etc/shadow", "~/.ssh/id_rsa"),
    *("file:///proc/self/environ", "data/../../../../../proc/self/environ", "data/..", "data/../metadata.db"),
    *("data/b7/../../metadata.db", "data/b7/../../../outside/file", "configs/../../outside/file", "//etc/passwd"),
    *("data/b7/%2e%2e/%2e%2e/outside/file", "data\\..\\..\\outside\\file", "data/b7/record-1.json/../../../x.json"),
    *("{root}/../outside/file", "{root}/data/b7/../../../outside/file", "{root}/metadata.db", "{root}/writer.lock"),
    *("{root}", "{root}/", "{root}/data/b7/", "{outside}/file", "{outside}/directory/b7/record-1.json"),
    *("data/b7/record-1.json\0.txt", "data/b7/\x00", "data/b7/record-1.json\n", "data/b7/", "data/b7/.json"),
]


@pytest.mark.parametrize("reference", SUSPECTS, ids=ascii)
async def test_references_that_lead_elsewhere(root: Path, outside: Path, reference: str) -> None:
    reference = reference.format(root=root, outside=outside)
    await make_store(root)
    before = bytes_of(outside)
    async with LocalStorage(root.as_uri()) as storage:
        lost = a_record("lost", output_ref=reference)
        for call in (
            lambda: storage.get_record_data(reference),
            lambda: storage.get_records_data([DATA, reference]),
            lambda: storage.get_request_config(reference),
            lambda: storage.save_request_config(reference, {"a": 1}),
            lambda: storage.log_record_metadata(lost),
        ):
            with pytest.raises(InvalidReferenceError) as caught:
                await call()
            assert ascii(reference.removeprefix(f"{root}/"))[1:60].rstrip("'") in str(caught.value)
        assert await storage.get_record_metadata("lost") is None
    assert bytes_of(outside) == before


async def test_a_reference_in_a_damaged_row_leads_nowhere(root: Path, outside: Path) -> None:
    await make_store(root)
    rows = apsw.Connection(str(root / "metadata.db"))
    for number, key in enumerate(("../outside/file", "/proc/self/environ", "data/../../outside/file", "metadata.db")):
        rows.execute(
            "INSERT INTO records SELECT ?, job_id, master_job_id, status, ?, start_time, end_time, last_update_time, "
            "error_message, data_sha256, NULL, NULL, NULL FROM records WHERE record_uid = 'record-1'",
            (f"forged-{number}", key),
        )
    rows.close()
    async with LocalStorage(root.as_uri()) as storage:
        records: list[Record] = await storage.get_records_for_master_job(MASTER_JOB)
        forged = [record for record in records if record.record_uid != RECORD]
        assert len(forged) == 4
        for record in forged:
            with pytest.raises(InvalidReferenceError):
                await storage.get_record_data(str(record.output_ref))
        await storage.delete_master_job(MASTER_JOB)
    assert (outside / "file").read_bytes() == OUTSIDE
    assert (root / "metadata.db").exists()


@pytest.mark.parametrize("plant", [link, link_to_nothing, link_to_zeros, pipe, socket_file, device, directory])
@pytest.mark.parametrize("place", ["metadata.db-wal", "metadata.db-shm", "metadata.db-journal"])
async def test_nothing_is_copied_from_beside_a_store_of_starfish(
    root: Path, outside: Path, place: str, plant: Callable[[Path, Path], None]
) -> None:
    storage = unpack("starfish-0.1.3", root)
    before = bytes_of(outside)
    plant(root / place, outside)
    refused = await refusal_of_setup(storage)
    assert str(root / place) in refused
    await storage.close()
    assert bytes_of(outside) == before
    remove(root / place)
    async with storage:
        assert await storage.list_projects()
