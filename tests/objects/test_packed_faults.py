"""Packed stores whose object store fails or is gone: a group shares one put, and each of its callers is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.packed_remote_stores import PackedPostgresObjectStore, PackedSQLiteObjectStore
from conformance.postgres_stores import Schema
from objects.conftest import LIMIT
from objects.test_object_store_faults import is_put
from servers.postgres import PostgresServer
from servers.proxies import FaultyHttp
from servers.s3 import S3Server
from starfish_storage import Storage, StorageUnavailableError
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run

PackedStore = PackedSQLiteObjectStore | PackedPostgresObjectStore


@pytest.fixture(params=["sqlite", "postgres"])
def packed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    network: FaultyHttp,
    s3_server: S3Server,
    s3_uri: str,
) -> Iterator[PackedStore]:
    schema: Schema | None = None
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.start()
        schema = Schema(server)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT", s3_server.endpoint)  # raw access goes past the faults
        store = (
            PackedSQLiteObjectStore(tmp_path, s3_uri) if schema is None else PackedPostgresObjectStore(s3_uri, schema)
        )
    yield store
    if schema is not None:
        schema.drop()


async def saved(storage: Storage, numbers: range) -> list[str | BaseException]:
    return await asyncio.gather(
        *(storage.save_record(a_record(f"r{number}"), {"n": number}) for number in numbers), return_exceptions=True
    )


async def test_a_group_is_one_put_that_is_made_again_or_told_of_to_all(
    packed: PackedStore, network: FaultyHttp
) -> None:
    async with packed.open() as storage:
        await save_run(storage)
        network.requests.clear()
        network.answer(503, times=2, only=is_put)
        references = await saved(storage, range(20))
        assert sum(is_put(*request) for request in network.requests) == 3
        network.drop(only=is_put)
        began = time.monotonic()
        refused = await saved(storage, range(20, 40))
        assert {type(one) for one in refused} == {StorageUnavailableError}
        assert time.monotonic() - began < 3 * LIMIT  # and not that for each of them
        network.pass_on()
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 20}
        references += await saved(storage, range(20, 40))
        found = await storage.get_records_data([str(reference) for reference in references])
        assert [data["n"] for data in found] == list(range(40))


async def test_a_put_whose_answer_is_lost_leaves_no_row_without_data(packed: PackedStore, network: FaultyHttp) -> None:
    async with packed.open() as storage:
        await save_run(storage)
        network.drop(times=1, only=is_put, forwarded=True)
        references = await saved(storage, range(5))
        found = await storage.get_records_data([str(reference) for reference in references])
        assert [data["n"] for data in found] == list(range(5))
    assert len(packed.pack_names()) == 1
