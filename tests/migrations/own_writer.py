"""Writes a store of our own with the release at hand; run by `make_assets.py`, in a process of its own.

Usage: ``python -m migrations.own_writer ROOT ANSWERS``, or ``ROOT kill`` to be killed with the store open.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from migrations.reading import asked_of, everything, judged_of, kept_of, runs_of
from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, Storage
from starfish_storage.runs import (
    AnnotationKind,
    Attempt,
    CallCounts,
    CallNote,
    ClaimedInput,
    Conversion,
    Outcome,
    Output,
    RunInput,
    StatusAttempt,
    Step,
    StepSource,
    Usage,
    Verification,
    Worker,
)
from starfish_storage.statuses import MASTER_JOB_STATUSES, RECORD_STATUSES

RUN, WORKER = "Run-1", "worker-1"
NOON = datetime(2026, 4, 1, 12, 0, 0, 123456, tzinfo=UTC)
JUDGEMENTS: tuple[tuple[AnnotationKind, Any, str], ...] = (
    ("verdict", "rejected", "Åsa"),
    ("verdict", "accepted", "Åsa"),
    ("verdict", "rejected", "Jo"),
    ("rating", 4.5, "Jo"),
    ("label", "größer", "Åsa"),
    ("comment", "two\nlines", "Jo"),
)


async def main(root: str, then: str) -> None:
    """Write the store and note what is in it, or be killed in the middle."""
    await write(LocalStorage(f"file://{root}"), then)


async def write(storage: Storage, then: str) -> None:
    """Write a store of any kind, and note what is in it, or be killed in the middle."""
    await storage.setup()
    for number, name in enumerate(["first", "größer 日本", "empty"]):
        await storage.save_project(Project(project_id=f"p-{number}", name=name, created_when=NOON, updated_when=NOON))
    for number, status in enumerate(MASTER_JOB_STATUSES):
        await write_master_job(storage, number, status)
    await write_run(storage)
    await write_judgements(storage)
    if then == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    said = {**await everything(storage), "runs": await runs_of(storage), "kept": await kept_of(storage)}
    said["asked"], said["judged"] = await asked_of(storage), await judged_of(storage)
    await storage.close()
    Path(then).write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")


async def write_master_job(storage: Storage, number: int, status: str, name: str | None = None) -> None:
    """Write a master job with its configuration, an execution job and records of every status."""
    uid = name or f"Master-{number}"
    config: dict[str, Any] = {"prompt": "naïve ☃", "number": number}
    reference = await storage.save_request_config(storage.generate_request_config_path(uid), config)
    await storage.log_master_job_start(
        GenerationMasterJob(
            master_job_id=uid,
            project_id=f"p-{number % 2}",
            name=f"job {number}",
            request_config_ref=reference,
            output_schema={"type": "object"},
            storage_uri=storage.storage_uri,
            target_record_count=len(RECORD_STATUSES),
            creation_time=NOON + timedelta(hours=number),
            last_update_time=NOON,
        )
    )
    job = GenerationJob(
        job_id=f"e-{number}",
        master_job_id=uid,
        run_config={"city": "Zürich", "number": number},
        creation_time=NOON,
        last_update_time=NOON,
    )
    await storage.log_execution_job_start(job)
    for place, record_status in enumerate(RECORD_STATUSES):
        await write_record(storage, number, place, job, record_status)
    counts = {"completed": 1, "filtered": 1, "duplicate": 1, "failed": 1}
    await storage.log_execution_job_end(job.job_id, "completed", counts, NOON + timedelta(hours=1), NOON)
    await storage.log_master_job_end(uid, status, {**counts, "note": "ü"}, NOON + timedelta(hours=2), NOON)


async def write_record(storage: Storage, number: int, place: int, job: GenerationJob, status: str) -> None:
    """Write a record: the failed one has no data, the duplicate borrows that of the completed one."""
    uid = f"Rec-{number}-{status}"
    owner = f"Rec-{number}-completed" if status == "duplicate" else uid
    reference = None
    if status != "failed":
        data = {"text": f"Ünïcode {owner}", "list": [1, None]}
        reference = await storage.save_record_data(owner, job.master_job_id, job.job_id, data)
    await storage.log_record_metadata(
        Record(
            record_uid=uid,
            job_id=job.job_id,
            master_job_id=job.master_job_id,
            status=status,  # type: ignore[arg-type]
            output_ref=reference,
            start_time=NOON + timedelta(minutes=place),
            end_time=NOON + timedelta(minutes=place + 1),
            last_update_time=NOON,
            error_message="broken" if status == "failed" else None,
        )
    )


async def write_run(storage: Storage) -> None:
    """Write a run of seven inputs: they end in each way; two run again, and two are held by a worker.

    One has a rejected reply, requests and a version of its output, and the run is paused.
    """
    ledger = storage.ledger
    await write_master_job(storage, 10, "running", RUN)
    await ledger.start_run(RUN)
    for model in ("small-1", "größer-2"):
        await ledger.add_segment(RUN, {"config": {"model": model, "é": [1, 2**70]}})
    await ledger.register_inputs(RUN, [RunInput(number, {"city": "Zürich", "n": number}) for number in range(7)])
    await ledger.save_worker(Worker(WORKER, RUN, "a process", NOON, NOON + timedelta(minutes=1)))
    good, bad, mixed, two, again, *_ = await ledger.claim_inputs(RUN, WORKER, 7, NOON)
    paid = (Usage("small-1", 10, 5, 0.25), Usage(None, 1, 0, 0.5))
    for name, result in (("ask ☃", {"é": [1, 2**70]}), ("judge", 7), ("judge", 8)):
        await ledger.save_step(Step(good.job_id, name, {"result": result}, 1, NOON, paid[:1]))
    await ledger.finish_input(outcome(good, 1, "completed", Output("completed", {"n": "größer"}, None, "key"), *paid))
    await ledger.save_attempt(an_attempt(bad, 1, "failed", *paid))
    await ledger.finish_input(outcome(bad, 2, "failed", Output("failed", None, "E: broken")))
    await ledger.finish_input(
        outcome(mixed, 1, "completed", Output("filtered", {"n": 2}, "short"), Output("failed", {}, "unfit"))
    )
    duplicate = Output("completed", {"n": 3}, None, "key")
    await ledger.finish_input(outcome(two, 1, "completed", duplicate, Output("completed", {"n": 4})))
    await ledger.finish_input(outcome(again, 1, "completed", Output("completed", {"n": 5}, None, "other")))
    await ledger.reset_inputs(RUN, ["completed", "failed"], job_ids=[bad.job_id, again.job_id])
    await ledger.mark_step(good.job_id, "judge", 1, 1, "rejected", "größer", "code 1")
    await ledger.save_step(Step(good.job_id, "judge", {"result": 9}, 1, NOON, paid[1:], 2))
    asked = Step(good.job_id, "ask ☃", {"answer": "größer"}, 2, NOON, paid[:1], request_key="ab" * 32, request="{}")
    await ledger.save_step(replace(asked, asked_when=NOON - timedelta(seconds=2)))
    await ledger.save_step(replace(asked, call=2, reused_from=StepSource("another", "input", 1, 1, 0.25)))
    answers = CallCounts(2, 1, 1, 0.25, 0, (CallNote("ask ☃", "ab" * 32, "429", "zu viel"),))
    converted = replace(an_attempt(good, 2, "failed", *paid), conversions=(Conversion("nan", 2, ("[0].n",)),))
    converted = replace(converted, segment=2, calls=answers)
    await ledger.keep_attempt(converted, [Output("completed", {"n": "late"})])
    await ledger.pause_run(RUN, 3600, "rate limit")
    await ledger.complete_inputs(RUN)
    await ledger.request_stop(RUN, "enough")


async def write_judgements(storage: Storage) -> None:
    """Write what two people say of a record, two edits, one of them withdrawn, and what a check has found."""
    said, uid = storage.annotations, "Rec-2-completed"
    for number, (kind, value, author) in enumerate(JUDGEMENTS):
        await said.add(uid, kind, value, author=author, time=NOON + timedelta(minutes=number))
    taken_back = await said.add(uid, "label", "unsure", author="Åsa", time=NOON + timedelta(hours=1))
    await said.withdraw(taken_back.annotation_id, author="Åsa")
    await said.edit_record("Rec-10-filtered", {"text": "edited", "é": 2**70}, author="Åsa")
    edit = await said.edit_record("Rec-10-running", {"text": "edited by mistake"}, author="Jo")
    await said.withdraw(edit.annotation_id, author="Jo")
    await storage.ledger.save_verification(Verification(NOON, NOON + timedelta(minutes=1), 1, {"missing": ["größer"]}))


def an_attempt(claimed: ClaimedInput, number: int, status: StatusAttempt, *usage: Usage) -> Attempt:
    """Return an attempt that took a second."""
    error = ("E", "broken", "line 1") if status == "failed" else (None, None, None)
    start = NOON + timedelta(seconds=claimed.position, minutes=number)
    end = start + timedelta(seconds=1)
    return Attempt(claimed.job_id, RUN, number, WORKER, status, start, end, *error, usage)


def outcome(claimed: ClaimedInput, number: int, status: StatusAttempt, *parts: Output | Usage) -> Outcome:
    """Return an outcome of outputs, and of what they cost."""
    usage = [part for part in parts if isinstance(part, Usage)]
    outputs = [part for part in parts if isinstance(part, Output)]
    error = "E: broken" if status == "failed" else None
    return Outcome(claimed, WORKER, an_attempt(claimed, number, status, *usage), outputs, error)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
