"""Looking at a run whose store takes nothing: that is when people look, and they need neither its lock nor its data."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.calling import call, call_json
from generation.runs import RUN, Calls, data, numbers, open_store, start
from migrations.stores import ASSETS
from servers.postgres import PostgresServer
from servers.processes import HOST
from servers.proxies import TcpProxy
from servers.s3 import S3Server
from starfish_storage import StoreOpenError, open_storage

SOON = 15.0  # far less than the minute for which the engines wait
COMMANDS = (("show", RUN), ("watch", RUN, "--once"), ("records", RUN), ("show", RUN, "--read-only"))


@pytest.fixture
def network(s3_server: S3Server, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    with TcpProxy(HOST, s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT", f"http://{HOST}:{proxy.port}")
        yield proxy


def fill(uri: str, data_uri: str) -> None:
    async def run() -> None:
        async with open_store(f"{uri} {data_uri}") as storage:
            await start(storage, Calls(), numbers(3))

    asyncio.run(run())


def look(*place: str) -> None:
    for words in COMMANDS:
        began = time.monotonic()
        ended = call(*words, *place)
        assert (ended.status, ended.err) == (0, ""), words
        assert time.monotonic() - began < SOON, words


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_bucket_that_hangs(
    tmp_path: Path, network: TcpProxy, s3_uri: str, engine: str, request: pytest.FixtureRequest
) -> None:
    uri = (tmp_path / "store").as_uri() if engine == "sqlite" else request.getfixturevalue("postgres_uri")
    fill(uri, s3_uri)
    network.stall()
    look("--store", uri, "--data-uri", s3_uri)
    network.flow()


async def test_that_the_data_is_this_stores_is_seen_when_it_is_read(
    tmp_path: Path, network: TcpProxy, s3_uri: str
) -> None:
    uri = (tmp_path / "store").as_uri()
    await asyncio.to_thread(fill, uri, s3_uri)
    async with open_storage(uri, s3_uri, read_only=True) as storage:
        assert [one["n"] for one in await data(storage)] == [0, 1, 2]
    async with open_storage(uri, f"{s3_uri}/other", read_only=True) as storage:
        (job,) = await storage.list_master_jobs()
        assert job.master_job_id == RUN
        for _ in range(2):
            with pytest.raises(StoreOpenError, match="is not there"):
                await data(storage)


def test_a_worker_that_holds_the_lock(tmp_path: Path) -> None:
    fill((tmp_path / "store").as_uri(), "")
    with (tmp_path / "store" / "writer.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        look("--store", str(tmp_path / "store"))
    assert call_json("show", RUN, "--store", str(tmp_path / "store"))["master_job"]["status"] == "completed"


def test_a_store_in_postgres_of_an_earlier_schema_is_migrated_by_a_command_alone(
    tmp_path: Path, network: TcpProxy, s3_uri: str, postgres_uri: str, postgres_server: PostgresServer
) -> None:
    shutil.unpack_archive(ASSETS / "postgres-v1.zip", tmp_path)
    schema = postgres_uri.rpartition("schema=")[2]
    postgres_server.execute(f'{(tmp_path / "rows.sql").read_text("utf-8")}; ALTER SCHEMA frozen RENAME TO "{schema}"')
    place = ("--store", postgres_uri, "--data-uri", s3_uri)
    for more in ((), ("--read-only",)):
        assert "then run 'starfish-storage migrate'" in call("runs", *place, *more).err
