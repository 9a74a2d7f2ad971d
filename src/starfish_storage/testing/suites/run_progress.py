"""The contract of how runs are going: finding them, how far they are, and what they did over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, InvalidStatusError
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import Attempt, Output, RunProgress, Timeline, TimelineBucket, TimelineOf, Usage
from starfish_storage.testing.samples import MASTER_JOB, a_master_job, a_project, a_record, at, save_run
from starfish_storage.testing.suites.run_samples import WORKER, an_outcome, claim, kept, start, there
from starfish_storage.testing.suites.suite import StorageSuite, refused, skip_unless


class ProgressTests(StorageSuite):
    """How runs are going."""

    async def test_runs_are_found_in_pages(self, storage: Storage) -> None:
        """In both directions, by project, status, and a text in id, name or project, whatever its case in ASCII."""
        skip_unless(storage, "RUNS")
        ledger = storage.ledger
        for project in ("first", "second%"):
            await storage.save_project(a_project(project))
        for number in range(6):
            given = {"project_id": "second%" if number == 3 else "first", "name": f"Größe {number}" if number else None}
            given |= {"status": "failed" if number == 4 else "running", "creation_time": at(number // 2)}
            await storage.log_master_job_start(a_master_job(storage, f"run-{number}", **given))

        async def found(**wanted: Any) -> list[str]:
            wanted = {"limit": 10, **wanted}
            return [job.master_job_id[4:] for job in await ledger.find_runs(**wanted)]

        every = await storage.list_master_jobs()
        assert await ledger.find_runs(limit=10) == every
        assert await found(limit=2) == ["5", "4"]
        assert await found(limit=2, after=every[1]) == ["3", "2"]
        assert await found(limit=2, before=every[4]) == ["3", "2"]
        assert await found(after=every[5]) == await found(before=every[0]) == await found(limit=0) == []
        assert await found(project_id="first", after=every[1]) == ["2", "1", "0"]
        assert await found(project_id="first", before=every[3], status_filter=["running"]) == ["5"]
        assert await found(status_filter=["failed", "completed"]) == ["4"]
        assert await found(text="SECOND%") == ["3"]
        assert await found(text="größe 2") == ["2"]
        assert await found(text="GRöSSE") == await found(text="run-2\nrun") == await found(project_id="none") == []
        with refused(InvalidInputError):
            await ledger.find_runs(after=every[0], before=every[1], limit=1)
        with refused(InvalidInputError):
            await ledger.find_runs(limit=-1)
        with refused(InvalidStatusError):
            await ledger.find_runs(status_filter=["strange"], limit=1)

    async def test_how_far_runs_are(self, storage: Storage) -> None:
        """Those without a ledger too; each with what it alone has."""
        ledger = await start(storage, 4)
        one, two, _ = await claim(ledger, 3)
        await ledger.finish_input(an_outcome(one, kept(), kept(), usage=(Usage("m", 3, 4, 0.5),)))
        await ledger.finish_input(an_outcome(two, Output("failed", None, "why"), status="failed", error_type="A"))
        await ledger.complete_inputs(MASTER_JOB)
        await save_run(storage, "logged")
        await storage.save_record(a_record(master_job_id="logged"), {})
        jobs = [there(await storage.get_master_job(run)) for run in ("logged", MASTER_JOB)]
        logged, run = await ledger.get_progress(jobs)
        assert logged == RunProgress(jobs[0], None, {"completed": 1}, {"running": 1})
        assert (logged.done, logged.total, logged.forecast) == (1, 100, None)
        state = await ledger.get_run(MASTER_JOB)
        assert run == RunProgress(
            jobs[1], state, {"completed": 2, "failed": 1}, {"completed": 1, "failed": 1, "running": 1, "pending": 1}
        )
        assert (run.done, run.total, run.is_over, run.forecast) == (2, 4, False, 1.0)
        assert run.time_left(0.5) == timedelta(seconds=4)
        assert await ledger.get_progress(jobs, with_inputs=False) == [replace(one, inputs={}) for one in (logged, run)]
        assert await ledger.get_progress([]) == []

    async def test_a_list_of_runs_says_what_their_models_and_their_progress_say(self, storage: Storage) -> None:
        """Without models, in the same order, by the same filters."""
        ledger = await start(storage, 2)
        held, _ = await claim(ledger, 2)
        await ledger.finish_input(an_outcome(held, kept(), usage=(Usage("m", 3, 4, 0.5),)))
        await save_run(storage, "logged", "logged-job")
        await storage.log_master_job_end("logged", "failed", {"of": [1, "é"]}, at(3), at(3))
        jobs = await storage.list_master_jobs()
        runs = await ledger.list_runs()
        for run, progress in zip(runs, await ledger.get_progress(jobs, with_inputs=False), strict=True):
            read = run.job._asdict()
            for name in ("output_schema", "summary"):
                read[name] = None if read[name] is None else decode(read[name].encode())
            assert GenerationMasterJob(**read) == progress.job
            assert (run.state, run.records) == (progress.state, progress.records)
        assert await ledger.list_runs(jobs[0].project_id, ["failed", "completed"]) == [
            run for run in runs if run.job.status == "failed"
        ]
        assert await ledger.count_runs() == Counter(job.status for job in jobs)
        assert await ledger.list_runs(limit=1) == runs[:1]
        assert await ledger.list_runs("none") == []
        with refused(InvalidInputError):
            await ledger.list_runs(limit=-1)
        with refused(InvalidStatusError):
            await ledger.list_runs(status_filter=["strange"])

    async def test_what_a_run_did_over_time(self, storage: Storage) -> None:
        """Attempts by when they ended, with how long they took; failed ones too; whatever clocks say."""
        ledger = await start(storage, 8)
        held = await claim(ledger, 8)

        async def tried(
            number: int, seconds: float, until: float, status: Any = "completed", cost: float = 0.0
        ) -> None:
            one, used = held[number], (Usage(None, 10, 1, cost),)
            times = (at(until - seconds), at(until))
            attempt = Attempt(one.job_id, one.master_job_id, 1, WORKER, status, *times, usage=used)
            if status == "failed":
                await ledger.save_attempt(attempt)
            else:
                await ledger.finish_input(replace(an_outcome(one, kept()), attempt=attempt))

        await tried(0, 1.5, 10.0, "failed", 0.25)
        for number, seconds in enumerate((2.0, 1.0, 3.0)):
            await tried(number, seconds, 10.25 + number / 4, cost=0.5)
        await tried(3, 0.25, 12.0)
        await tried(4, -60, 14)  # by a machine whose clock was set back meanwhile
        first = TimelineBucket(at(10), {"completed": 3, "failed": 1}, 2.0, 3.0, 40, 4, 1.75)
        second = TimelineBucket(at(12), {"completed": 1}, 0.25, 0.25, 10, 1)
        last = TimelineBucket(at(14), {"completed": 1}, 0.0, 0.0, 10, 1)
        timeline = await ledger.get_timeline(MASTER_JOB)
        assert timeline == Timeline("attempts", timedelta(seconds=1), (first, second, last), 6, 6)
        assert timeline.levels(5) == [4.0, 0.0, 1.0, 0.0, 1.0]
        whole = await ledger.get_timeline(MASTER_JOB, buckets=1)
        assert [one.counts for one in whole.buckets] == [{"completed": 5, "failed": 1}]
        assert whole.buckets[0].cost == 1.75
        counted: tuple[tuple[TimelineOf, int], ...] = (("attempts", 6), ("records", 5))
        for of, number in counted:
            found = await ledger.get_timeline(MASTER_JOB, of=of)
            assert (found.of, found.counted, found.total) == (of, number, number)
        for run in ("nowhere", "logged"):
            assert (
                (await ledger.get_timeline(run)).buckets == (await ledger.get_timeline(run, of="records")).buckets == ()
            )
        for wrong in ({"buckets": 0}, {"of": "calls"}):
            with refused(InvalidInputError if "buckets" in wrong else InvalidStatusError):
                await ledger.get_timeline(MASTER_JOB, **wrong)  # type: ignore[arg-type]

    async def test_records_over_time(self, storage: Storage) -> None:
        """By when they began; of a run without a ledger too, and over years."""
        await save_run(storage)
        times = (at(0), at(0.5), at(59.999999), at(60), datetime(2024, 2, 29, tzinfo=UTC))
        for number, begun in enumerate(times):
            status = "failed" if number == 1 else "completed"
            record = a_record(f"r{number}", status=status, start_time=begun, end_time=begun)
            await storage.save_record(record, {})
        skip_unless(storage, "RUNS")
        timeline = await storage.ledger.get_timeline(MASTER_JOB, of="records")
        assert [one.counts for one in timeline.buckets] == [{"completed": 1}, {"completed": 3, "failed": 1}]
        assert timeline.buckets[0].start <= times[-1] < timeline.buckets[0].start + timeline.width
        assert (timeline.counted, timeline.total) == (5, 5)
        await storage.delete_master_job(MASTER_JOB)
        assert (await storage.ledger.get_timeline(MASTER_JOB, of="records")).buckets == ()
        await save_run(storage, project_id="another")
        for number in range(4):
            await storage.save_record(a_record(f"s{number}", start_time=times[number], end_time=times[number]), {})
        timeline = await storage.ledger.get_timeline(MASTER_JOB, of="records", buckets=60)
        assert [(one.start, one.count) for one in timeline.buckets] == [(at(0), 2), (at(58), 1), (at(60), 1)]
