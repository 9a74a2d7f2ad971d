"""Writes a store with the real `starfish-core` 0.1.3; run by `make_assets.py` in an environment that has it.

Usage: ``python starfish_writer.py ROOT ANSWERS``. What Starfish answers about it goes to ANSWERS, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from starfish.data_factory.storage.local.local_storage import LocalStorage  # type: ignore[import-not-found]
from starfish.data_factory.storage.models import (  # type: ignore[import-not-found]
    GenerationJob,
    GenerationMasterJob,
    Project,
    Record,
)

NOON = datetime(2025, 4, 1, 12, 0, 0, 123456, tzinfo=UTC)
RECORD_STATUSES = ["pending", "running", "completed", "duplicate", "filtered", "failed", "cancelled"]
MASTER_JOB_STATUSES = ["pending", "running", "completed", "failed", "completed_with_errors", "cancelled"]

# What Starfish's own API refuses to write, and its tables take.
BY_HAND = """
INSERT INTO Projects (project_id, name) VALUES ('dated-by-sqlite', 'times without an offset');
UPDATE Projects SET created_when = '2025-01-02 03:04:05', updated_when = '2025-01-02T03:04:05.5';
INSERT INTO GenerationMasterJob
    (master_job_id, project_id, status, request_config_ref, output_schema, storage_uri, target_record_count,
     creation_time, last_update_time)
VALUES
    ('m-generating', 'p-1', 'generating', '/tmp/starfish-run/configs/m-generating.request.json', '{}',
     'file:///tmp/starfish-run', 1, '2025-04-01 12:00:00', '2025-04-01 12:00:00'),
    ('m-aggregating', NULL, 'aggregating', '/tmp/starfish-run/configs/m-aggregating.request.json', '["a", 1]',
     'file:///somewhere/else', 1, '2025-04-01T14:00:00+02:00', '2025-04-01T14:00:00.1234567+02:00');
INSERT INTO GenerationJob (job_id, master_job_id, status, run_config, run_config_hash, creation_time, last_update_time)
VALUES ('e-list', 'm-generating', 'pending', '[1, NaN]', 'a hash', '2025-04-01 12:00:00', '2025-04-01 12:00:00'),
       ('e-orphan', 'm-deleted', 'running', NULL, '', '2025-04-01 12:00:00', '2025-04-01 12:00:00');
INSERT INTO Records (record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time,
                     error_message)
VALUES ('r-no-data', 'e-list', 'm-generating', 'pending', NULL, '2025-04-01 12:00:00', '2025-04-01 12:00:01',
        '2025-04-01 12:00:01', NULL),
       ('r-outside', 'e-list', 'm-generating', 'failed', '/etc/../etc/hostname', '2025-04-01 12:00:02',
        '2025-04-01 12:00:02', '2025-04-01 12:00:02', 'it failed'),
       ('r-orphan', 'e-deleted', 'm-generating', 'completed', NULL, '2025-04-01 12:00:03', '2025-04-01 12:00:03',
        '2025-04-01 12:00:03', NULL),
       ('r-two-masters', 'e-list', 'm-aggregating', 'completed', NULL, '2025-04-01 12:00:04', '2025-04-01 12:00:04',
        '2025-04-01 12:00:04', NULL);
"""


async def main(root: str, answers: str) -> None:
    """Write the store, note what Starfish answers, then add by hand what it could not write."""
    storage = LocalStorage(f"file://{root}")
    await storage.setup()
    projects = [Project(project_id=f"p-{n}", name=name) for n, name in enumerate(["zuerst", "größer 日本", "leer"])]
    for project in projects:
        await storage.save_project(project)
    masters = [await write_master_job(storage, n, status) for n, status in enumerate(MASTER_JOB_STATUSES)]
    listed = [await storage.get_master_job(uid) for uid in masters]
    jobs = [job for uid in masters for job in await storage.list_execution_jobs(uid)]
    records = [record for uid in masters for record in await storage.get_records_for_master_job(uid)]
    said = {
        "master_jobs": [job.model_dump(mode="json") for job in listed],
        "execution_jobs": [job.model_dump(mode="json") for job in jobs],
        "records": [record.model_dump(mode="json") for record in records],
        "counts": {uid: await storage.count_records_for_master_job(uid) for uid in masters},
        "data": {
            record.record_uid: await storage.get_record_data(record.output_ref)
            for record in records
            if record.output_ref is not None
        },
        "configs": {job.master_job_id: await storage.get_request_config(job.request_config_ref) for job in listed},
    }
    await storage.close()
    Path(answers).write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    connection = sqlite3.connect(f"{root}/metadata.db")
    connection.executescript(BY_HAND)
    connection.close()


async def write_master_job(storage: LocalStorage, number: int, status: str) -> str:
    """Write a master job with its configuration, an execution job and records of every status."""
    uid = f"Master-{number}"
    reference = storage.generate_request_config_path(uid)
    await storage.save_request_config(reference, {"prompt": "naïve ☃", "number": number})
    await storage.log_master_job_start(
        GenerationMasterJob(
            master_job_id=uid,
            project_id=f"p-{number % 2}",
            name=f"job {number}",
            request_config_ref=reference,
            output_schema={"type": "object"},
            storage_uri=f"file://{storage.base_path}",
            target_record_count=len(RECORD_STATUSES),
            creation_time=NOON + timedelta(hours=number),
            last_update_time=NOON,
        )
    )
    config = {"city": "Zürich", "number": number}
    job = GenerationJob(
        job_id=f"e-{number}",
        master_job_id=uid,
        run_config=config,
        run_config_hash=f"hash-{number}",
        creation_time=NOON,
        start_time=NOON.astimezone(timezone(timedelta(hours=-5))),
    )
    await storage.log_execution_job_start(job)
    for place, record_status in enumerate(RECORD_STATUSES):
        await write_record(storage, number, place, job, record_status)
    counts = {"completed": 1, "filtered": 1, "duplicate": 1, "failed": 1}
    await storage.log_execution_job_end(job.job_id, "completed", counts, NOON + timedelta(hours=1), NOON)
    if status in ("completed", "failed", "completed_with_errors"):
        await storage.log_master_job_end(uid, status, counts, NOON + timedelta(hours=2), NOON)
    else:
        await storage.update_master_job_status(uid, status, NOON)
    return uid


async def write_record(storage: LocalStorage, number: int, place: int, job: GenerationJob, status: str) -> None:
    """Write a record; one of each master job has a uid of less than four characters."""
    uid = f"s{number}" if place == 0 else f"Rec-{number}-{status}"
    reference = None
    if status != "failed":
        data = {"text": f"Ünïcode {uid}", "n": place, "list": [1, None]}
        reference = await storage.save_record_data(uid, job.master_job_id, job.job_id, data)
    await storage.log_record_metadata(
        Record(
            record_uid=uid,
            job_id=job.job_id,
            master_job_id=job.master_job_id,
            status=status,
            output_ref=reference,
            start_time=NOON + timedelta(minutes=place),
            end_time=NOON + timedelta(minutes=place + 1),
            last_update_time=NOON,
            error_message="broken" if status == "failed" else None,
        )
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
