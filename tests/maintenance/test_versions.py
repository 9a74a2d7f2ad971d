"""Versions of records in the care of a store: checked, repaired and collected, wherever the store lies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from durability import run_workload, workload
from durability.run_workload import NOW, an_outcome, check_rebuilt
from maintenance.remote_stores import RemoteStore
from starfish_storage import LocalStorage, Storage
from starfish_storage.maintenance import backup, collect, repair, restore, verify
from starfish_storage.runs import Output

WORKER, NONE = "worker", timedelta(0)


async def retried(storage: Storage, run: str) -> str:
    """Run two inputs again: one gets another output, one a failed one that does not replace it; return an id."""
    ledger = storage.ledger
    held = await run_workload.start(storage, run, WORKER, 2)
    for one in held:
        await ledger.finish_input(an_outcome(one, WORKER, [Output("completed", {"n": 1}), Output("completed", {})]))
    await ledger.reset_inputs(run, ["completed"], job_ids=[one.job_id for one in held])
    for one, status in zip(await ledger.claim_inputs(run, WORKER, 2, NOW), ("completed", "failed"), strict=True):
        await ledger.finish_input(an_outcome(one, WORKER, [Output(status, {"n": 2}, "why")]))  # type: ignore[arg-type]
    return held[0].job_id


async def data_of(storage: Storage, uid: str) -> list[object]:
    return [
        (await storage.ledger.get_version_data(uid, version.number) or {}).get("n")
        for version in await storage.ledger.list_versions(uid)
    ]


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    async with LocalStorage(tmp_path / "store") as storage:
        await workload.prepare(storage)
        await retried(storage, workload.MASTER)
    return tmp_path / "store"


def versions_in(root: Path) -> list[Path]:
    """Return the files of versions, by the time they were produced."""
    return sorted(path for path in root.glob("data/*/*.json") if path.name.count(".") == 2)


async def test_versions_are_sound_and_the_row_log_has_them(root: Path, tmp_path: Path) -> None:
    report = verify(root)
    assert (report.findings, report.records) == ((), 6)
    check_rebuilt(root, tmp_path / "rebuilt.db")


async def test_what_is_lost_of_a_version_is_found_and_repaired(root: Path) -> None:
    lost, flipped = versions_in(root)
    lost.unlink()
    flipped.write_bytes(flipped.read_bytes().replace(b"n", b"m"))
    kinds = {finding.subject: finding.kind for finding in verify(root).findings}
    keys = [str(path.relative_to(root)) for path in (lost, flipped)]
    assert kinds == dict(zip(keys, ("data_missing", "data_damaged"), strict=True))
    done = repair(root)
    assert [step.kind for step in done.steps] == ["fail_version"] * 2
    assert verify(root).findings == ()
    async with LocalStorage(root) as storage:
        found = [
            version
            for job in await storage.list_execution_jobs(workload.MASTER, ["completed"])
            for version in await storage.ledger.list_versions(f"{job.job_id}-0")
        ]
    told = [version for version in found if not version.has_data]
    assert len(told) == 2
    assert all("repair: " in str(version.error_message) for version in told)


async def test_an_output_that_was_lost_does_not_keep_an_input_from_getting_another(root: Path) -> None:
    async with LocalStorage(root) as storage:
        job = (await storage.list_execution_jobs(workload.MASTER, ["completed"]))[0]
        uid = f"{job.job_id}-0"
        record = await storage.get_record_metadata(uid)
        assert record is not None
        Path(str(record.output_ref)).unlink()
        ledger = storage.ledger
        await ledger.reset_inputs(workload.MASTER, ["completed"], job_ids=[job.job_id])
        (claimed,) = await ledger.claim_inputs(workload.MASTER, WORKER, 1, NOW)
        await ledger.finish_input(an_outcome(claimed, WORKER, [Output("completed", {"n": 3})]))
        versions = await ledger.list_versions(uid)
        assert [version.has_data for version in versions][-1]
        assert any("lost before it was replaced" in str(version.error_message) for version in versions)
    assert verify(root).findings == ()


async def test_old_versions_are_collected(root: Path) -> None:
    kept = len(list(root.glob("data/*/*.json")))
    assert collect(root, grace=NONE).removed == []
    assert collect(root, grace=NONE, versions_older_than=timedelta(days=1)).versions == 0
    assert collect(root, grace=NONE, versions_older_than=NONE, dry_run=True).versions == 2
    assert len(list(root.glob("data/*/*.json"))) == kept
    assert collect(root, grace=NONE, versions_older_than=NONE).versions == 2
    assert (versions_in(root), len(list(root.glob("data/*/*.json")))) == ([], kept - 2)
    assert verify(root).findings == ()


async def test_what_versions_leave_in_packs_is_freed_with_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "store"
    async with LocalStorage(root, layout="packed") as storage:
        await workload.prepare(storage)
        await retried(storage, workload.MASTER)
    planned = collect(root, grace=NONE, versions_older_than=NONE, dry_run=True)
    assert (planned.versions, planned.dry_run) == (2, True)
    report = collect(root, grace=NONE, versions_older_than=NONE)
    assert (report.versions, report.packs_rewritten, report.dry_run) == (2, 1, False)
    assert verify(root).dead_bytes == 0  # not written anew first, and dead after that


async def test_versions_on_other_machines(remote: RemoteStore, week_later: None) -> None:
    """Verify knows them, collect leaves them alone until it is told, and a deletion takes them along."""
    before = remote.objects()
    async with remote.open() as storage:
        job_id = await retried(storage, "m1")
        assert await data_of(storage, f"{job_id}-0") == [1, 2]
    with_versions = remote.objects()
    assert len(with_versions) == len(before) + 6
    assert (remote.kinds(), remote.collect().removed) == ([], [])
    assert remote.objects() == with_versions
    assert remote.collect(versions_older_than=NONE, dry_run=True).versions == 2
    assert remote.collect(versions_older_than=timedelta(days=1)).versions == 0
    async with remote.open() as storage:
        await storage.ledger.restore_version(f"{job_id}-0", 1)
        assert await data_of(storage, f"{job_id}-0") == [1, 2]
    assert remote.kinds() == []
    assert remote.collect(versions_older_than=NONE).versions == 2
    assert len(remote.objects()) == len(before) + 4
    assert remote.kinds() == []
    async with remote.open() as storage:
        assert await data_of(storage, f"{job_id}-0") == [1]
        await storage.delete_master_job("m1")
    assert remote.kinds() == []
    assert not any(job_id in name for name in remote.objects())


async def test_a_version_that_is_lost_on_another_machine_is_found(remote: RemoteStore) -> None:
    before = set(remote.objects())
    async with remote.open() as storage:
        job_id = await retried(storage, "m1")
        await storage.ledger.reset_inputs("m1", ["completed"], job_ids=[job_id])
        paid = set(remote.objects()) - before
        current = {remote.file_of(f"{job_id}-{number}").name for number in range(2)}
    (lost,) = [name for name in paid if job_id in name and name.rpartition("/")[2] not in current]
    remote.remove(lost)
    assert remote.kinds() == [("data_missing", lost)]


async def test_a_backup_has_the_versions(root: Path, tmp_path: Path) -> None:
    """And a second one, after another version has become the current one, has them as they are then."""
    target = tmp_path / "backup"
    backup(root, target)
    async with LocalStorage(root) as storage:
        jobs = await storage.list_execution_jobs(workload.MASTER, ["completed"])
        (job, *_) = [one for one in jobs if len(await storage.ledger.list_versions(f"{one.job_id}-0")) == 2]
        await storage.ledger.restore_version(f"{job.job_id}-0", 1)
        await storage.ledger.restore_version(f"{job.job_id}-0", 2)
        expected = await data_of(storage, f"{job.job_id}-0")
    backup(root, target)
    restore(target, tmp_path / "restored")
    assert verify(tmp_path / "restored").findings == ()
    async with LocalStorage(tmp_path / "restored") as storage:
        assert await data_of(storage, f"{job.job_id}-0") == expected


async def test_data_that_another_record_borrows_stays(root: Path) -> None:
    """Though the record whose it is has none any more."""
    async with LocalStorage(root) as storage:
        ledger = storage.ledger
        job = (await storage.list_execution_jobs(workload.MASTER, ["completed"]))[0]
        record = await storage.get_record_metadata(f"{job.job_id}-0")
        assert record is not None
        borrower = record.model_copy(update={"record_uid": "borrower", "job_id": job.job_id})
        await storage.log_record_metadata(borrower)
        before = await storage.get_record_data(str(record.output_ref))
        await ledger.reset_inputs(workload.MASTER, ["completed"], job_ids=[job.job_id], replace="always")
        (claimed,) = await ledger.claim_inputs(workload.MASTER, WORKER, 1, NOW)
        await ledger.finish_input(an_outcome(claimed, WORKER, [Output("failed", None, "no")]))
        assert await storage.get_record_data(str(borrower.output_ref)) == before
    assert verify(root).findings == ()
