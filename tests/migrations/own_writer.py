"""Writes a store of our own with the release at hand; run by `make_assets.py`, in a process of its own.

Usage: ``python -m migrations.own_writer ROOT ANSWERS``, or ``ROOT kill`` to be killed with the store open.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from migrations.reading import everything
from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, Storage
from starfish_storage.models import MASTER_JOB_STATUSES, RECORD_STATUSES

NOON = datetime(2026, 4, 1, 12, 0, 0, 123456, tzinfo=UTC)


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
    if then == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    said = await everything(storage)
    await storage.close()
    Path(then).write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")


async def write_master_job(storage: Storage, number: int, status: str) -> None:
    """Write a master job with its configuration, an execution job and records of every status."""
    uid = f"Master-{number}"
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


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
