"""A run is started, killed and resumed in a store of every earlier format, and of Starfish."""

from __future__ import annotations

from pathlib import Path

import pytest

from durability.run_workload import NOW, a_worker, an_outcome, start
from migrations.stores import on_disk, unpack
from starfish_storage import LocalStorage
from starfish_storage.maintenance import verify
from starfish_storage.runs import Output

MASTER_JOB, WORKER = "Master-0", "worker"


@pytest.mark.parametrize(
    "version",
    ["v1", "v1-not-closed", "v2", "v2-not-closed", "v3", "v3-not-closed", "v4", "v4-not-closed", "starfish-0.1.3"],
)
async def test_a_run_is_made_of_a_master_job_that_was_there(tmp_path: Path, version: str) -> None:
    storage = unpack(version, tmp_path / "store")
    async with storage:
        ledger = storage.ledger
        before = on_disk(tmp_path / "store")
        assert await ledger.get_run(MASTER_JOB) is None
        assert await ledger.list_workers(MASTER_JOB) == []
        if version.startswith("starfish"):
            assert on_disk(tmp_path / "store") == before, "reading has touched a store of Starfish"
        there = await storage.count_records_for_master_job(MASTER_JOB)
        hashes = await storage.completed_config_hashes(MASTER_JOB)
        held = await start(storage, MASTER_JOB, WORKER, 3)
        assert [one.position for one in held] == [0, 1, 2], "an execution job that was there is no input"
        done = await ledger.finish_input(an_outcome(held[0], WORKER, [Output("completed", {"n": 1}, None, "key")]))
        assert done.status == "completed"
        found = await storage.count_records_for_master_job(MASTER_JOB)
        assert found == {**there, "completed": there.get("completed", 0) + 1}
        assert len(await storage.completed_config_hashes(MASTER_JOB)) == len(hashes) + 1
    async with LocalStorage(storage.storage_uri) as again:
        ledger = again.ledger
        assert await ledger.remove_worker(a_worker(WORKER, MASTER_JOB), NOW, died=True) == 2
        await ledger.save_worker(a_worker("next", MASTER_JOB))
        (one, two) = await ledger.claim_inputs(MASTER_JOB, "next", 9, NOW)
        assert (one.attempts, two.attempts) == (1, 1)
        done = await ledger.finish_input(an_outcome(one, "next", [Output("completed", {"n": 2}, None, "key")]))
        assert done.status == "duplicate"
    assert verify(storage.storage_uri).damage == []
