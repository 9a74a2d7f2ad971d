"""A server that works, and yet does not do what it is asked: it is full, read-only, or takes another's side."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from durability import workload
from remote.stores import PATIENCE, SHORT, check_itself, opened, rows, schema_of, through, until
from servers.postgres import PostgresServer
from servers.postgres_wire import Moment, PostgresWire
from servers.processes import HOST
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.errors import (
    InvalidInputError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.commit import PostgresCommit
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.storage.postgres import PostgresStorage


@asynccontextmanager
async def prepared(uri: str, root: Path, patience: float = PATIENCE) -> AsyncIterator[PostgresStorage]:
    async with opened(uri, root, patience) as storage:
        await workload.prepare(storage)
        yield storage


async def save(storage: PostgresStorage, uid: str, version: int = 1) -> str:
    return await storage.save_record(workload.record(uid, version), workload.payload(uid, version))


def execute(server: PostgresServer, uri: str, *statements: str) -> None:
    """Run statements in the store's schema."""
    path = f'SET search_path TO "{schema_of(uri)}"'
    server.execute("; ".join((path, *statements)))


def fail_at(table: str, state: str, times: int, when: str = "AFTER INSERT ON") -> str:
    """Return statements that make writes to a table fail so many times; the count outlives what is rolled back."""
    kind = "CONSTRAINT TRIGGER" if "DEFERRED" in state else "TRIGGER"
    code, _, deferred = state.partition(" ")
    return (
        f"CREATE SEQUENCE failures; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('failures') <= {times} THEN RAISE EXCEPTION 'told to' USING ERRCODE = '{code}'; END IF; "
        f"RETURN NULL; END $$; CREATE {kind} fails {when} {table} {deferred} FOR EACH ROW EXECUTE FUNCTION fail()"
    )


REPEATED = {
    "serialization": "40001",
    "deadlock": "40P01",
    "cancelled by an administrator": "57014",
    "serialization at the commit": "40001 DEFERRABLE INITIALLY DEFERRED",
    "the server ends": "57P01",
}


@pytest.mark.parametrize("name", REPEATED)
async def test_a_transaction_that_was_given_up_for_another_is_made_again(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, name: str
) -> None:
    async with prepared(postgres_uri, memory_path) as storage:
        execute(postgres_server, postgres_uri, fail_at("records", REPEATED[name], 5))
        await asyncio.gather(*(save(storage, f"r{number}") for number in range(10)))
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records") == [["10"]]
    check_itself(postgres_server, postgres_uri)


@pytest.mark.parametrize("name", ["serialization", "serialization at the commit"])
async def test_a_transaction_that_is_given_up_again_and_again_fails(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, name: str
) -> None:
    async with prepared(postgres_uri, memory_path, SHORT) as storage:
        execute(postgres_server, postgres_uri, fail_at("records", REPEATED[name], 10**9))
        with pytest.raises(StorageBusyError, match="40001"):
            await save(storage, "r")
        assert await storage.get_record_metadata("r") is None
        execute(postgres_server, postgres_uri, "DROP TRIGGER fails ON records")
        await save(storage, "r")
    assert len(list(memory_path.glob("data/*/*"))) == 1, "the data of what was refused is left"


