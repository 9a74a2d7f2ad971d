"""A store in PostgreSQL full of a marker, with a marked password: no log line and no error shows either."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durability.marker import MARK, Listener, assert_shows_nothing, drive
from durability.test_nothing_leaks import CONTENT, FAILING, READING, fill, listener, unshown
from remote.stores import SHORT, opened, rows, schema_of, through
from servers.postgres import PostgresServer
from servers.processes import HOST
from servers.proxies import TcpProxy
from starfish_storage.errors import StorageError
from starfish_storage.testing.samples import (
    MASTER_JOB,
    PROJECT,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    save_run,
)
from starfish_storage.testing.suites.suite import outcome

__all__ = ["listener"]

TABLES = ("projects", "master_jobs", "execution_jobs", "records", "loose_data")


@pytest.fixture
def uri(postgres_server: PostgresServer, postgres_uri: str) -> Iterator[str]:
    """The URI of a user whose password is the marker, and who has a schema."""
    user = f"user_{secrets.token_hex(4)}"
    postgres_server.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{MARK}'")
    postgres_server.execute(f'CREATE SCHEMA "{schema_of(postgres_uri)}" AUTHORIZATION {user}')
    yield f"postgresql://{user}:{MARK}@{postgres_uri.rpartition('@')[2]}"
    postgres_server.terminate_connections()
    postgres_server.execute(f"DROP OWNED BY {user} CASCADE; DROP ROLE {user}")


@pytest.fixture(autouse=True)
def loops_that_log_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put every event loop into debug mode, the library's own too, and have it log each callback."""
    make = asyncio.new_event_loop

    def talkative() -> asyncio.AbstractEventLoop:
        loop = make()
        loop.slow_callback_duration = 0
        return loop

    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setattr(asyncio, "new_event_loop", talkative)


def test_calls_that_succeed(uri: str, tmp_path: Path, listener: Listener) -> None:
    async def run() -> None:
        storage = opened(uri, tmp_path)
        assert MARK not in repr(storage) + storage.storage_uri + repr(vars(storage.metadata))
        async with storage:
            await fill(storage)
            for read in READING:
                assert await read(storage) is not None
            await asyncio.gather(*(asyncio.create_task(outcome(unshown(read, storage))) for read in READING))
            await storage.delete_master_job(MASTER_JOB)
            await storage.delete_project(PROJECT, cascade=True)

    drive(listener, run)


def test_calls_that_are_refused(uri: str, tmp_path: Path, listener: Listener) -> None:
    async def run() -> None:
        async with opened(uri, tmp_path) as storage:
            await fill(storage)
            for name, call in FAILING.items():
                with pytest.raises(StorageError) as caught:
                    await call(storage)
                assert caught.value.code, name
                assert_shows_nothing(caught.value)

    drive(listener, run)


@pytest.mark.parametrize("rule", ["CHECK (false) NOT VALID", "missing column"])
@pytest.mark.parametrize("table", TABLES)
def test_rows_that_the_server_refuses(
    postgres_server: PostgresServer, uri: str, tmp_path: Path, listener: Listener, table: str, rule: str
) -> None:
    """PostgreSQL quotes them in the detail of its error."""
    failures: list[BaseException] = []

    async def run() -> None:
        async with opened(uri, tmp_path) as storage:
            await save_run(storage)
            await storage.save_record_data("loose", MASTER_JOB, "job-1", CONTENT)
            changed = f"ADD {rule}" if rule.startswith("CHECK") else "ADD extra text NOT NULL DEFAULT NULL"
            rows(postgres_server, uri, f"TRUNCATE {{0}}.{table} CASCADE; ALTER TABLE {{0}}.{table} {changed}")
            for call in (
                lambda: storage.save_project(a_project(name=MARK, description=MARK)),
                lambda: storage.log_master_job_start(a_master_job(storage, "m", name=MARK, summary=CONTENT)),
                lambda: storage.log_execution_job_start(an_execution_job("j", run_config=CONTENT, worker_id=MARK)),
                lambda: storage.save_record(a_record("r", error_message=MARK), CONTENT),
                lambda: storage.save_records([(a_record(f"r{n}", error_message=MARK), CONTENT) for n in range(3)]),
                lambda: storage.log_record_metadata(a_record("r2", error_message=MARK)),
                lambda: storage.save_record_data("l", MASTER_JOB, "job-1", CONTENT),
            ):
                try:
                    await call()
                except Exception as error:
                    failures.append(error)

    drive(listener, run)
    assert failures
    for error in failures:
        assert isinstance(error, StorageError)
        assert_shows_nothing(error)


DAMAGE = {
    "JSON": "UPDATE {0}.execution_jobs SET run_config = '[\"qzLEAKqz'; UPDATE {0}.master_jobs SET summary = 'qzLEAKqz'",
    "no table": "DROP TABLE {0}.records CASCADE; ALTER TABLE {0}.projects RENAME name TO qzLEAKqz",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_rows(postgres_server: PostgresServer, uri: str, tmp_path: Path, listener: Listener, name: str) -> None:
    failures: list[BaseException] = []

    async def run() -> None:
        async with opened(uri, tmp_path) as storage:
            await fill(storage)
            rows(postgres_server, uri, DAMAGE[name])
            for read in (*READING, lambda s: s.save_record(a_record(error_message=MARK), CONTENT)):
                try:
                    await read(storage)
                except Exception as error:
                    failures.append(error)

    drive(listener, run)
    assert failures
    for error in failures:
        assert isinstance(error, StorageError)
        assert_shows_nothing(error)


def test_a_server_that_is_gone(postgres_server: PostgresServer, uri: str, tmp_path: Path, listener: Listener) -> None:
    failures: list[Any] = []

    async def run() -> None:
        with TcpProxy(HOST, postgres_server.port) as proxy:
            async with opened(through(uri, postgres_server, proxy.port), tmp_path, SHORT) as storage:
                await fill(storage)
                proxy.refuse()
                proxy.cut()
                calls = [storage.save_record(a_record(error_message=MARK), CONTENT), storage.get_project(PROJECT)]
                failures.extend(await asyncio.gather(*calls, return_exceptions=True))
                proxy.allow()
                await fill_again(storage)

    async def fill_again(storage: Any) -> None:
        postgres_server.terminate_connections()
        await storage.save_record(a_record(error_message=MARK), CONTENT)

    drive(listener, run)
    assert len(failures) == 2
    for error in failures:
        assert isinstance(error, StorageError)
        assert_shows_nothing(error)


def test_no_password_is_stored(postgres_server: PostgresServer, uri: str, tmp_path: Path, listener: Listener) -> None:
    """Whoever starts a master job may give it the URI that the store was opened with."""
    other = f"postgresql://other:{MARK}@elsewhere/db"

    async def run() -> None:
        async with opened(uri, tmp_path) as storage:
            await storage.save_project(a_project())
            uris = {
                "here": {"storage_uri": uri, "metadata_storage_uri_override": uri},
                "elsewhere": {"storage_uri": other, "data_storage_uri_override": f"s3://key:{MARK}@bucket/x"},
            }
            for name, given in uris.items():
                await storage.log_master_job_start(a_master_job(storage, name, **given))
            for name in uris:
                assert MARK not in repr(await storage.get_master_job(name))

    drive(listener, run)
    for table in (*TABLES, "settings", "runs", "workers", "last_commits"):
        assert MARK not in str(rows(postgres_server, uri, f"SELECT kept::text FROM {{0}}.{table} AS kept"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and MARK in path.read_text()]
