"""A writer killed with SIGKILL, at random moments and at every call that changes files."""

from __future__ import annotations

import logging
import random
import signal
from pathlib import Path

import pytest

from durability import processes, shim, workload
from starfish_storage import DataNotFoundError, LocalStorage, StorageError

ORDINARY_KILLS, SLOW_KILLS = 10, 200
logger = logging.getLogger(__name__)


LAYOUTS = ("files", "packed")


def kill_after(root: Path, log: Path, lines: int, durability: str, layout: str) -> None:
    """Start a writer with eight concurrent callers and kill it once it has logged so many lines.

    It logs into a pipe: what it had written there when it died is all that it acknowledged.
    """
    with processes.start(["-m", "durability.writer_process", str(root), durability, "8", "100000", layout]) as process:
        assert process.stdout is not None
        read = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        rest = process.stdout.read()  # not communicate(): it passes over what readline() has buffered
        errors = process.stderr.read() if process.stderr else ""
    assert process.returncode == -signal.SIGKILL, errors
    log.write_text("".join(read) + rest[: rest.rfind("\n") + 1])


async def kill_at_random(tmp_path: Path, number: int, durability: str) -> int:
    """Kill a writer at a random moment of its work, check, and return how many records it had acknowledged."""
    root, log = tmp_path / f"store{number}", tmp_path / f"log{number}"
    layout = LAYOUTS[number // 3 % 2]  # each with each durability
    kill_after(root, log, random.Random(number).randint(2, 3000), durability, layout)
    return await workload.check(root, log, layout)


@pytest.mark.parametrize("number", range(ORDINARY_KILLS))
async def test_a_writer_killed_at_a_random_moment_loses_nothing(tmp_path: Path, number: int) -> None:
    await kill_at_random(tmp_path, number, "process" if number % 3 == 2 else "power")


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_writer_killed_at_many_random_moments_loses_nothing(tmp_path: Path) -> None:
    total = 0
    for number in range(ORDINARY_KILLS, ORDINARY_KILLS + SLOW_KILLS):
        total += await kill_at_random(tmp_path, number, ("power", "process")[number % 2])
    assert total > 1000
    logger.info("%d kills at random moments, %d records acknowledged", SLOW_KILLS, total)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_one_store_survives_kill_after_kill(tmp_path: Path, layout: str) -> None:
    """What one killed writer leaves is finished by the next, which is killed in turn."""
    root = tmp_path / "store"
    for number in range(2):
        log = tmp_path / f"log{number}"
        kill_after(root, log, 300, "power", layout)
        assert await workload.check(root, log, layout) > 0
        async with LocalStorage(f"file://{root}") as storage:
            await storage.delete_project(workload.PROJECT, cascade=True)
            assert [one async for one in storage.iter_records(workload.MASTER)] == []
        assert not list(root.glob("data/*/*.json"))


ORDINARY_POINTS = 8  # of each kind; about 400 there are


def kill_at_points(library: Path, directory: Path, layout: str, durability: str, action: str, points: int) -> None:
    result = shim.run(library, "kill_points", directory, layout, durability, action, points, timeout=3000)
    assert result["failures"] == {}
    assert result["calls"] > 300
    expected = points or result["calls"]
    assert result["killed"] >= expected - 5, "the last calls vary with the moment of the checkpoint, no others"


@pytest.mark.parametrize("action", ["KILL", "KILL_TORN"])
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_writer_killed_at_a_call_that_changes_files_loses_nothing(
    shim_library: Path, memory_path: Path, layout: str, durability: str, action: str
) -> None:
    """Before the call, or in the middle of a write: a sample over the whole life from setup to close."""
    kill_at_points(shim_library, memory_path, layout, durability, action, ORDINARY_POINTS)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("action", ["KILL", "KILL_TORN"])
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_writer_killed_at_any_call_that_changes_files_loses_nothing(
    shim_library: Path, memory_path: Path, layout: str, durability: str, action: str
) -> None:
    kill_at_points(shim_library, memory_path, layout, durability, action, points=0)


async def test_the_check_itself_notices_a_lost_file(tmp_path: Path) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    async with LocalStorage(f"file://{root}") as storage:
        await workload.run(storage, workload.Log(log), 3)
    next(root.glob("data/*/w0-1.json")).unlink()
    with pytest.raises(DataNotFoundError, match="w0-1"):
        await workload.check(root, log)


async def test_the_check_itself_notices_a_damaged_pack(tmp_path: Path) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    async with workload.opened(root, "packed") as storage:
        await workload.run(storage, workload.Log(log), 3)
    (pack,) = root.glob("data/packs/*")
    whole = pack.read_bytes()
    for damaged in (whole[:-1], whole.replace(b'"w0-1"', b'"w0-2"'), whole[:20] + bytes(20) + whole[40:]):
        pack.write_bytes(damaged)
        with pytest.raises((AssertionError, StorageError)):
            await workload.check(root, log, "packed")
