"""SQL through every text that a call takes: it stays text; and pages of every kind of number."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import InvalidInputError, InvalidStatusError, StorageError
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    PROJECT,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import collected
from unit.store_on_disk import data_of, everything_in

Call = Callable[[Storage, str], Awaitable[Any]]

# All of them are ids too, so that they reach the statements; those with '*', '"' or '\' would be refused before.
INJECTIONS = [
    "'",
    "''",
    "x' OR '1'='1",
    "x' OR 1=1 --",
    "'; DROP TABLE records; --",
    "'); DELETE FROM projects; --",
    "1; PRAGMA user_version = 99; --",
    "x' UNION SELECT name, sql, 1, 2, 3 FROM sqlite_schema --",
    "`; VACUUM; `",
    "[records]",
    "%",
    "_",
    "record_1%",
    "records--x",
    "$1 @a #b",
    "NULL",
    "0",
    "1e309",
    "x';ATTACH DATABASE 'planted.db' AS planted;--",
]

READING: dict[str, Call] = {
    "get_project": lambda s, text: s.get_project(text),
    "get_master_job": lambda s, text: s.get_master_job(text),
    "get_execution_job": lambda s, text: s.get_execution_job(text),
    "get_record_metadata": lambda s, text: s.get_record_metadata(text),
    "list_master_jobs": lambda s, text: s.list_master_jobs(text),
    "list_execution_jobs": lambda s, text: s.list_execution_jobs(text),
    "jobs of a hash": lambda s, text: s.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, text, "running"),
    "jobs of a master": lambda s, text: s.list_execution_jobs_by_master_id_and_config_hash(text, "h", "running"),
    "completed_config_hashes": lambda s, text: s.completed_config_hashes(text),
    "get_records_for_master_job": lambda s, text: s.get_records_for_master_job(text),
    "count_records_for_master_job": lambda s, text: s.count_records_for_master_job(text),
    "list_record_metadata": lambda s, text: s.list_record_metadata(MASTER_JOB, text),
    "list_record_metadata of": lambda s, text: s.list_record_metadata(text, JOB),
    "iter_records": lambda s, text: collected(s.iter_records(text)),
}

STATUSES: dict[str, Call] = {
    "filter of master jobs": lambda s, text: s.list_master_jobs(None, [text]),
    "filter of execution jobs": lambda s, text: s.list_execution_jobs(MASTER_JOB, ["running", text]),
    "filter of records": lambda s, text: s.get_records_for_master_job(MASTER_JOB, [text]),
    "filter of counts": lambda s, text: s.count_records_for_master_job(MASTER_JOB, [text]),
    "filter of a stream": lambda s, text: collected(s.iter_records(MASTER_JOB, [text])),
    "status of a look-up": lambda s, text: s.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, "h", text),
    "update": lambda s, text: s.update_master_job_status(MASTER_JOB, text, at(1)),
    "end of a master job": lambda s, text: s.log_master_job_end(MASTER_JOB, text, {}, at(1), at(2)),
    "end of an execution job": lambda s, text: s.log_execution_job_end(JOB, text, {}, at(1), at(2)),
    "record": lambda s, text: s.log_record_metadata(a_record().model_copy(update={"status": text})),
}

UNKNOWN: dict[str, Call] = {
    "update_master_job_status": lambda s, text: s.update_master_job_status(text, "running", at(1)),
    "log_master_job_end": lambda s, text: s.log_master_job_end(text, "completed", {}, at(1), at(2)),
    "log_execution_job_end": lambda s, text: s.log_execution_job_end(text, "completed", {}, at(1), at(2)),
    "delete_master_job": lambda s, text: s.delete_master_job(text),
    "delete_project": lambda s, text: s.delete_project(text, cascade=True),
    "record of a job": lambda s, text: s.save_record(a_record("r", text), {}),
    "record of a master job": lambda s, text: s.save_record(a_record("r", master_job_id=text), {}),
    "job of a master job": lambda s, text: s.log_execution_job_start(an_execution_job("j", text)),
    "master job of a project": lambda s, text: s.log_master_job_start(a_master_job(s, "m", project_id=text)),
    "data that is not there": lambda s, text: s.get_record_data(f"data/aa/{text}.json"),
    "configuration that is not there": lambda s, text: s.get_request_config(f"configs/{text}.request.json"),
}


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    async with LocalStorage(tmp_path.as_uri(), durability="process") as storage:
        await save_run(storage)
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"model": "m"})
        await storage.save_record(a_record(), {"answer": 42})
        yield storage


@pytest.mark.parametrize("name", READING)
async def test_reading_finds_nothing_of_that_name(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    before = everything_in(tmp_path), data_of(tmp_path)
    for text in INJECTIONS:
        assert not await READING[name](storage, text), text
    assert (everything_in(tmp_path), data_of(tmp_path)) == before


@pytest.mark.parametrize("name", STATUSES)
async def test_a_status_is_one_that_is_known(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    before = everything_in(tmp_path), data_of(tmp_path)
    for text in INJECTIONS:
        with pytest.raises(InvalidStatusError):
            await STATUSES[name](storage, text)
    assert (everything_in(tmp_path), data_of(tmp_path)) == before


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_does_not_exist_is_not_changed(storage: LocalStorage, tmp_path: Path, name: str) -> None:
    before = everything_in(tmp_path), data_of(tmp_path)
    for text in INJECTIONS:
        with pytest.raises(StorageError) as caught:
            await UNKNOWN[name](storage, text)
        assert caught.value.code in ("not_found", "parent_not_found", "data_not_found"), (text, caught.value)
    assert (everything_in(tmp_path), data_of(tmp_path)) == before


async def test_it_is_stored_as_it_was_given(storage: LocalStorage, tmp_path: Path) -> None:
    for text in INJECTIONS:
        await storage.save_project(a_project(text, name=text, description=text))
        master_job = a_master_job(storage, text, project_id=text, name=text, summary={text: text})
        await storage.save_request_config(master_job.request_config_ref, {text: text})
        await storage.log_master_job_start(master_job)
        job = an_execution_job(text, text, run_config={text: text}, run_config_hash=text, worker_id=text)
        await storage.log_execution_job_start(job)
        await storage.log_execution_job_end(text, "failed", {text: 1}, at(1), at(2), error_message=text)
        await storage.save_record(a_record(text, text, text, error_message=text), {text: text})
    for text in INJECTIONS:
        project, master = await storage.get_project(text), await storage.get_master_job(text)
        job, record = await storage.get_execution_job(text), await storage.get_record_metadata(text)
        assert project is not None
        assert master is not None
        assert job is not None
        assert record is not None
        assert (project.name, project.description) == (text, text)
        assert (master.name, master.summary) == (text, {text: text})
        assert (job.run_config, job.run_config_hash, job.worker_id, job.error_message) == ({text: text}, *[text] * 3)
        assert record.error_message == text
        assert await storage.get_record_data(str(record.output_ref)) == {text: text}
        assert await storage.get_request_config(master.request_config_ref) == {text: text}
        assert [found.job_id for found in await storage.list_execution_jobs(text)] == [text]
        found = await storage.list_execution_jobs_by_master_id_and_config_hash(text, text, "failed")
        assert [one.job_id for one in found] == [text]
        assert [one.record_uid for one in await storage.list_record_metadata(text, text)] == [text]
    for text in INJECTIONS:
        await storage.delete_project(text, cascade=True)
    assert [found.project_id for found in await storage.list_projects()] == [PROJECT]
    assert [found.record_uid for found in await storage.get_records_for_master_job(MASTER_JOB)] == [RECORD]
    assert not (tmp_path / "planted.db").exists()


# --- limits and offsets -----------------------------------------------------------------------------------------------

LISTS: dict[str, Callable[..., Awaitable[Any]]] = {
    "list_projects": lambda s, **page: s.list_projects(**page),
    "list_master_jobs": lambda s, **page: s.list_master_jobs(**page),
    "list_execution_jobs": lambda s, **page: s.list_execution_jobs(MASTER_JOB, **page),
    "get_records_for_master_job": lambda s, **page: s.get_records_for_master_job(MASTER_JOB, **page),
}
NO_NUMBERS: list[Any] = [
    *(True, False, 1.0, 0.0, math.nan, math.inf, "1", "", "1; DROP TABLE records", b"1", [1], {}, Decimal(1), 1j),
    *(-1, -(2**63), 2**63, 2**64, 10**30),
]


@pytest.mark.parametrize("name", LISTS)
async def test_impossible_pages(storage: LocalStorage, name: str) -> None:
    for number in NO_NUMBERS:
        for page in ({"limit": number}, {"offset": number}, {"limit": 1, "offset": number}):
            with pytest.raises(InvalidInputError, match=r"limit|offset"):
                await LISTS[name](storage, **page)


@pytest.mark.parametrize("name", LISTS)
async def test_possible_pages(storage: LocalStorage, name: str) -> None:
    most = 2**63 - 1
    for page, rows in [
        ({"limit": 0}, 0),
        ({"limit": 1}, 1),
        ({"limit": most}, 1),
        ({"limit": most, "offset": most}, 0),
        ({"offset": 0}, 1),
        ({"offset": 1}, 0),
        ({"offset": most}, 0),
        ({"limit": None, "offset": None}, 1),
    ]:
        assert len(await LISTS[name](storage, **page)) == rows, page


async def test_impossible_batches(storage: LocalStorage) -> None:
    for number in [*NO_NUMBERS, 0]:
        with pytest.raises(InvalidInputError):
            await collected(storage.iter_records(MASTER_JOB, batch_size=number))
    assert len(await collected(storage.iter_records(MASTER_JOB, batch_size=2**63 - 1))) == 1
