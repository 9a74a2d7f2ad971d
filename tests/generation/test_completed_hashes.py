"""The hashes of what a run has done, read in pages."""

from __future__ import annotations

import pytest

from starfish_storage.interface import Storage
from starfish_storage.metadata import completed_hashes
from starfish_storage.models import GenerationJob
from starfish_storage.testing import samples


@pytest.mark.parametrize("at_once", [1, 3])
async def test_no_hash_is_left_out_between_two_pages(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Several of one hash, and several of one time, lie at the ends of pages."""
    monkeypatch.setattr(completed_hashes, "_AT_ONCE", at_once)
    await samples.save_run(storage)
    hashes = ["h", "h", "h", "h", "a", "é", "z", "\U0001f600", "0", None]
    for number, hashed in enumerate(hashes):
        job = GenerationJob(
            job_id=f"job-{number}",
            master_job_id=samples.MASTER_JOB,
            status="completed",
            run_config_hash=hashed,
            creation_time=samples.at(number // 4),
        )
        await storage.log_execution_job_start(job)
    assert await storage.completed_config_hashes(samples.MASTER_JOB) == {one for one in hashes if one}
