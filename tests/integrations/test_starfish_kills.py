"""A run of the framework that is killed goes on, and pays again only for what was in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from integrations.framework import Framework
from starfish_storage import Storage, open_storage
from starfish_storage.maintenance import verify

INPUTS, CONCURRENCY = 200, 10
MOMENTS = [1, 187]
SLOW_MOMENTS = [2, 11, 35, 60, 90, 120, 150, 175, 195, 200]


@pytest.mark.parametrize(
    ("moment", "layout"),
    [(moment, ("files", "packed")[number % 2]) for number, moment in enumerate(MOMENTS)]
    + [
        pytest.param(moment, ("files", "packed")[number % 2], marks=pytest.mark.slow)
        for number, moment in enumerate(SLOW_MOMENTS)
    ],
)
async def test_a_killed_run_is_resumed_from_its_checkpoint(
    framework: Framework, tmp_path: Path, moment: int, layout: str
):
    store, charges = (tmp_path / "store").as_uri(), tmp_path / "charges"
    case = await asyncio.to_thread(
        framework.start, tmp_path, "run_squares", store=store, inputs=INPUTS, charges=str(charges), layout=layout
    )
    for _ in range(moment):
        await asyncio.to_thread(case.hear)
    await asyncio.to_thread(case.kill)
    async with open_storage(store, read_only=True) as storage:
        (job,) = await storage.list_master_jobs()
        before = await storage.ledger.count_inputs(job.master_job_id)
    assert before.get("completed", 0) < INPUTS

    done = await asyncio.to_thread(framework.call, tmp_path, "resume", store=store, run=job.master_job_id)

    wanted = [{"n": n, "square": n * n} for n in range(INPUTS)]
    assert sorted(done, key=lambda row: row["n"]) == wanted
    paid = Counter(int(line) for line in charges.read_text().split())
    assert set(paid) == set(range(INPUTS))
    assert max(paid.values()) <= 2
    assert paid.total() - INPUTS <= CONCURRENCY
    async with open_storage(store, read_only=True) as storage:
        await check(storage, job.master_job_id, wanted)
    report = await asyncio.to_thread(verify, store)
    assert report.is_sound, str(report)


async def check(storage: Storage, run: str, wanted: list[dict[str, int]]) -> None:
    """Every input is done, once, and its answer is there."""
    job = await storage.get_master_job(run)
    assert job is not None
    assert (job.status, job.completed_record_count, job.target_record_count) == ("completed", INPUTS, INPUTS)
    assert job.end_time is not None
    assert await storage.ledger.count_inputs(run) == {"completed": INPUTS}
    records = [one async for one in storage.iter_records(run)]
    assert {one.status for one in records} == {"completed"}
    found = await storage.get_records_data([one.output_ref or "" for one in records])
    assert sorted(found, key=lambda row: row["n"]) == wanted
    assert await storage.ledger.list_workers(run) == []
