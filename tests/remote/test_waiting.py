"""PostgreSQL takes nothing for a while, in the middle of a run: it waits, and then everything is there once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generation.runs import RUN, Calls, Paying, Seen, attempts, data, numbers, start
from remote.stores import opened, through
from servers.postgres import PostgresServer
from servers.processes import HOST
from servers.proxies import TcpProxy
from starfish_storage import ResultsSpooledError
from starfish_storage.generation import Run, resume
from starfish_storage.interface import Storage
from starfish_storage.uri import without_password

COUNT, SLOTS = 20, 5
LONG = 60.0
CALL = 0.5  # how long one call goes on by itself


@pytest.fixture
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STARFISH_STORAGE_SPOOL", str(tmp_path / "spools"))
    return tmp_path / "spools"


@pytest.fixture
def network(postgres_server: PostgresServer) -> Iterator[TcpProxy]:
    with TcpProxy(HOST, postgres_server.port) as proxy:
        yield proxy


def away(network: TcpProxy) -> Callable[[], None]:
    def fail() -> None:
        network.refuse()
        network.cut()

    return fail


async def completed(storage: Storage, made: list[int], run: Run) -> None:
    assert run.records == {"completed": COUNT}
    assert sorted(made) == list(range(COUNT))
    assert [one["n"] for one in await data(storage)] == list(range(COUNT))
    assert (run.attempts, run.failed_attempts, run.cost) == (COUNT, 0, COUNT)
    for n in range(COUNT):
        assert [one.status for one in await attempts(storage, n)] == ["completed"]


async def test_a_server_that_is_away_pauses_the_run(
    postgres_server: PostgresServer, postgres_uri: str, network: TcpProxy, memory_path: Path, spools: Path
) -> None:
    function, seen = Paying(away(network), 7, SLOTS), Seen(SLOTS)
    uri = through(postgres_uri, postgres_server, network.port)
    async with opened(uri, memory_path, CALL) as storage:
        run = asyncio.create_task(
            start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG, lease=1)
        )
        await seen.until_all_wait()
        assert len(list(spools.iterdir())) == 1
        network.allow()
        await completed(storage, function.made, await run)
    assert list(spools.iterdir()) == []


async def test_a_rejected_password_is_read_anew(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, spools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the password file, at each try."""
    role, file = f"role_{secrets.token_hex(4)}", memory_path / "pgpass"

    def give(password: str) -> None:
        postgres_server.execute(f"ALTER ROLE {role} PASSWORD '{password}'")

    def write(password: str) -> None:
        file.write_text(f"*:*:*:{role}:{password}\n")
        file.chmod(0o600)

    def rotate() -> None:
        give("second")
        postgres_server.terminate_connections()

    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first' SUPERUSER")
    write("first")
    monkeypatch.setenv("PGPASSFILE", str(file))
    function, seen = Paying(rotate, 7, SLOTS), Seen(SLOTS)
    uri = without_password(postgres_uri).replace(f"{postgres_server.user}@", f"{role}@")
    try:
        async with opened(uri, memory_path, CALL) as storage:
            run = asyncio.create_task(
                start(storage, function, numbers(COUNT), max_concurrency=SLOTS, progress=seen, patience=LONG)
            )
            await seen.until_all_wait()
            write("second")
            await completed(storage, function.made, await run)
    finally:
        postgres_server.execute(f"REASSIGN OWNED BY {role} TO {postgres_server.user}; DROP ROLE {role}")


async def test_a_spool_of_a_hundred_results_is_taken_in(
    postgres_server: PostgresServer, postgres_uri: str, network: TcpProxy, memory_path: Path, spools: Path
) -> None:
    """Of a worker that could not even say goodbye; and whatever it had begun to store is not stored twice."""
    many = 100
    function = Paying(away(network), 0, many)
    async with opened(through(postgres_uri, postgres_server, network.port), memory_path, CALL) as storage:
        with pytest.raises(ResultsSpooledError) as raised:
            await start(storage, function, numbers(many), max_concurrency=many, patience=0)
    assert raised.value.results == many
    network.allow()
    async with opened(postgres_uri, memory_path) as storage:
        again = Calls()
        run = await resume(storage, RUN, again, progress="quiet")
        assert (run.records, again.made) == ({"completed": many}, [])
        assert (run.attempts, run.failed_attempts, run.cost) == (many, 0, many)
    assert list(spools.iterdir()) == []
