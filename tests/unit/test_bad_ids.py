"""Hostile ids, in every call that takes one: the exact error, the id in its message, and nothing written."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import InvalidIdError, StorageError
from starfish_storage.testing.hostile import HOSTILE_IDS
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from unit.store_on_disk import everything_in


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    """A store with a run of one record and its request configuration."""
    async with LocalStorage(tmp_path.as_uri(), durability="process") as storage:
        await save_run(storage)
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"model": "m"})
        await storage.save_record(a_record(), {"answer": 42})
        yield storage


BY_ID: dict[str, Callable[[Storage, Any], Awaitable[object]]] = {
    "save_project": lambda s, given: s.save_project(a_project().model_copy(update={"project_id": given})),
    "delete_project": lambda s, given: s.delete_project(given, cascade=True),
    "log_master_job_start": lambda s, given: s.log_master_job_start(
        a_master_job(s, "m2").model_copy(update={"master_job_id": given})
    ),
    "log_master_job_start in": lambda s, given: s.log_master_job_start(
        a_master_job(s, "m2").model_copy(update={"project_id": given})
    ),
    "log_master_job_end": lambda s, given: s.log_master_job_end(given, "completed", {}, at(1), at(2)),
    "update_master_job_status": lambda s, given: s.update_master_job_status(given, "completed", at(1)),
    "delete_master_job": lambda s, given: s.delete_master_job(given),
    "log_execution_job_start": lambda s, given: s.log_execution_job_start(
        an_execution_job().model_copy(update={"job_id": given})
    ),
    "log_execution_job_start in": lambda s, given: s.log_execution_job_start(
        an_execution_job("j2").model_copy(update={"master_job_id": given})
    ),
    "log_execution_job_end": lambda s, given: s.log_execution_job_end(given, "completed", {}, at(1), at(2)),
    "log_record_metadata": lambda s, given: s.log_record_metadata(a_record().model_copy(update={"record_uid": given})),
    "log_record_metadata in": lambda s, given: s.log_record_metadata(
        a_record("r").model_copy(update={"job_id": given})
    ),
    "save_record": lambda s, given: s.save_record(a_record().model_copy(update={"record_uid": given}), {}),
    "save_record in": lambda s, given: s.save_record(a_record("r").model_copy(update={"master_job_id": given}), {}),
    "save_record_data": lambda s, given: s.save_record_data(given, MASTER_JOB, JOB, {}),
    "save_record_data in": lambda s, given: s.save_record_data("r", given, JOB, {}),
    "save_record_data of": lambda s, given: s.save_record_data("r", MASTER_JOB, given, {}),
    "save_request_config": lambda s, given: s.save_request_config(s.generate_request_config_path(given), {}),
}


@pytest.mark.parametrize("name", BY_ID)
async def test_hostile_ids_are_refused_and_nothing_is_written(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    before, beside = everything_in(tmp_path), sorted(tmp_path.parent.iterdir())
    for hostile in HOSTILE_IDS:
        with pytest.raises(StorageError) as caught:
            await BY_ID[name](storage, hostile)
        assert type(caught.value) is InvalidIdError, (hostile, str(caught.value))
        if isinstance(hostile, str):
            assert ascii(hostile)[:50].rstrip("'\"") in str(caught.value)
        assert "cannot be used" in str(caught.value)
        assert "Use letters, digits" in str(caught.value)
        assert caught.value.value is hostile
    assert everything_in(tmp_path) == before
    assert sorted(tmp_path.parent.iterdir()) == beside


async def test_an_id_whose_fold_is_longer_than_an_id_may_be(storage: LocalStorage) -> None:
    # Casefolding makes this letter two: the id is within the limit, what it is compared by is not.
    uid = "\u0149" * 100
    reference = await storage.save_record(a_record(uid), {"a": 1})
    assert await storage.get_record_data(reference) == {"a": 1}


async def test_a_record_uid_may_differ_from_a_master_jobs_id_in_case_only(storage: LocalStorage) -> None:
    # They are different kinds of files, in different directories.
    await storage.save_record(a_record("MASTER-1"), {})
    await storage.log_master_job_start(a_master_job(storage, "RECORD-1"))
    assert await storage.get_record_metadata(RECORD) is not None
