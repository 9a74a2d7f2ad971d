"""A store full of a marker, driven through every call and every failure: no log line, warning or error shows it."""

import asyncio
import errno
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from pydantic import ValidationError

from durability.faults import FaultyStorage, Steps, fail
from durability.marker import MARK, Listener, assert_shows_nothing, drive, shown
from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, Storage
from starfish_storage.errors import InvalidUriError, StorageError
from starfish_storage.identifiers import check_id
from starfish_storage.metadata.sqlite.commit import GroupCommit
from starfish_storage.opening import open_storage
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    PROJECT,
    RECORD,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    as_foreign_model,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import collected, outcome

CONTENT = {"prompt": MARK, "list": [MARK, {"deep": MARK}], "token": MARK, "headers": {"Authorization": MARK}}
DATA, CONFIG = "data/b7/record-1.json", f"configs/{MASTER_JOB}.request.json"


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    for name in ("starfish_storage", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield listener
    root.removeHandler(listener)
    root.setLevel(level)
    for name in ("starfish_storage", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


async def fill(storage: Storage) -> None:
    """Save the marker in everything that takes content."""
    await storage.save_project(a_project(name=MARK, description=MARK))
    master_job = a_master_job(storage, name=MARK, output_schema=CONTENT, summary=CONTENT)
    await storage.save_request_config(master_job.request_config_ref, CONTENT)
    await storage.log_master_job_start(master_job)
    job = an_execution_job(run_config=CONTENT, run_config_hash=MARK, worker_id=MARK, error_message=MARK)
    await storage.log_execution_job_start(job)
    await storage.log_execution_job_start(as_foreign_model(job, job_id="j2", run_config_hash=None))
    await storage.save_record_data(RECORD, MASTER_JOB, JOB, CONTENT)
    await storage.save_record(a_record(error_message=MARK), CONTENT)
    await storage.save_records([(a_record(f"r{number}", error_message=MARK), CONTENT) for number in range(3)])
    await storage.log_record_metadata(a_record(error_message=MARK, output_ref=DATA))
    await storage.log_execution_job_end(JOB, "failed", {"completed": 1, MARK: 1}, at(1), at(2), MARK)
    await storage.log_master_job_end(MASTER_JOB, "failed", CONTENT, at(1), at(2))
    await storage.update_master_job_status(MASTER_JOB, "running", at(3))


READING: list[Callable[[Storage], Awaitable[Any]]] = [
    lambda s: s.get_project(PROJECT),
    lambda s: s.list_projects(),
    lambda s: s.get_master_job(MASTER_JOB),
    lambda s: s.list_master_jobs(PROJECT),
    lambda s: s.get_request_config(CONFIG),
    lambda s: s.get_execution_job(JOB),
    lambda s: s.list_execution_jobs(MASTER_JOB),
    lambda s: s.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, MARK, "failed"),
    lambda s: s.completed_config_hashes(MASTER_JOB),
    lambda s: s.get_record_metadata(RECORD),
    lambda s: s.get_record_data(DATA),
    lambda s: s.get_records_data([DATA, DATA]),
    lambda s: s.get_records_for_master_job(MASTER_JOB),
    lambda s: s.count_records_for_master_job(MASTER_JOB),
    lambda s: s.list_record_metadata(MASTER_JOB, JOB),
    lambda s: collected(s.iter_records(MASTER_JOB)),
]


@pytest.mark.parametrize("redact", [True, False])
def test_calls_that_succeed(tmp_path: Path, listener: Listener, redact: bool) -> None:
    async def run() -> None:
        async with LocalStorage((tmp_path / "store").as_uri(), redact_secrets=redact) as storage:
            await fill(storage)
            for read in READING:
                assert await read(storage) is not None
            await asyncio.gather(*(asyncio.create_task(outcome(unshown(read, storage))) for read in READING))
            await storage.delete_master_job(MASTER_JOB)
            await storage.delete_project(PROJECT, cascade=True)

    said = drive(listener, run)
    assert any("$.headers.Authorization" in line for line in said) == redact


async def unshown(read: Callable[[Storage], Awaitable[Any]], storage: Storage) -> None:
    """Read, and return nothing: what a caller's own task returns is the caller's to show."""
    await read(storage)


def copied(model: Any, **update: Any) -> Any:
    return model.model_copy(update=update)


BAD: dict[str, Any] = {
    "nan": {**CONTENT, "bad": math.nan},
    "bytes": {**CONTENT, "bad": MARK.encode()},
    "set": {**CONTENT, "bad": {MARK}},
    "object": {**CONTENT, "bad": Project(name=MARK)},
    "keys that collide when joined": {**CONTENT, "\ud83d\ude00": MARK, "\U0001f600": MARK},
    "digits": {**CONTENT, "bad": [MARK, 10**5000]},
    "tuple as key": {**CONTENT, (MARK, 1): 1},
    "bytes as key": {**CONTENT, MARK.encode(): 1},
    "deep": {**CONTENT, "bad": eval("[" * 90 + "MARK" + "]" * 90)},
    "list": [MARK],
    "text": MARK,
}
BAD["deep"]["bad"] = [BAD["deep"]["bad"]]
for _ in range(200):
    BAD["deep"]["bad"] = [BAD["deep"]["bad"]]

LONE = f"{MARK}\ud800"
FAILING: dict[str, Callable[[Storage], Awaitable[Any]]] = {
    **{f"data: {name}": lambda s, value=value: s.save_record(a_record("r"), value) for name, value in BAD.items()},
    **{f"config: {name}": lambda s, value=value: s.save_request_config(CONFIG, value) for name, value in BAD.items()},
    **{
        f"run_config: {name}": lambda s, value=value: s.log_execution_job_start(
            copied(an_execution_job("j"), run_config=value)
        )
        for name, value in BAD.items()
    },
    **{
        f"foreign run_config: {name}": lambda s, value=value: s.log_execution_job_start(
            as_foreign_model(an_execution_job("j"), run_config=value)
        )
        for name, value in BAD.items()
        if name not in ("nan", "digits", "deep", "keys that collide when joined", "set", "object", "bytes")
    },
    **{
        f"summary: {name}": lambda s, value=value: s.log_master_job_end(MASTER_JOB, "failed", value, at(1), at(2))
        for name, value in BAD.items()
    },
    **{
        f"counts: {name}": lambda s, value=value: s.log_execution_job_end(JOB, "failed", value, at(1), at(2))
        for name, value in BAD.items()
    },
    **{
        f"schema: {name}": lambda s, value=value: s.log_master_job_start(
            copied(a_master_job(s, "m"), output_schema=value)
        )
        for name, value in BAD.items()
    },
    "name": lambda s: s.save_project(copied(a_project("p"), name=LONE)),
    "description": lambda s: s.save_project(copied(a_project("p"), description=LONE)),
    "name of a job": lambda s: s.log_master_job_start(copied(a_master_job(s, "m"), name=LONE)),
    "worker_id": lambda s: s.log_execution_job_start(copied(an_execution_job("j"), worker_id=LONE)),
    "hash": lambda s: s.log_execution_job_start(copied(an_execution_job("j"), run_config_hash=LONE)),
    "error": lambda s: s.log_execution_job_end(JOB, "failed", {}, at(1), at(2), LONE),
    "error of a record": lambda s: s.save_record(copied(a_record("r"), error_message=LONE), CONTENT),
    "look-up": lambda s: s.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, LONE, "failed"),
    "times": lambda s: s.save_record(copied(a_record("r"), start_time=MARK), CONTENT),
    "foreign times": lambda s: s.log_record_metadata(as_foreign_model(a_record("r"), start_time=MARK)),
    "foreign counts": lambda s: s.log_master_job_start(
        as_foreign_model(a_master_job(s, "m"), target_record_count=MARK, summary=f'{{"{MARK}', name=[MARK])
    ),
    "counts": lambda s: s.log_master_job_start(copied(a_master_job(s, "m"), target_record_count=MARK)),
    "counts of an end": lambda s: s.log_execution_job_end(JOB, "failed", {"completed": MARK}, at(1), at(2)),  # type: ignore[dict-item]
    "not a model": lambda s: s.save_project(MARK),  # type: ignore[arg-type]
    "not pairs": lambda s: s.save_records([MARK]),  # type: ignore[list-item]
    "parent": lambda s: s.save_record(a_record("r", "nobody", error_message=MARK), CONTENT),
    "parents": lambda s: s.save_records([(a_record(f"r{n}", "nobody", error_message=MARK), CONTENT) for n in range(9)]),
    "project": lambda s: s.log_master_job_start(a_master_job(s, "m", project_id="nobody", name=MARK)),
    "again": lambda s: s.log_master_job_start(a_master_job(s, name=MARK, summary=CONTENT)),
    "case": lambda s: s.save_record(a_record("RECORD-1", error_message=MARK), CONTENT),
    "not empty": lambda s: s.delete_project(PROJECT),
    "no data": lambda s: s.log_record_metadata(a_record("r", output_ref="data/00/r.json", error_message=MARK)),
}


