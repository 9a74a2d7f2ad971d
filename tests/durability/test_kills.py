"""A writer killed with SIGKILL, at random moments and between every two steps of the write path."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from durability import processes, workload
from starfish_storage import LocalStorage

ORDINARY_KILLS, SLOW_KILLS = 10, 50


def kill_after(root: Path, log: Path, lines: int, durability: str) -> None:
    """Start a writer with eight concurrent callers and kill it once it has logged so many lines.

    It logs into a pipe: what it had written there when it died is all that it acknowledged.
    """
    with processes.start(["-m", "durability.writer_process", str(root), durability, "8", "100000"]) as process:
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
    kill_after(root, log, random.Random(number).randint(2, 3000), durability)
    return await workload.check(root, log)


@pytest.mark.parametrize("number", range(ORDINARY_KILLS))
async def test_a_writer_killed_at_a_random_moment_loses_nothing(tmp_path: Path, number: int) -> None:
    await kill_at_random(tmp_path, number, "process" if number % 3 == 2 else "power")


@pytest.mark.slow
async def test_a_writer_killed_at_many_random_moments_loses_nothing(tmp_path: Path) -> None:
    total = 0
    for number in range(ORDINARY_KILLS, ORDINARY_KILLS + SLOW_KILLS):
        total += await kill_at_random(tmp_path, number, ("power", "process")[number % 2])
    assert total > 1000


async def test_one_store_survives_kill_after_kill(tmp_path: Path) -> None:
    """What one killed writer leaves is finished by the next, which is killed in turn."""
    root = tmp_path / "store"
    for number in range(3):
        log = tmp_path / f"log{number}"
        kill_after(root, log, 300, "power")
        assert await workload.check(root, log) > 0
        async with LocalStorage(f"file://{root}") as storage:
            await storage.delete_project(workload.PROJECT, cascade=True)
        assert not list(root.glob("data/*/*"))


def steps_of_workload(root: Path, durability: str) -> int:
    """Return how many steps the workload has when nobody kills it."""
    script = (
        "import asyncio; from pathlib import Path; from durability import workload\n"
        "from durability.faults import FaultyStorage, Steps\n"
        "async def main():\n"
        f"    storage = FaultyStorage(Path({str(root)!r}), Steps(), {durability!r})\n"
        "    await storage.setup()\n"
        f"    await workload.run(storage, workload.Log(Path({str(root) + '-log'!r})), 4)\n"
        "    await storage.close(); print(len(storage.steps.taken))\n"
        "asyncio.run(main())"
    )
    status, out, errors = processes.run(["-c", script])
    assert status == 0, errors
    return int(out)


async def kill_at_step(tmp_path: Path, step: int, durability: str) -> bool:
    """Kill a writer before the given step, check, and return whether it came so far."""
    root, log = tmp_path / f"{durability}{step}", tmp_path / f"{durability}{step}-log"
    arguments = ["-m", "durability.writer_process", str(root), durability, "1", "4", str(step)]
    status, out, errors = processes.run(arguments)
    assert status in (0, -signal.SIGKILL), errors
    log.write_text(out)
    await workload.check(root, log)
    return status == -signal.SIGKILL


@pytest.mark.parametrize("durability", ["power", "process"])
async def test_a_writer_killed_between_steps_loses_nothing(tmp_path: Path, durability: str) -> None:
    """The making of the database, and a sample over the whole workload up to the closing of the store."""
    steps = steps_of_workload(tmp_path / "counted", durability)
    chosen = sorted({*range(1, 9), *range(9, steps, max(1, steps // 12))})
    killed = [await kill_at_step(tmp_path, step, durability) for step in chosen]
    assert sum(killed) >= len(killed) - 1


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["power", "process"])
async def test_a_writer_killed_between_any_two_steps_loses_nothing(tmp_path: Path, durability: str) -> None:
    steps = steps_of_workload(tmp_path / "counted", durability)
    killed = [await kill_at_step(tmp_path, step, durability) for step in range(1, steps + 1)]
    assert sum(killed) >= steps - 5  # the last steps vary with the moment of the checkpoint
