"""A run that is killed goes on, and pays again only for what was in flight."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from durability import processes
from starfish_storage import LocalStorage
from starfish_storage.maintenance import verify

# Paid for twice are calls and results in flight, at most as many of these as of those.
INPUTS, CONCURRENCY, SECONDS = 200, 10, 0.004
ORDINARY_MOMENTS = (1, 60, 100, 140)
SLOW_MOMENTS = tuple(range(81, 121, 2))


def start(store: Path, *rest: str, seconds: float = SECONDS) -> subprocess.Popen[str]:
    arguments = ["-m", "generation.paying_process", store.as_uri(), "run-1", str(store.with_name("charges"))]
    return processes.start([*arguments, str(INPUTS), str(CONCURRENCY), str(seconds), *rest])


def read_lines(process: subprocess.Popen[str], lines: int) -> None:
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline(), process.communicate()[1]


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


async def check(store: Path, most_paid_twice: int) -> None:
    """Every input is done, once, and its answer is there."""
    charges = Counter(int(line) for line in store.with_name("charges").read_text().split())
    assert set(charges) == set(range(INPUTS))
    assert sum(charges.values()) - INPUTS <= most_paid_twice
    assert max(charges.values()) <= 2
    async with LocalStorage(store.as_uri()) as storage:
        job = await storage.get_master_job("run-1")
        assert job is not None
        assert (job.status, job.completed_record_count, job.target_record_count) == ("completed", INPUTS, INPUTS)
        assert await storage.count_records_for_master_job("run-1") == {"completed": INPUTS}
        assert await storage.ledger.count_inputs("run-1") == {"completed": INPUTS}
        records = [one async for one in storage.iter_records("run-1")]
        answers = await storage.get_records_data([one.output_ref or "" for one in records])
        assert sorted(one["number"] for one in answers) == list(range(INPUTS))
        assert all(one["answer"] == one["number"] ** 2 for one in answers)
        state = await storage.ledger.get_run("run-1")
        assert state is not None
        assert state.attempts == INPUTS + state.failed_attempts
        assert await storage.ledger.list_workers("run-1") == []
    report = verify(store.as_uri())
    assert report.is_sound, str(report)


async def kill_and_resume(store: Path, moment: int) -> None:
    with start(store) as process:
        read_lines(process, moment)
        process.kill()
    with start(store, "resume") as process:
        finish(process)
    await check(store, 2 * CONCURRENCY)


@pytest.mark.parametrize("moment", ORDINARY_MOMENTS)
async def test_a_killed_run_is_resumed(tmp_path: Path, moment: int) -> None:
    await kill_and_resume(tmp_path / "store", moment)


@pytest.mark.slow
@pytest.mark.parametrize("moment", SLOW_MOMENTS)
async def test_a_run_killed_near_the_middle_is_resumed(tmp_path: Path, moment: int) -> None:
    await kill_and_resume(tmp_path / "store", moment)


async def share_and_kill_one(store: Path, moment: int) -> None:
    workers = [start(store, "shared", seconds=10 * SECONDS) for _ in range(4)]
    try:
        for worker in workers:
            read_lines(worker, 1)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        killed = processes.first_to_write(workers)
        read_lines(killed, moment)
        killed.kill()
        for worker in workers:
            if worker is not killed:
                finish(worker)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    await check(store, 2 * CONCURRENCY)


async def test_of_four_processes_that_share_a_run_one_is_killed(tmp_path: Path) -> None:
    await share_and_kill_one(tmp_path / "store", 5)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(1, 21))
async def test_of_four_processes_one_is_killed_at_any_moment(tmp_path: Path, moment: int) -> None:
    await share_and_kill_one(tmp_path / "store", moment)
