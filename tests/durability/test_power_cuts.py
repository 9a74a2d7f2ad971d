"""The power goes: a mounted file system is shut down under a running writer, mounted again, and compared.

What the writer had been told is durable, it wrote to a pipe that its parent reads; nothing of that may be missing.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from durability import processes, workload
from durability.file_systems import (
    FLUSH_ALL,
    FLUSH_LOG,
    FLUSH_NOTHING,
    Mounted,
    cannot_mount,
    make_image,
    mount_image,
)
from starfish_storage import StorageError

ORDINARY_CUTS, SLOW_CUTS = 3, 100


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, memory_path: Path) -> Iterator[Mounted]:
    kind: str = request.param
    reason = cannot_mount(f"mkfs.{kind}", "losetup")
    if reason:
        pytest.skip(reason)
    make_image(memory_path / "image", kind)
    try:
        mounted = mount_image(memory_path / "image", memory_path / "disk", kind)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{kind} cannot be mounted over a loop device here: {error.stderr.decode().strip()}")
    try:
        yield mounted
    finally:
        mounted.give_up()


def run_and_cut(disk: Mounted, log: Path, lines: int, how: int, durability: str, **variables: str) -> Path:
    """Cut a writer with four concurrent callers once it has logged so many lines; return its store, mounted again."""
    root = disk.path / f"store-{log.name}"
    arguments = ["-m", "durability.writer_process", str(root), durability, "4", "100000"]
    with processes.start(arguments, **variables) as process:
        assert process.stdout is not None
        read = [process.stdout.readline() for _ in range(lines)]
        assert all(read), process.stderr.read() if process.stderr else ""
        disk.cut(how)
        process.kill()
        rest = process.stdout.read()
    disk.unmount()
    disk.mount()
    log.write_text("".join(read) + rest[: rest.rfind("\n") + 1])
    return root


async def cut_often(disk: Mounted, directory: Path, cuts: int, seed: int) -> int:
    """Cut so many writers, check each, and return how many records they had acknowledged."""
    chance = random.Random(seed)
    acknowledged = 0
    for number in range(cuts):
        how = FLUSH_NOTHING if number % 5 < 3 else (FLUSH_LOG, FLUSH_ALL)[number % 2]
        log = directory / f"log{number}"
        root = run_and_cut(disk, log, chance.randint(2, 600), how, "power")
        acknowledged += await workload.check(root, log)
        shutil.rmtree(root)
    return acknowledged


async def test_a_power_cut_loses_nothing_that_was_acknowledged(disk: Mounted, memory_path: Path) -> None:
    assert await cut_often(disk, memory_path, ORDINARY_CUTS, seed=1) > 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_many_power_cuts_lose_nothing_that_was_acknowledged(disk: Mounted, memory_path: Path) -> None:
    assert await cut_often(disk, memory_path, SLOW_CUTS, seed=2) > 5000


async def test_a_power_cut_takes_what_was_saved_for_the_process_and_tears_nothing(
    disk: Mounted, memory_path: Path
) -> None:
    log = memory_path / "log"
    root = run_and_cut(disk, log, 400, FLUSH_NOTHING, "process")
    await workload.check_untorn(root)
    with pytest.raises((AssertionError, StorageError)):
        await workload.check(root, log)


async def test_the_cut_is_real(disk: Mounted, memory_path: Path, shim_library: Path) -> None:
    """With a disk that lies, whose syncs do nothing, acknowledged records are lost: the cut takes them."""
    log = memory_path / "log"
    variables = {"LD_PRELOAD": str(shim_library), "LYING_DISK": str(disk.path)}
    root = run_and_cut(disk, log, 400, FLUSH_NOTHING, "power", **variables)
    with pytest.raises((AssertionError, StorageError)):
        await workload.check(root, log)
