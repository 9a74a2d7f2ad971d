"""Calls of the framework's contract of storages, with its own models: see `framework_server.py`."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import importlib
import json
from typing import Any

from integrations.factories import use

NOW = dt.datetime.now(dt.UTC)
TEXT = json.dumps({"a": 1})
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
STATUSES = ("completed", "completed", "filtered", "failed")
COUNTS = {"completed": 2, "filtered": 1, "duplicate": 0, "failed": 1}


def its_contract(store: str) -> Any:
    use(store)
    return asyncio.run(call(store))


async def call(store: str) -> Any:
    """Call a storage that is made in each of the framework's ways."""
    base: Any = importlib.import_module("starfish.data_factory.storage.base")
    local: Any = importlib.import_module("starfish.data_factory.storage.local.local_storage")
    found: dict[str, Any] = {"types": base.get_available_storage_types()}
    made = [local.LocalStorage(store), base.create_storage({"type": "local", "storage_uri": store})]
    assert all(isinstance(storage, base.Storage) for storage in made)
    storage = made[0]
    await storage.setup()
    await storage.setup()
    references = await save(storage, store)
    found |= await read_jobs(storage) | await read_records(storage, references)
    await storage.close()
    await storage.close()
    return found | {"lies at": storage._metadata_handler.db_path}


async def save(storage: Any, store: str) -> list[str]:
    """Store a job in all its parts, and return where the data of its records lies."""
    models: Any = importlib.import_module("starfish.data_factory.storage.models")
    for n in range(3):
        await storage.save_project(models.Project(project_id=f"p{n}", name=f"Project {n}", description="d"))
    reference = storage.generate_request_config_path("m")
    await storage.save_request_config(reference, {"generator": "g"})
    master = models.GenerationMasterJob(
        master_job_id="m",
        project_id="p1",
        name="Job",
        status="pending",
        request_config_ref=reference,
        output_schema={"type": "object"},
        storage_uri=store,
        target_record_count=10,
    )
    await storage.log_master_job_start(master)
    await storage.update_master_job_status("m", "running", NOW)
    assert [job.master_job_id for job in await storage.list_master_jobs("p1", ["running"])] == ["m"]
    job = {"master_job_id": "m", "status": "pending", "run_config": TEXT, "run_config_hash": DIGEST}
    jobs = [models.GenerationJob(job_id=f"j{n}", **job) for n in range(3)]
    await storage._metadata_handler.batch_save_execution_jobs(jobs)
    records = [
        models.Record(record_uid=f"record-{n}", job_id="j0", master_job_id="m", status=status, end_time=NOW)
        for n, status in enumerate(STATUSES)
    ]
    for n, record in enumerate(records[:3]):
        record.output_ref = await storage.save_record_data(record.record_uid, "m", "j0", {"n": n})
    await storage.log_record_metadata(records[0])
    await storage._metadata_handler.batch_save_records(records)
    await storage.log_execution_job_end("j0", "completed", COUNTS, NOW, NOW)
    await storage.log_master_job_end("m", "completed", COUNTS, NOW, NOW)
    return [record.output_ref for record in records[:3]]


async def read_jobs(storage: Any) -> dict[str, Any]:
    job, master = await storage.get_execution_job("j0"), await storage.get_master_job("m")
    by_hash = await storage.list_execution_jobs_by_master_id_and_config_hash("m", DIGEST, "completed")
    return {
        "projects": [[p.name for p in await storage.list_projects(*page)] for page in ((), (2,), (None, 2))],
        "config": await storage.get_request_config(master.request_config_ref),
        "job": [job.status, job.completed_record_count, job.run_config_hash == DIGEST],
        "master": [master.status, master.completed_record_count, master.failed_record_count],
        "jobs": sorted(one.job_id for one in await storage.list_execution_jobs("m", ["pending"])),
        "by hash": [one.job_id for one in by_hash],
    }


async def read_records(storage: Any, references: list[str]) -> dict[str, Any]:
    completed = await storage.get_records_for_master_job("m", ["completed"])
    return {
        "records": sorted(one.record_uid for one in completed),
        "of job": len(await storage.list_record_metadata("m", "j0")),
        "counts": {k: v for k, v in (await storage.count_records_for_master_job("m")).items() if v},
        "data": [await storage.get_record_data(reference) for reference in references],
        "record": (await storage.get_record_metadata("record-3")).status,
        "none": [await storage.get_project("x"), await storage.get_master_job("x")],
    }
