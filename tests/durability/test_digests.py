"""Digests: what is read is what was saved, and no change of a row declares damaged data whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durability import workload
from durability.faults import FaultyStorage, Steps, fail
from starfish_storage import DataLostError, ParentNotFoundError, Record, StorageIOError, StoreDamagedError
from unit.store_on_disk import rows_of


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[FaultyStorage]:
    storage = FaultyStorage(tmp_path, Steps())
    await storage.setup()
    await workload.prepare(storage)
    yield storage
    await storage.close()


async def save(storage: FaultyStorage, uid: str, version: int) -> Path:
    return Path(await storage.save_record(workload.record(uid, version), workload.payload(uid, version)))


async def borrow(storage: FaultyStorage, uid: str, reference: Path) -> None:
    await storage.log_record_metadata(workload.record(uid, 1).model_copy(update={"output_ref": str(reference)}))


async def falsify(storage: FaultyStorage, path: Path) -> None:
    """Change data, which stays JSON, once the journal no longer has it."""
    await storage.close()
    await storage.setup()
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":7'))


def digests(root: Path) -> dict[str, str]:
    data_sha256 = 9  # where the column stands
    return {row[0]: row[data_sha256] for row in rows_of(root)["records"] if isinstance(row, tuple)}


async def test_other_data_than_was_saved_is_not_handed_out(storage: FaultyStorage) -> None:
    reference = await save(storage, "r1", 1)
    await falsify(storage, reference)
    with pytest.raises(StoreDamagedError, match="SHA-256 differs"):
        await storage.get_record_data(str(reference))
    with pytest.raises(StoreDamagedError, match="SHA-256 differs"):
        await storage.get_records_data([str(reference)])
    reference.unlink()
    with pytest.raises(DataLostError):
        await storage.get_record_data(str(reference))


async def test_a_change_of_a_row_does_not_declare_damaged_data_whole(storage: FaultyStorage, tmp_path: Path) -> None:
    """Neither its own, nor one of a record that begins to borrow the data."""
    reference = await save(storage, "r1", 1)
    saved = digests(tmp_path)["r1"]
    await falsify(storage, reference)
    await borrow(storage, "r1", reference)
    await borrow(storage, "r2", reference)
    assert digests(tmp_path) == {"r1": saved, "r2": saved}
    with pytest.raises(StoreDamagedError):
        await storage.get_record_data(str(reference))


async def test_every_row_that_refers_to_data_has_its_digest(storage: FaultyStorage, tmp_path: Path) -> None:
    """However it is saved anew: with its own row, in a batch, or by itself."""
    reference = await save(storage, "r1", 1)
    await borrow(storage, "r2", reference)
    before = digests(tmp_path)["r1"]
    await save(storage, "r1", 2)
    first = digests(tmp_path)
    await storage.save_record_data("r1", workload.MASTER, workload.JOB, workload.payload("r1", 3))
    second = digests(tmp_path)
    assert first["r1"] == first["r2"] != before
    assert second["r1"] == second["r2"] != first["r1"]
    assert await storage.get_record_data(str(reference)) == workload.payload("r1", 3)


async def test_digests_of_what_failed_are_forgotten(storage: FaultyStorage) -> None:
    """A batch that fails in its last record, and a change of a row in the same group."""
    uids = [f"r{number:02}" for number in range(65)]
    references = [await save(storage, uid, 1) for uid in uids]
    orphan = Record(record_uid="orphan", job_id="nobody", master_job_id=workload.MASTER, status="completed")
    pairs = [(workload.record(uid, 2), workload.payload(uid, 2)) for uid in uids]
    failed, *_ = await asyncio.gather(
        storage.save_records([*pairs, (orphan, {})]),
        *(borrow(storage, uid, reference) for uid, reference in zip(uids, references, strict=True)),
        return_exceptions=True,
    )
    assert isinstance(failed, ParentNotFoundError)
    await storage.close()  # so that nothing is read from the journal
    await storage.setup()
    for uid, reference in zip(uids, references, strict=True):
        assert await storage.get_record_data(str(reference)) == workload.payload(uid, 1)


async def test_digests_of_data_that_could_not_be_put_in_place_are_taken_back(
    storage: FaultyStorage, tmp_path: Path
) -> None:
    reference = await save(storage, "r1", 1)
    await borrow(storage, "r2", reference)
    before = digests(tmp_path)
    storage.steps.before = fail("rename r1")
    with pytest.raises(StorageIOError):
        await storage.save_record_data("r1", workload.MASTER, workload.JOB, workload.payload("r1", 2))
    storage.steps.before = fail("rename r1")
    with pytest.raises(StorageIOError):
        await save(storage, "r1", 2)
    assert digests(tmp_path) == before
    assert await storage.get_record_data(str(reference)) == workload.payload("r1", 1)
