"""What a store holds after an import, and that it is sound."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from starfish_storage import GenerationMasterJob, Storage
from starfish_storage.maintenance import verify


async def rows_of(storage: Storage, master_job_id: str) -> list[dict[str, Any]]:
    """Return the data of a master job's records in the order in which exports read them."""
    return [
        json.loads(record.payload)
        async for batch in storage.scan_records(master_job_id)
        for record in batch
        if record.payload is not None
    ]


async def job_of(storage: Storage, master_job_id: str) -> GenerationMasterJob:
    job = await storage.get_master_job(master_job_id)
    assert job is not None
    return job


async def config_of(storage: Storage, master_job_id: str) -> dict[str, Any]:
    return await storage.get_request_config((await job_of(storage, master_job_id)).request_config_ref)


async def assert_sound(root: Path) -> None:
    """Nothing is damaged, and nothing is odd."""
    report = await asyncio.to_thread(verify, root.as_uri())
    assert list(report.findings) == [], str(report)
