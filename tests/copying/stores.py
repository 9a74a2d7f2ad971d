"""Stores to copy, and all that there is in one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from cli import stores as runs
from maintenance import stores as plain
from starfish_storage import GenerationJob, LocalStorage, Record, Storage
from starfish_storage.copying.comparing import at_rest
from starfish_storage.runs import CallCounts, CallNote, Outcome, Output, Step, StepSource, Worker


async def make(root: Path) -> LocalStorage:
    """Fill a store with every kind of row: runs that ended and that were left, their ledgers, jobs without one.

    One record has no data, one borrows that of another, and one has an id that is not its own lower case.
    """
    await runs.make(root)
    await plain.make(root)
    async with LocalStorage(root.as_uri()) as storage:
        await run_again(storage)
        await judge(storage)
        await storage.log_execution_job_start(GenerationJob(job_id="j", master_job_id="sums-1", status="running"))
        own = Record(record_uid="Über", job_id="j", master_job_id="sums-1", status="completed", start_time=runs.at(1))
        await storage.save_record(own, {"é": ["\x9b", 2**70, 1.5, None], "text": "x" * 5000})
        for uid, reference in (("borrower", own.output_ref), ("without", None)):
            row = Record(
                record_uid=uid, job_id="j", master_job_id="sums-1", status="failed", output_ref=reference,
                start_time=runs.at(2), error_message="why\0?",
            )  # fmt: skip
            await storage.log_record_metadata(row)
    return LocalStorage(root.as_uri())


async def run_again(storage: Storage) -> None:
    """Run inputs of a run again: one is replaced, one's outcome stands, and one has not been run yet."""
    ledger, run = storage.ledger, runs.ENDED
    jobs = sorted(one.job_id for one in await storage.list_execution_jobs(run, ["completed"]))
    segment = await ledger.add_segment(run, {"function": "é\0", "seed": 2**70})
    worker = Worker("worker-2", run, "here", runs.START, runs.at(60), segment.number)
    await ledger.save_worker(worker)
    await ledger.reset_inputs(run, ["completed"], job_ids=jobs)
    stands, replaced = await ledger.claim_inputs(run, worker.worker_id, 2, runs.START)
    source = StepSource(runs.DESERTED, stands.job_id, 1, 2, 0.25)
    for key, reused_from in (("ab" * 32, None), ("cd" * 32, source)):
        reply = Step(replaced.job_id, "POST a/b", {"result": {"body": "x" * 5000}}, 2, runs.at(20))
        asked = dataclasses.replace(reply, request_key=key, request="é\0", asked_when=runs.at(19))
        await ledger.save_step(dataclasses.replace(asked, reused_from=reused_from))
    calls = CallCounts(2, 1, 1, 0.25, 1, (CallNote("POST a/b", "ab" * 32, "429", "busy é\0", 3),))
    for one, error in ((replaced, None), (stands, "again")):
        output = Output("failed" if error else "completed", {"again": "é" * 500}, error)
        attempt = dataclasses.replace(runs.attempt(one, 20, error), worker_id=worker.worker_id, segment=1, calls=calls)
        await ledger.finish_input(Outcome(one, worker.worker_id, attempt, [output], error))
    await ledger.reset_inputs(run, ["completed"], job_ids=[replaced.job_id])
    await ledger.remove_worker(worker, runs.at(30))


async def judge(storage: Storage) -> None:
    """Say something of records of a run that has ended: one is edited, and one edit of another was withdrawn."""
    notes = storage.annotations
    records = await storage.get_records_for_master_job(runs.ENDED, ["completed", "filtered"])
    _, first, second = sorted(one.record_uid for one in records)
    await notes.add(first, "verdict", "accepted", author="ann")
    await notes.add(second, "label", "größer <b>", author="bob", time=runs.at(40))
    gone = await notes.add(second, "comment", "é\0\n", author="ann")
    await notes.withdraw(gone.annotation_id, author="ann")
    await notes.edit_record(first, {"edited": "é" * 500}, author="ann")
    edit = await notes.edit_record(second, {"edited": 2}, author="bob")
    await notes.withdraw(edit.annotation_id, author="bob")


async def whole(storage: Storage) -> dict[Any, Any]:
    """Return all rows and data of an open store, as they are in a copy: references and digests follow from the data."""
    transfer, found = storage.transfer, dict[Any, Any]()
    rows = transfer.rows
    for project in await rows.list_projects(limit=1000):
        found["project", project.project_id] = project
        for master_job_id in await rows.list_master_job_ids(project.project_id):
            job = await rows.get_master_job(master_job_id)
            assert job is not None
            found["master job", master_job_id] = job
            found["config", master_job_id] = await transfer.read_request_config(job.request_config_ref)
            found["run", master_job_id] = await rows.get_run(master_job_id)
            found["counts", master_job_id] = await storage.count_records_for_master_job(master_job_id)
            found["totals", master_job_id] = await storage.ledger.get_run(master_job_id)
            found |= {("segment", *one.id): one for one in await rows.list_segments(master_job_id)}
            jobs = await rows.list_execution_jobs(master_job_id, limit=100_000)
            ids = [one.job.job_id for one in jobs]
            found |= {("execution job", one.job.job_id): at_rest(one) for one in jobs}
            found |= {("attempt", *one.id): one for one in await rows.get_attempts(ids)}
            found |= {("step", *one.id): one for one in await rows.get_steps(ids)}
            found |= {("standing", one.job_id): one for one in await rows.get_standing(ids)}
            for one in await rows.get_versions(ids):
                plain = one.version._replace(output_ref=None, data_sha256=None)
                found["version", *plain.id] = (plain, await rows.read_version(one))
            records = await rows.list_records(master_job_id, limit=100_000)
            read = await rows.get_records([one.record.record_uid for one in records])
            keys = {one.record.record_uid: (one.unique_key, one.numbers) for one in read}
            for one in await rows.list_annotations(master_job_id, limit=100_000):
                found["annotation", one.annotation_id] = one
            for (record, *_), data in zip(records, await transfer.read_records(records), strict=True):
                row = record._replace(output_ref=None, data_sha256=None)
                found["record", record.record_uid] = (row, keys[record.record_uid], data)
    return found
