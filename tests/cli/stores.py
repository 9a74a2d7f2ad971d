"""A store with a run that has ended with failures, one whose worker has died, and one without a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, Storage
from starfish_storage.runs import Attempt, ClaimedInput, Outcome, Output, RunInput, Step, Usage, Worker

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENDED, DESERTED, LOGGED = "capitals-1", "capitals-2", "sums-1"
QUESTIONS = ("France", "Japan", "Peru", "Atlantis", "Utopia", "Japan")


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


async def make(root: Path) -> None:
    async with LocalStorage(root.as_uri()) as storage:
        await storage.save_project(
            Project(project_id="geography", name="Geography", description="Capitals", created_when=START)
        )
        await storage.save_project(Project(project_id="sums", name="Sums", created_when=START))
        await _start(storage, ENDED, "geography", 0, len(QUESTIONS))
        await _run_to_the_end(storage)
        await _start(storage, DESERTED, "geography", 100, 0)
        await _leave_half_way(storage)
        await _start(storage, LOGGED, "sums", 50, 2)
        await storage.log_execution_job_start(GenerationJob(job_id="sum", master_job_id=LOGGED, run_config={"a": 1}))
        record = Record(
            record_uid="sum-0",
            job_id="sum",
            master_job_id=LOGGED,
            status="completed",
            start_time=at(50),
            end_time=at(51),
        )
        await storage.save_record(record, {"sum": 2})


async def _start(storage: Storage, run: str, project: str, second: int, target: int) -> None:
    reference = storage.generate_request_config_path(run)
    await storage.save_request_config(reference, {"model": "small-1", "prompt": f"für {run}"})
    await storage.log_master_job_start(
        GenerationMasterJob(
            master_job_id=run,
            project_id=project,
            name=f"the run {run}",
            status="running",
            request_config_ref=reference,
            output_schema={},
            storage_uri=storage.storage_uri,
            target_record_count=target,
            creation_time=at(second),
            start_time=at(second),
        )
    )


async def _claim(storage: Storage, run: str, count: int) -> list[ClaimedInput]:
    ledger = storage.ledger
    await ledger.start_run(run)
    await ledger.register_inputs(run, [RunInput(n, {"country": QUESTIONS[n]}) for n in range(len(QUESTIONS))])
    await ledger.complete_inputs(run)
    await ledger.save_worker(Worker("worker-1", run, "here", START, at(60)))
    return await ledger.claim_inputs(run, "worker-1", count, START)


def attempt(claimed: ClaimedInput, second: int, error: str | None = None) -> Attempt:
    return Attempt(
        claimed.job_id,
        claimed.master_job_id,
        0,
        "worker-1",
        "failed" if error else "completed",
        at(second),
        at(second + 2),
        error_type="TimeoutError" if error else None,
        error_message=error,
        error_traceback=f"Traceback (most recent call last):\n  ...\nTimeoutError: {error}\n" if error else None,
        usage=(Usage("small-1", 10, 5, 0.25),),
    )


async def _run_to_the_end(storage: Storage) -> None:
    ledger = storage.ledger
    claimed = await _claim(storage, ENDED, len(QUESTIONS))
    await ledger.save_step(
        Step(claimed[0].job_id, "ask", {"result": "Paris"}, 1, at(1), (Usage("small-1", 10, 5, 0.25),))
    )
    await ledger.save_attempt(attempt(claimed[1], 0, "no answer\nin time"))
    for number, one in enumerate(claimed):
        country = one.run_config["country"]
        data = {"country": country, "capital": country[::-1], "note": "é\x9b\u202e"}
        if country in ("Atlantis", "Utopia"):
            failed = attempt(one, number, f"{country}: \x1b[31mno\tanswer\u202e")
            output = Output("failed", None, f"TimeoutError: {country} gave no answer")
            await ledger.finish_input(Outcome(one, "worker-1", failed, [output], failed.error_message))
            continue
        status = "filtered" if country == "Peru" else "completed"
        output = Output(status, data, "too short" if status == "filtered" else None, unique_key=country)
        await ledger.finish_input(Outcome(one, "worker-1", attempt(one, number), [output]))
    await ledger.remove_worker(Worker("worker-1", ENDED, "here", START, at(60)), at(9))
    await ledger.refresh_run(ENDED, at(9))
    counts = await storage.count_records_for_master_job(ENDED)
    await storage.log_master_job_end(ENDED, "completed_with_errors", counts, at(10), at(10))


async def _leave_half_way(storage: Storage) -> None:
    claimed = await _claim(storage, DESERTED, 3)
    output = Output("completed", {"capital": "?"})
    await storage.ledger.finish_input(Outcome(claimed[0], "worker-1", attempt(claimed[0], 100), [output]))