def test_calls_that_are_refused(tmp_path: Path, listener: Listener) -> None:
    async def run() -> None:
        async with LocalStorage((tmp_path / "store").as_uri()) as storage:
            await fill(storage)
            for name, call in FAILING.items():
                with pytest.raises(StorageError) as caught:
                    await call(storage)
                assert MARK not in shown(caught.value), name
                assert_shows_nothing(caught.value)

    drive(listener, run)


WRONG: dict[str, Callable[[], Any]] = {
    "status": lambda: an_execution_job(status=MARK),
    "times": lambda: a_record(start_time=MARK),
    "run_config": lambda: an_execution_job(run_config=[MARK]),
    "run_config as text": lambda: an_execution_job(run_config=f'{{"a": "{MARK}'),
    "a key": lambda: an_execution_job(run_config={(MARK, 1): 1}),
    "a key in bytes": lambda: an_execution_job(run_config={MARK.encode() + b"\xff": 1}),
    "missing": lambda: GenerationJob(run_config={"a": MARK}),  # type: ignore[call-arg]
    "assigned": lambda: setattr(an_execution_job(), "worker_id", [MARK]),
    "all": lambda: GenerationMasterJob.model_validate({key: [MARK] for key in GenerationMasterJob.model_fields}),
    "in JSON": lambda: Record.model_validate_json(f'{{"record_uid": ["{MARK}"]}}'),
}