REFUSED: dict[str, tuple[str, type[StorageError]]] = {
    "full": ("53100", StorageFullError),
    "full at the commit": ("53100 DEFERRABLE INITIALLY DEFERRED", StorageFullError),
    "a rule": ("23514", InvalidInputError),
    "a rule at the commit": ("23514 DEFERRABLE INITIALLY DEFERRED", StorageError),
    "no rights": ("42501", StorageError),
    "anything": ("XX000", StorageError),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_server_refuses_fails_at_once_and_leaves_nothing(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, name: str
) -> None:
    state, kind = REFUSED[name]
    async with prepared(postgres_uri, memory_path) as storage:
        execute(postgres_server, postgres_uri, fail_at("records", state, 10**9))
        with pytest.raises(kind) as caught:
            await asyncio.wait_for(save(storage, "r"), PATIENCE / 2)
        assert "told to" not in str(caught.value)
        execute(postgres_server, postgres_uri, "DROP TRIGGER fails ON records")
        assert await storage.get_record_metadata("r") is None
        await save(storage, "r")
    assert len(list(memory_path.glob("data/*/*"))) == 1, "the data of what was refused is left"


async def test_two_groups_that_lock_each_other_out_both_succeed(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """The same two jobs, in opposite order; a gate holds both in the middle until each has one of them."""
    gate = (
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF current_setting('search_path.seen', true) = pg_current_xact_id()::text THEN "
        "PERFORM pg_advisory_xact_lock_shared(77); END IF; "
        "PERFORM set_config('search_path.seen', pg_current_xact_id()::text, false); RETURN NEW; END $$; "
        "CREATE TRIGGER gate BEFORE UPDATE ON execution_jobs FOR EACH ROW EXECUTE FUNCTION pass()"
    )
    jobs = [workload.beginning(job=f"job{number}")[3] for number in range(2)]
    async with prepared(postgres_uri, memory_path) as one, prepared_again(postgres_uri, memory_path) as other:
        for job in jobs:
            await one.log_execution_job_start(job)
        execute(postgres_server, postgres_uri, gate)
        keeper = await asyncpg.connect(postgres_uri.partition("?")[0])
        await keeper.execute("SELECT pg_advisory_lock(77)")
        calls = [one.log_execution_job_start(job) for job in jobs]
        calls += [other.log_execution_job_start(job) for job in reversed(jobs)]
        waiting = asyncio.gather(*calls)
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' HAVING count(*) = 2"
        await asyncio.to_thread(until, postgres_server, query, "both to wait")
        await keeper.close()
        await waiting
    check_itself(postgres_server, postgres_uri)


@asynccontextmanager
async def prepared_again(uri: str, root: Path) -> AsyncIterator[PostgresStorage]:
    """Open a store that is prepared by another one."""
    async with opened(uri, root) as storage:
        yield storage


async def test_a_lock_that_others_keep_is_waited_for_within_the_limit(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    async with prepared(postgres_uri, memory_path, SHORT) as storage:
        keeper = await asyncpg.connect(postgres_uri.partition("?")[0])
        await keeper.execute(f'BEGIN; LOCK TABLE "{schema_of(postgres_uri)}".records')
        with pytest.raises(StorageBusyError, match="pg_stat_activity"):
            await asyncio.wait_for(save(storage, "r"), SHORT + 8)
        await keeper.close()
        await save(storage, "r")
    check_itself(postgres_server, postgres_uri)


async def test_a_statement_may_take_longer_than_the_patience(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """As the deletion of millions of rows does: the server works on it."""
    slow = (
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN NULL; "
        "END $$; CREATE TRIGGER lingers AFTER INSERT ON records FOR EACH STATEMENT EXECUTE FUNCTION linger()"
    )
    async with prepared(postgres_uri, memory_path, SHORT) as storage:
        execute(postgres_server, postgres_uri, slow)
        await save(storage, "r")
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records") == [["1"]]


async def test_a_server_that_becomes_read_only_is_waited_for(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    database = f"store_{secrets.token_hex(4)}"
    postgres_server.execute(f"CREATE DATABASE {database}")
    uri = postgres_uri.replace("/postgres?", f"/{database}?")

    def read_only(value: str) -> None:
        postgres_server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {value}")
        postgres_server.terminate_connections()  # the setting is that of new sessions

    async with prepared(uri, memory_path) as storage:
        await asyncio.to_thread(read_only, "on")
        saving = asyncio.create_task(save(storage, "r"))
        done, _ = await asyncio.wait((saving,), timeout=0.5)
        assert not done
        assert await storage.get_project(workload.PROJECT) is not None  # reading goes on
        await asyncio.to_thread(read_only, "off")
        await saving
    await asyncio.to_thread(read_only, "on")
    async with opened(uri, memory_path, SHORT) as storage:  # it opens for reading
        assert await storage.get_record_metadata("r") is not None
        with pytest.raises(StorageUnavailableError, match="takes no writes"):
            await save(storage, "r", 2)
    postgres_server.execute(f"DROP DATABASE {database} WITH (FORCE)")


async def test_a_session_that_was_idle_in_a_transaction_for_too_long_is_made_anew(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """As on a machine that was put to sleep: the writer's thread is held up between two statements."""
    async with prepared(postgres_uri, memory_path) as storage:
        tries: list[bool] = []

        def hold_up(writer: RowWriter) -> None:
            if not tries:
                writer._connection.execute("SET idle_in_transaction_session_timeout TO '10ms'")
                tries.append(True)
                query = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in tr%')"
                until(postgres_server, query, "the end of the session")
            writer.update_master_job_status(workload.MASTER, "running", "2030-01-01T00:00:00.000000Z")

        await storage.metadata._database.write(WriteOperation(hold_up))  # type: ignore[attr-defined]
        job = await storage.get_master_job(workload.MASTER)
        assert job is not None
        assert job.status == "running"
    check_itself(postgres_server, postgres_uri)


async def test_a_transaction_that_failed_unseen_is_not_taken_for_committed(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """PostgreSQL answers the commit of a failed transaction without an error, and rolls it back."""

    def fail_unseen(writer: RowWriter) -> None:
        try:
            writer._connection.execute("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            pass

    async with prepared(postgres_uri, memory_path) as storage:
        with pytest.raises(StorageError):
            await storage.metadata._database.write(WriteOperation(fail_unseen))  # type: ignore[attr-defined]
        await save(storage, "r")


# --- commits in doubt -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forgetful_server() -> Iterator[PostgresServer]:
    """A server that writes nothing of a transaction that is not committed."""
    with PostgresServer(settings={"wal_writer_delay": "10s", "max_connections": "12"}) as server:
        yield server


async def number_of_commit(server: PostgresServer, wire: PostgresWire, uri: str, root: Path) -> int:
    """Return which request of a save is the commit."""
    async with prepared(through(uri, server, wire.port), root) as storage:
        await save(storage, "first")
        wire.arm(0, Moment.BEFORE)
        await save(storage, "counted")
        return wire.requests


@pytest.mark.parametrize("others", ["none", "committed"])
async def test_a_commit_that_a_crash_has_undone_is_made_again(
    forgetful_server: PostgresServer, memory_path: Path, others: str
) -> None:
    """Also where another transaction has got the same number of the server's meanwhile, and was committed."""
    server, uri = forgetful_server, forgetful_server.uri(schema=f"crash_{others}")
    with PostgresWire(HOST, server.port) as wire:
        commit = await number_of_commit(server, wire, uri, memory_path)
        async with opened(through(uri, server, wire.port), memory_path) as storage:
            await save(storage, "warm")
            ((last,),) = server.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())")
            wire.arm(commit, Moment.HALF_OPEN)
            saving = asyncio.create_task(save(storage, "r"))
            while not wire.fired:
                await asyncio.sleep(0.001)
            wire.refuse()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            if others == "committed":
                spend = "CREATE TABLE IF NOT EXISTS spent (n int)" + ";INSERT INTO spent VALUES (1)" * 20
                await asyncio.to_thread(server.execute, spend)
                assert server.execute(f"SELECT pg_xact_status('{last}')") == [["committed"]]
            wire.allow()
            await saving
            assert await storage.get_record_metadata("r") is not None
    assert rows(server, uri, "SELECT count(*) FROM {0}.records") == [["4"]]
    check_itself(server, uri)


async def test_a_commit_that_stays_in_doubt_is_said_to_be(forgetful_server: PostgresServer, memory_path: Path) -> None:
    server, uri = forgetful_server, forgetful_server.uri(schema="doubt")
    with PostgresWire(HOST, server.port) as wire:
        commit = await number_of_commit(server, wire, uri, memory_path)
        async with opened(through(uri, server, wire.port), memory_path, SHORT) as storage:
            await save(storage, "warm")
            wire.arm(commit, Moment.AFTER)
            saving = asyncio.create_task(save(storage, "r"))
            while not wire.fired:
                await asyncio.sleep(0.001)
            wire.refuse()
            with pytest.raises(StorageUnavailableError, match="is not known, so make it again"):
                await saving
            wire.allow()
            wire.cut()
            found = await storage.get_record_metadata("r")
            assert found is not None, "it was stored"
            assert found.output_ref is not None
            assert await storage.get_record_data(found.output_ref) == workload.payload("r", 1), "its data was removed"
            await save(storage, "r", 2)


async def test_a_server_without_connections_left_is_waited_for(
    forgetful_server: PostgresServer, memory_path: Path
) -> None:
    server, uri = forgetful_server, forgetful_server.uri(schema="crowded")
    others: list[Any] = []
    async with prepared(uri, memory_path) as storage:
        server.terminate_connections()
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await take_all(server, others)
        saving = asyncio.gather(save(storage, "r"), storage.get_project(workload.PROJECT))
        done, _ = await asyncio.wait((saving,), timeout=0.5)
        assert not done
        with pytest.raises(StorageUnavailableError, match="no connection left"):
            await opened(uri, memory_path, SHORT).setup()
        for other in others:
            await other.close()
        await saving


async def take_all(server: PostgresServer, taken: list[Any]) -> None:
    while True:
        taken.append(await asyncpg.connect(server.uri()))


SESSION_ENDED = b"SFATAL\0C57P01\0Mtold to\0\0"


def test_a_session_that_is_just_being_ended_is_closed(postgres_uri: str, tmp_path: Path) -> None:
    """The server's last word is there, and the end of the connection is not yet: the driver takes no more calls."""
    data = FileSystemDataHandler(str(tmp_path))
    commit = PostgresCommit(PostgresAddress.of_uri(postgres_uri), data, SHORT, threading.Event())
    ours = commit._connection
    protocol = ours._connection._protocol
    protocol.data_received(b"E" + (4 + len(SESSION_ENDED)).to_bytes(4, "big") + SESSION_ENDED)
    assert ours.is_open
    commit.close()
    assert not ours.is_open
    assert ours._loop.is_closed()
    data.close()
