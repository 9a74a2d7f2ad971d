"""The power goes: a mounted file system is shut down under a running writer, mounted again, and compared.

What the writer had been told is durable, it wrote to a pipe; nothing that its parent had read before the cut may be
missing. What came later does not count: when the power goes nobody is left to be told anything, but a process outlives
the shutdown of its file system, and is told of syncs that were never done (ADR 0021).
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from durability import processes, syncing_process, workload
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

logger = logging.getLogger(__name__)

LAYOUTS = ("packed", "files")
ORDINARY_CUTS, SLOW_CUTS, CUTS_WITHOUT_THE_LIBRARY = 4, 100, 30
TRIES = 5


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


def cut_under(disk: Mounted, arguments: list[str], lines: int, how: int, **variables: str) -> tuple[bytes, bytes]:
    """Cut under a process that has printed so many lines; return what was read before the cut, and what came after."""
    with processes.start(arguments, **variables) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()  # the text layer would read ahead, and hide what was there before the cut
        before = b""
        while before.count(b"\n") < lines:
            more = os.read(pipe, 1 << 16)
            assert more, process.stderr.read() if process.stderr else ""
            before += more
        disk.cut(how)
        process.kill()
        after = b"".join(iter(lambda: os.read(pipe, 1 << 16), b""))
    disk.unmount()
    disk.mount()
    return before, after


def run_and_cut(disk: Mounted, log: Path, lines: int, how: int, durability: str, layout: str, **variables: str) -> Path:
    """Cut a writer with four concurrent callers once it has logged so many lines; return its store, mounted again."""
    root = disk.path / f"store-{log.name}"
    arguments = ["-m", "durability.writer_process", str(root), durability, "4", "100000", layout]
    before, after = cut_under(disk, arguments, lines, how, **variables)
    log.write_bytes(before)
    workload.Log(log).write("cut", {})
    with log.open("ab") as file:
        file.write(after)
    return root


async def cut_often(disk: Mounted, directory: Path, cuts: int, seed: int) -> int:
    """Cut so many writers, check each, and return how many records they had acknowledged."""
    chance = random.Random(seed)
    acknowledged = 0
    for number in range(cuts):
        how = FLUSH_NOTHING if number % 5 < 3 else (FLUSH_LOG, FLUSH_ALL)[number % 2]
        log = directory / f"log{number}"
        layout = LAYOUTS[number % 2]
        root = run_and_cut(disk, log, chance.randint(2, 600), how, "power", layout)
        acknowledged += await workload.check(root, log, layout)
        shutil.rmtree(root)
    logger.info("%d cuts, %d records acknowledged", cuts, acknowledged)
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
    for number in range(TRIES):  # a background sync may have come just before a cut
        log = memory_path / f"log{number}"
        layout = LAYOUTS[(number + (disk.kind == "xfs")) % 2]
        root = run_and_cut(disk, log, 400, FLUSH_NOTHING, "process", layout)
        await workload.check_untorn(root, layout)
        try:
            await workload.check(root, log)
        except (AssertionError, StorageError):
            return
    pytest.fail("no cut took anything")


async def test_the_cut_is_real(disk: Mounted, memory_path: Path, shim_library: Path) -> None:
    """With a disk that lies, whose syncs do nothing, acknowledged records are lost: the cut takes them."""
    log = memory_path / "log"
    variables = {"LD_PRELOAD": str(shim_library), "LYING_DISK": str(disk.path)}
    root = run_and_cut(disk, log, 400, FLUSH_NOTHING, "power", LAYOUTS[disk.kind == "xfs"], **variables)
    with pytest.raises((AssertionError, StorageError)):
        await workload.check(root, log)


@pytest.mark.slow
@pytest.mark.parametrize("how", [FLUSH_ALL, FLUSH_LOG, FLUSH_NOTHING])
def test_a_cut_takes_nothing_that_any_program_had_synced_before(disk: Mounted, how: int) -> None:
    """What the other tests rest on, without the library; the log says how many syncs the kernel did not do."""
    chance = random.Random(how)
    synced = false = 0
    for _ in range(CUTS_WITHOUT_THE_LIBRARY):
        arguments = ["-m", "durability.syncing_process", str(disk.path)]
        before, after = cut_under(disk, arguments, chance.randint(2, 600), how)
        assert all(syncing_process.is_there(disk.path, line) for line in before.splitlines())
        synced += before.count(b"\n")
        false += sum(not syncing_process.is_there(disk.path, line) for line in after.splitlines())
        for path in disk.path.glob("file*"):
            path.unlink()
    assert synced > 1000
    logger.info("%d syncs kept; %d acknowledged after the cut had begun, and lost", synced, false)