@pytest.mark.parametrize("name", WRONG)
def test_models_that_cannot_be_made(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WRONG[name]()
    assert_shows_nothing(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        *(f"postgresql://me:{MARK}@host/db", f"s3://key:{MARK}@bucket/x", f"https://host/x?sig={MARK}"),
        *(f"file://me:{MARK}@host/x", f"file://me:{MARK}/x@host/x", f"file://me:{MARK}@host/\ud800"),
    ],
    ids=ascii,
)
def test_passwords_in_uris(uri: str) -> None:
    for call in (open_storage, LocalStorage):
        with pytest.raises(InvalidUriError) as caught:
            call(uri)
        assert_shows_nothing(caught.value)


# --- damage -----------------------------------------------------------------------------------------------------------

DAMAGED_FILES: dict[str, bytes] = {
    "cut": f'{{"a": "{MARK}'.encode(),
    "not UTF-8": f'{{"a": "{MARK}'.encode() + b'\xff"}',
    "no object": f'["{MARK}"]'.encode(),
    "no JSON": MARK.encode(),
    "too much": f'{{"a": 1}} {MARK}'.encode(),
    "control character": f'{{"a": "{MARK}\n"}}'.encode(),
    "escape": f'{{"a": "{MARK}\\x"}}'.encode(),
    "deep": b"[" * 100_000 + MARK.encode(),
    "digits": f'{{"{MARK}": {"9" * 5000}}}'.encode(),
    "UTF-16": f'{{"a": "{MARK}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_damaged_files(tmp_path: Path, listener: Listener, name: str) -> None:
    async def run() -> None:
        async with LocalStorage(tmp_path.as_uri()) as storage:
            await fill(storage)
        for place in (DATA, CONFIG):
            (tmp_path / place).write_bytes(DAMAGED_FILES[name])
        async with LocalStorage(tmp_path.as_uri()) as storage:
            for read in (
                storage.get_record_data(DATA),
                storage.get_records_data([DATA]),
                storage.get_request_config(CONFIG),
            ):
                with pytest.raises(StorageError) as caught:
                    await read
                assert_shows_nothing(caught.value)

    drive(listener, run)


DAMAGED_ROWS: dict[str, str] = {
    "JSON": f"UPDATE execution_jobs SET run_config = '{{\"{MARK}'; UPDATE master_jobs SET summary = '{MARK}'",
    "not UTF-8": "UPDATE projects SET name = CAST(x'715a4c45414b717aff' AS TEXT), description = NULL; "
    "UPDATE execution_jobs SET error_message = CAST(x'717a4c45414b717aff' AS TEXT); "
    "UPDATE master_jobs SET name = CAST(x'717a4c45414b717aff' AS TEXT); "
    "UPDATE records SET error_message = CAST(x'717a4c45414b717aff' AS TEXT)",
    "schema": f"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{MARK}' WHERE name = 'records'",
}


@pytest.mark.parametrize("name", DAMAGED_ROWS)
def test_damaged_rows(tmp_path: Path, listener: Listener, name: str) -> None:
    async def run() -> None:
        async with LocalStorage(tmp_path.as_uri()) as storage:
            await fill(storage)
        connection = apsw.Connection(str(tmp_path / "metadata.db"))
        for statement in DAMAGED_ROWS[name].split("; "):
            connection.execute(statement)
        connection.close()
        failures: list[BaseException] = []
        storage = LocalStorage(tmp_path.as_uri())
        try:
            await storage.setup()
        except StorageError as error:
            failures.append(error)
        else:
            for read in READING:
                try:
                    await read(storage)
                except Exception as error:
                    failures.append(error)
        await storage.close()
        assert failures
        for error in failures:
            assert_shows_nothing(error)

    drive(listener, run)


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize(
    "step", ["write", "rename", "page", "sync metadata.db-wal", "mkdir", "remove", "link", "syncfs"]
)
@pytest.mark.parametrize("for_good", [False, True])
def test_failing_disks(tmp_path: Path, listener: Listener, step: str, number: int, for_good: bool) -> None:
    failures: list[BaseException] = []

    async def run() -> None:
        steps = Steps()
        storage = FaultyStorage(tmp_path / "store", steps)
        await storage.setup()
        await fill(storage)
        steps.before = fail(step, number, for_good=for_good)
        more = [lambda s: s.save_records([(a_record(f"n{n}", error_message=MARK), CONTENT) for n in range(3)])]
        for call in [*more, fill_again, lambda s: s.delete_master_job(MASTER_JOB), *READING]:
            try:
                await call(storage)
            except StorageError as error:
                failures.append(error)
        steps.before = lambda _number, _step: None
        await storage.close()

    drive(listener, run)
    assert failures or step not in ("write", "rename", "page", "sync metadata.db-wal")  # those that a save cannot miss
    for error in failures:
        assert_shows_nothing(error)


async def fill_again(storage: Storage) -> None:
    await storage.save_record(a_record(error_message=MARK), CONTENT)
    await storage.log_execution_job_start(an_execution_job(run_config=CONTENT, error_message=MARK))


def test_a_defect_in_the_writer(tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_group(_commit: GroupCommit, group: Any) -> None:
        raise KeyError(MARK, group)

    async def run() -> None:
        async with LocalStorage(tmp_path.as_uri()) as storage:
            await save_run(storage)
            with monkeypatch.context() as patch:
                patch.setattr(GroupCommit, "run", run_group)
                with pytest.raises(StorageError) as caught:
                    await storage.save_record(a_record(error_message=MARK), CONTENT)
        assert_shows_nothing(caught.value)
        assert "KeyError" in str(caught.value)

    said = drive(listener, run)
    (line,) = [line for line in said if "the writer failed" in line]
    assert "KeyError in\n" in line
    assert "run_group" in line  # where


def test_ids_may_be_named() -> None:
    with pytest.raises(StorageError, match="x" * 20):
        check_id("record_uid", "x" * 300)
