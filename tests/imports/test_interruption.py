"""An import that is killed, interrupted, or hits an error is gone on with by saying it again: each row once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from durability import processes
from imports.batch_outputs import answered, chat, write
from imports.reading import assert_sound, job_of, rows_of
from starfish_storage import LocalStorage, Record
from starfish_storage.errors import StorageFullError
from starfish_storage.imports import ImportProgress, import_file, import_path
from starfish_storage.times import utc_now

ROWS = [{"n": n, "text": "x" * 200} for n in range(6000)]
MOMENTS = (2, 15, 24)  # lines that the process has printed: twelve of checking, and as many of importing
SLOW_MOMENTS = (1, 12, 13, *range(16, 24))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


async def check(storage: LocalStorage) -> None:
    (job,) = await storage.list_master_jobs()
    assert (job.status, job.completed_record_count, job.target_record_count) == ("completed", len(ROWS), len(ROWS))
    assert await storage.count_records_for_master_job(job.master_job_id) == {"completed": len(ROWS)}
    assert await rows_of(storage, job.master_job_id) == ROWS
    assert {one.status for one in await storage.list_execution_jobs(job.master_job_id)} == {"completed"}


@pytest.mark.parametrize("moment", [*MOMENTS, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW_MOMENTS)])
async def test_a_killed_import_goes_on(root: Path, source: Path, moment: int):
    arguments = ["-m", "imports.importing_process", root.as_uri(), str(source)]
    with processes.start(arguments) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(moment - 1):
            assert process.stdout.readline()
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.stdout.readline()
        process.kill()
    async with LocalStorage(root.as_uri()) as storage:
        jobs = await storage.list_master_jobs()
        assert [job.status for job in jobs] == (["running"] if moment > 12 else []), "half an import looks like one"
        there = await storage.count_records_for_master_job(jobs[0].master_job_id) if jobs else {}
        report = await import_file(storage, source)
        assert report.new_records <= len(ROWS)
        assert report.new_records >= len(ROWS) - there.get("completed", 0)
        if moment == MOMENTS[-1]:
            assert report.new_records < len(ROWS), "nothing was there before, and the test tests nothing"
        await check(storage)
        assert (await import_file(storage, source)).already_imported
    await assert_sound(root)


async def test_a_killed_import_of_answers_goes_on(root: Path, tmp_path: Path):
    count, lines = 600, 5  # that the process has printed: three of checking, and two of importing
    source = write(tmp_path / "batch.jsonl", [answered(f"q-{n}", chat(f"{n}?")) for n in range(count)])
    with processes.start(["-m", "imports.importing_process", root.as_uri(), str(source)]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in range(lines):
            assert process.stdout.readline()
            if line < lines - 1:
                process.stdin.write("\n")
                process.stdin.flush()
        process.kill()
    async with LocalStorage(root.as_uri()) as storage:
        (job,) = await storage.list_master_jobs()
        assert (job.status, await storage.count_records_for_master_job(job.master_job_id)) == (
            "running",
            {"completed": 400},
        )
        for worker in await storage.ledger.list_workers(job.master_job_id):  # its lease would expire in ten seconds
            await storage.ledger.remove_worker(worker, utc_now(), died=True)
        report = await import_path(storage, source)
        assert (report.records, report.new_records) == (count, 200)
        assert (await job_of(storage, job.master_job_id)).status == "completed"
        state = await storage.ledger.get_run(job.master_job_id)
        assert state is not None
        assert state.attempts == count, "none is paid for twice"
        assert (await import_path(storage, source)).already_imported
    await assert_sound(root)


async def test_a_cancelled_import_goes_on(storage: LocalStorage, source: Path):
    started = asyncio.Event()

    def watch(progress: ImportProgress) -> None:
        if progress.stage == "importing" and progress.rows >= 3000:
            started.set()

    task = asyncio.create_task(import_file(storage, source, progress=watch))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (job,) = await storage.list_master_jobs()
    assert job.status == "running"
    report = await import_file(storage, source)
    assert 0 < report.new_records < len(ROWS)
    await check(storage)


class FillsUp(LocalStorage):
    """A store that has room for three batches."""

    room = 3

    async def save_records(self, pairs: Iterable[tuple[Record, dict[str, Any]]]) -> list[str]:
        if self.room == 0:
            raise StorageFullError("/disk", 28, "no space is left")
        self.room -= 1
        return await super().save_records(pairs)


async def test_an_error_of_the_store_is_told_and_the_import_goes_on_later(root: Path, source: Path):
    async with FillsUp(root.as_uri()) as storage:
        with pytest.raises(StorageFullError):
            await import_file(storage, source)
        (job,) = await storage.list_master_jobs()
        assert job.status == "running"
    async with LocalStorage(root.as_uri()) as storage:
        await import_file(storage, source)
        await check(storage)
    await assert_sound(root)


async def test_two_imports_of_one_file_at_a_time(storage: LocalStorage, source: Path, root: Path):
    async with LocalStorage(root.as_uri()) as other:
        reports = await asyncio.gather(import_file(storage, source), import_file(other, source))
    assert reports[0].master_job_ids == reports[1].master_job_ids
    await check(storage)


async def test_one_that_was_cancelled_from_outside_goes_on(storage: LocalStorage, source: Path):
    report = await import_file(storage, source)
    (job_id,) = report.master_job_ids
    job = await job_of(storage, job_id)
    await storage.update_master_job_status(job_id, "cancelled", job.last_update_time)
    again = await import_file(storage, source)
    assert (again.new_records, again.already_imported) == (0, False)
    await check(storage)
