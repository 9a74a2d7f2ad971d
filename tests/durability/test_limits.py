"""Limits that the system sets: a full disk, a read-only one, the size of files, the number of descriptors."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from durability import processes, workload
from durability.file_systems import Mounted, cannot_mount, make_image, mount_image
from starfish_storage import LocalStorage, StorageError, StorageFullError, StoreOpenError
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.interface import Layout

SPACE = 4 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Mounted]:
    reason = cannot_mount()
    if reason:
        pytest.skip(reason)
    mounted = Mounted("tmpfs", tmp_path / "disk", "tmpfs", f"size={SPACE}")
    try:
        yield mounted
    finally:
        mounted.give_up()


async def save(storage: LocalStorage, uid: str, version: int) -> None:
    await storage.save_record(workload.record(uid, version), workload.payload(uid, version))


async def versions(storage: LocalStorage) -> dict[str, int]:
    """Return the version of every record, which its row and its data must agree on."""
    found: dict[str, int] = {}
    async for record in storage.iter_records(workload.MASTER):
        assert record.output_ref is not None
        data = await storage.get_record_data(record.output_ref)
        assert data == workload.payload(record.record_uid, data["version"])
        assert record.error_message == f"v{data['version']}"
        found[record.record_uid] = data["version"]
    return found


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest(small_disk: Mounted, layout: Layout) -> None:
    root = small_disk.path / "store"
    async with LocalStorage(f"file://{root}", layout=layout) as storage:
        await workload.prepare(storage)
        saved: dict[str, int] = {}
        refusals: list[StorageFullError] = []
        for number in range(2 * SPACE // 1000):
            uid, version = f"r{number % 50}", number // 50 + 1
            try:
                await save(storage, uid, version)
                saved[uid] = version
            except StorageFullError as error:
                refusals.append(error)
            if not refusals and number == 60:
                (small_disk.path / "ballast").write_bytes(bytes(_free(small_disk.path) - 300_000))
            if len(refusals) == 20:
                break
        assert len(refusals) == 20
        assert all(str(root) in error.path and error.errno == errno.ENOSPC for error in refusals)
        assert await versions(storage) == saved
        (small_disk.path / "ballast").unlink()
        await save(storage, "r0", 99)  # with room again, the same storage goes on
        saved["r0"] = 99
    async with LocalStorage(f"file://{root}") as reopened:
        assert await versions(reopened) == saved
        await workload.check_whole(reopened, root)


async def test_a_store_is_not_made_on_a_full_disk_and_is_once_there_is_room(small_disk: Mounted) -> None:
    ballast = small_disk.path / "ballast"
    ballast.write_bytes(bytes(_free(small_disk.path)))
    with pytest.raises(StorageFullError) as raised:
        await LocalStorage(f"file://{small_disk.path}/store").setup()
    assert raised.value.errno == errno.ENOSPC
    assert str(small_disk.path) in raised.value.path
    ballast.unlink()
    async with LocalStorage(f"file://{small_disk.path}/store") as storage:
        await workload.goes_on(storage)


async def test_no_store_is_begun_on_a_read_only_disk(small_disk: Mounted) -> None:
    (small_disk.path / "empty").mkdir()
    small_disk.remount("ro")
    for root in (small_disk.path / "empty", small_disk.path / "new"):
        with pytest.raises(StoreOpenError, match=r"(?i)read-only") as raised:
            await LocalStorage(f"file://{root}").setup()
        assert raised.value.path == str(root)
        assert raised.value.errno == errno.EROFS


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_a_disk_that_becomes_read_only_stops_writes_and_not_reads(memory_path: Path, layout: Layout) -> None:
    """As ext4 does when it finds itself damaged, whoever has files open."""
    reason = cannot_mount("mkfs.ext4", "losetup")
    if reason:
        pytest.skip(reason)
    make_image(memory_path / "image", "ext4")
    try:
        disk = mount_image(memory_path / "image", memory_path / "disk", "ext4", "loop,errors=remount-ro")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"ext4 cannot be mounted over a loop device here: {error.stderr.decode().strip()}")
    try:
        storage = LocalStorage(f"file://{disk.path}/store", layout=layout)
        await storage.setup()
        await workload.prepare(storage)
        await save(storage, "r1", 1)
        disk.fail_ext4()
        for _ in range(2):
            with pytest.raises(StorageError) as failed:
                await save(storage, "r1", 2)
            assert "Read-only" in str(failed.value)
        assert await versions(storage) == {"r1": 1}
        await storage.close()
        disk.unmount()
        disk.mount()
        async with LocalStorage(f"file://{disk.path}/store") as reopened:
            assert await versions(reopened) == {"r1": 1}
            await workload.goes_on(reopened)
    finally:
        disk.give_up()


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from durability import test_limits, workload
from starfish_storage import LocalStorage, StorageError
async def main(root, limit, number, layout):
    storage = LocalStorage("file://" + root, layout=layout)
    await storage.setup()
    await workload.prepare(storage)
    await test_limits.save(storage, "r1", 1)
    resource.setrlimit(getattr(resource, limit), (number, number))
    try:
        await test_limits.exceed(storage, limit)
    except StorageError as error:
        print(type(error).__name__, error.errno, root in error.path)
    assert (await test_limits.versions(storage))["r1"] == 1
    await test_limits.save(storage, "r2", 1)
    await storage.close()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
"""


