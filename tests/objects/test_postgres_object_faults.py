"""PostgreSQL with an object store that fails, is gone, or loses answers: no row points at data that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from conformance.postgres_stores import PostgresObjectStore, Schema
from objects.test_object_store_faults import NEW, OLD, is_put
from servers.postgres import PostgresServer
from servers.proxies import FaultyHttp
from servers.s3 import S3Server
from starfish_storage import StorageUnavailableError
from starfish_storage.testing.samples import MASTER_JOB, RECORD, a_record, save_run
from starfish_storage.testing.suites.suite import outcome


@pytest.fixture
def postgres_store(
    postgres_server: PostgresServer, network: FaultyHttp, s3_server: S3Server, s3_uri: str
) -> Iterator[PostgresObjectStore]:
    postgres_server.start()
    schema = Schema(postgres_server)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT", s3_server.endpoint)  # raw access goes past the faults
        store = PostgresObjectStore(s3_uri, schema)
    yield store
    schema.drop()


@pytest.mark.parametrize("status", [500, 503])
async def test_puts_that_fail_now_and_then_are_made_again(
    postgres_store: PostgresObjectStore, network: FaultyHttp, status: int
) -> None:
    async with postgres_store.open() as storage:
        await save_run(storage)
        network.answer(status, times=5, only=is_put)
        references = await asyncio.gather(
            *(storage.save_record(a_record(f"r{number}"), {"n": number}) for number in range(20))
        )
        assert [data["n"] for data in await storage.get_records_data(references)] == list(range(20))
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 20}


async def test_a_store_that_stays_away_is_told_of_and_changes_nothing(
    postgres_store: PostgresObjectStore, network: FaultyHttp
) -> None:
    async with postgres_store.open() as storage:
        await save_run(storage)
        reference = await storage.save_record(a_record(status="pending"), OLD)
        network.drop(only=is_put)
        assert await outcome(storage.save_record(a_record(), NEW)) is StorageUnavailableError
        network.pass_on()
        assert await storage.get_record_data(reference) == OLD
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"pending": 1}
        await storage.save_record(a_record(), NEW)
        assert await storage.get_record_data(reference) == NEW


async def test_a_put_whose_answer_is_lost_is_made_again(
    postgres_store: PostgresObjectStore, network: FaultyHttp
) -> None:
    async with postgres_store.open() as storage:
        await save_run(storage)
        network.drop(times=1, only=is_put, forwarded=True)
        reference = await storage.save_record(a_record(RECORD), NEW)
        assert await storage.get_record_data(reference) == NEW
        assert len(postgres_store.versions_of(postgres_store.key(reference))) == 1