async def exceed(storage: LocalStorage, limit: str) -> None:
    """Save what the limit forbids."""
    if limit == "RLIMIT_FSIZE":
        await storage.save_record(workload.record("r1", 2), {"text": "x" * (2 << 20)})
        return
    descriptors = []
    SPARES.let_go()  # with some in reserve, it would be saved: see `generation/test_descriptors.py`
    try:
        while True:
            descriptors.append(open("/dev/null"))  # noqa: SIM115 (kept open on purpose)
    except OSError:
        pass
    try:
        await save(storage, "r1", 2)
    finally:
        for descriptor in descriptors:
            descriptor.close()
        SPARES.hold()


@pytest.mark.parametrize(
    ("limit", "number", "expected", "layout"),
    [
        ("RLIMIT_FSIZE", 1 << 20, f"StorageFullError {errno.EFBIG} True", "files"),
        ("RLIMIT_FSIZE", 1 << 20, f"StorageFullError {errno.EFBIG} True", "packed"),
        ("RLIMIT_NOFILE", 60, f"StorageIOError {errno.EMFILE} True", "files"),  # into a pack, it would be saved
    ],
)
async def test_a_limit_of_the_process_refuses_one_call_and_no_other(
    tmp_path: Path, limit: str, number: int, expected: str, layout: Layout
) -> None:
    assert hasattr(resource, limit)
    status, out, errors = processes.run(["-c", LIMITED, str(tmp_path), limit, str(number), layout])
    assert status == 0, errors
    assert out.strip() == expected
    async with LocalStorage(f"file://{tmp_path}") as storage:
        assert await versions(storage) == {"r1": 1, "r2": 1}


async def test_a_store_is_used_with_few_descriptors(tmp_path: Path) -> None:
    """Far fewer than there are shards: not all of their directories can be kept open."""
    script = (
        "import asyncio, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "from durability import test_limits, workload\n"
        "from starfish_storage import LocalStorage\n"
        "async def main():\n"
        "    async with LocalStorage('file://' + sys.argv[1]) as storage:\n"
        "        await workload.prepare(storage)\n"
        "        await asyncio.gather(*(test_limits.save(storage, f'r{n}', 1) for n in range(300)))\n"
        "        assert len(await test_limits.versions(storage)) == 300\n"
        "asyncio.run(main())"
    )
    status, _, errors = processes.run(["-c", script, str(tmp_path)])
    assert status == 0, errors


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
