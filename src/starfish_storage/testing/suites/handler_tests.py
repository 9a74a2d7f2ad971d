"""The contracts of handlers: of data alone, and of metadata with the data it commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from starfish_storage.errors import (
    DataNotFoundError,
    IdCollisionError,
    InvalidReferenceError,
    NotSetUpError,
    ParentNotFoundError,
    StorageClosedError,
)
from starfish_storage.interface import DataHandler, DataWrite, MetadataHandler
from starfish_storage.keys import check_record_key, check_request_config_key, record_key, request_config_key
from starfish_storage.models import GenerationMasterJob
from starfish_storage.testing.hostile import hostile_references
from starfish_storage.testing.samples import JOB, MASTER_JOB, PROJECT, RECORD, a_project, a_record, an_execution_job
from starfish_storage.testing.suites.handler_batch_tests import DataBatchTests
from starfish_storage.testing.suites.suite import refused

FIRST, SECOND = b'{"version":1}\n', b'{"version":2}\n'


def carry_out(write: DataWrite) -> None:
    """Stage and publish a write, as a commit does that succeeds."""
    write.stage()
    write.publish()
    write.discard()


class DataHandlerTests(DataBatchTests):
    """The contract of a data handler. A subclass gives the fixture ``handler``: a handler of an empty place."""

    @pytest.fixture
    def data(self, handler: DataHandler) -> Iterator[DataHandler]:
        """Yield the handler, set up."""
        handler.setup()
        yield handler
        handler.close()

    def test_setup_and_close_are_idempotent(self, handler: DataHandler) -> None:
        """And what was written stays."""
        handler.close()
        for _ in range(2):
            handler.setup()
        key = record_key(RECORD)
        carry_out(handler.write(key, FIRST))
        for _ in range(2):
            handler.close()
        handler.setup()
        assert handler.read(key) == FIRST
        handler.close()

    def test_it_tells_whether_it_holds_data(self, handler: DataHandler) -> None:
        """Also before it is set up: where there is any, there was a database."""
        assert not handler.holds_data()
        handler.setup()
        assert not handler.holds_data()
        carry_out(handler.write(record_key(RECORD), FIRST))
        handler.close()
        assert handler.holds_data()

    def test_a_key_has_a_reference(self, data: DataHandler) -> None:
        """Relative, with a reference that means it, as the key itself does."""
        for key in (record_key(RECORD), request_config_key(MASTER_JOB)):
            assert not key.startswith("/")
            assert data.to_reference(key) != key
            assert data.to_key(data.to_reference(key)) == key == data.to_key(key)

    def test_hostile_references_have_no_key(self, data: DataHandler) -> None:
        """Neither of record data nor of a request configuration."""
        for reference in hostile_references():
            with refused(InvalidReferenceError, reference):
                check_record_key(data.to_key(reference))
            with refused(InvalidReferenceError, reference):
                check_request_config_key(data.to_key(reference))

    def test_nothing_is_seen_before_it_is_published(self, data: DataHandler) -> None:
        """Preparing and staging change nothing that readers see."""
        key = record_key(RECORD)
        write = data.write(key, FIRST)
        assert (write.key, write.payload) == (key, FIRST)
        write.stage()
        assert not data.exists(key)
        assert not write.replaces()
        write.publish()
        assert data.exists(key)
        assert data.read(key) == FIRST

    def test_publishing_replaces(self, data: DataHandler) -> None:
        """What was there is gone."""
        key = record_key(RECORD)
        carry_out(data.write(key, FIRST))
        write = data.write(key, SECOND)
        assert write.replaces()
        write.stage()
        assert data.read(key) == FIRST
        write.publish()
        assert data.read(key) == SECOND

    def test_what_was_staged_can_be_discarded(self, data: DataHandler) -> None:
        """At any time, twice, and without a trace."""
        key = record_key(RECORD)
        data.write(key, FIRST).discard()
        write = data.write(key, FIRST)
        write.stage()
        write.discard()
        write.discard()
        assert not data.exists(key)

    @pytest.mark.parametrize("before", [None, FIRST])
    def test_a_revocable_publish_can_be_undone(self, data: DataHandler, before: bytes | None) -> None:
        """What was there before is there again."""
        key = record_key(RECORD)
        if before is not None:
            carry_out(data.write(key, before))
        write = data.write(key, SECOND)
        write.stage()
        write.publish(revocable=True)
        assert data.read(key) == SECOND
        write.revoke()
        write.discard()
        assert (data.read(key) if data.exists(key) else None) == before

    def test_a_revocable_publish_that_stands(self, data: DataHandler) -> None:
        """Discarding what was kept leaves what was published."""
        key = record_key(RECORD)
        carry_out(data.write(key, FIRST))
        write = data.write(key, SECOND)
        write.stage()
        write.publish(revocable=True)
        write.discard()
        assert data.read(key) == SECOND

    def test_removing(self, data: DataHandler) -> None:
        """What is not there is removed without an error."""
        key = record_key(RECORD)
        carry_out(data.write(key, FIRST))
        for _ in range(2):
            removal = data.remove(key)
            assert (removal.key, removal.payload) == (key, None)
            carry_out(removal)
            assert not data.exists(key)

    def test_reading_what_is_not_there(self, data: DataHandler) -> None:
        """The message names the reference."""
        key = record_key("missing")
        with refused(DataNotFoundError, data.to_reference(key)):
            data.read(key)

    def test_any_bytes_are_kept(self, data: DataHandler) -> None:
        """Zero bytes, every byte value, and many bytes."""
        for payload in (b"", bytes(range(256)), b"x" * (3 << 20)):
            key = request_config_key(f"m{len(payload)}")
            carry_out(data.write(key, payload))
            assert data.read(key) == payload

    def test_syncing(self, data: DataHandler) -> None:
        """Syncing removed keys, no keys, or the same keys twice is fine."""
        keys = [record_key(uid) for uid in ("a", "b", "c")]
        for key in keys[:2]:
            carry_out(data.write(key, FIRST))
        carry_out(data.remove(keys[1]))
        for _ in range(2):
            data.sync(keys)
        data.sync([])
        assert [data.exists(key) for key in keys] == [True, False, False]

    def test_restoring(self, data: DataHandler) -> None:
        """What the journal holds is put in place, whatever is there, once or twice."""
        kept, replaced, removed = (record_key(uid) for uid in ("kept", "replaced", "removed"))
        for key in (kept, replaced, removed):
            carry_out(data.write(key, FIRST))
        new = request_config_key(MASTER_JOB)
        for _ in range(2):
            data.restore(iter([(replaced, SECOND), (removed, None), (new, SECOND)]))
        assert (data.read(kept), data.read(replaced), data.read(new)) == (FIRST, SECOND, SECOND)
        assert not data.exists(removed)
        data.restore([])

    def test_leftovers_are_discarded(self, data: DataHandler) -> None:
        """What is published stays; what this handler has staged may still be published."""
        key = record_key(RECORD)
        carry_out(data.write(key, FIRST))
        write = data.write(record_key("staged"), SECOND)
        write.stage()
        data.discard_leftovers()
        write.publish()
        assert data.read(key) == FIRST
        assert data.read(write.key) == SECOND


class Handlers(NamedTuple):
    """A metadata handler and the data handler it commits with."""

    metadata: MetadataHandler
    data: DataHandler


class MetadataHandlerTests:
    """What a metadata handler promises beyond what `StorageTests` asks of it through a storage.

    A subclass gives the fixture ``handlers``, of an empty place.
    """

    pytestmark = pytest.mark.asyncio

    @pytest_asyncio.fixture
    async def opened(self, handlers: Handlers) -> AsyncIterator[Handlers]:
        """Yield the handlers, set up, with a run."""
        metadata, data = handlers
        data.setup()
        await metadata.setup()
        await metadata.save_project(a_project())
        await metadata.log_master_job_start(
            GenerationMasterJob(
                master_job_id=MASTER_JOB,
                project_id=PROJECT,
                request_config_ref=request_config_key(MASTER_JOB),
                output_schema={},
                storage_uri="file:///x",
                target_record_count=1,
            )
        )
        await metadata.log_execution_job_start(an_execution_job())
        yield handlers
        await metadata.close()
        data.close()

    async def test_check_open_says_whether_it_can_be_used(self, handlers: Handlers) -> None:
        """Before `setup`, while open, and after `close`."""
        metadata, data = handlers
        with refused(NotSetUpError, "setup()"):
            metadata.check_open()
        data.setup()
        await metadata.setup()
        metadata.check_open()
        await metadata.close()
        with refused(StorageClosedError, "setup()"):
            metadata.check_open()
        data.close()

    async def test_data_is_committed_without_a_row(self, opened: Handlers) -> None:
        """It is in place when the call returns."""
        metadata, data = opened
        key = record_key(RECORD)
        await metadata.save_data("record_uid", RECORD, data.write(key, FIRST))
        assert data.read(key) == FIRST
        assert await metadata.get_journaled_data(key) in (FIRST, None)
        config = request_config_key(MASTER_JOB)
        await metadata.save_data("master_job_id", MASTER_JOB, data.write(config, SECOND))
        assert data.read(config) == SECOND

    async def test_ids_that_differ_in_case_only_are_refused(self, opened: Handlers) -> None:
        """For each kind of its own."""
        metadata, data = opened
        for kind, key_of in (("record_uid", record_key), ("master_job_id", request_config_key)):
            await metadata.save_data(kind, "some-id", data.write(key_of("some-id"), FIRST))
            with refused(IdCollisionError, "Some-Id"):
                await metadata.save_data(kind, "Some-Id", data.write(key_of("Some-Id"), SECOND))
            assert data.read(key_of("some-id")) == FIRST

    async def test_rows_and_data_are_committed_together(self, opened: Handlers) -> None:
        """Rows refer to the data written with them, whatever they said before."""
        metadata, data = opened
        records = [a_record(uid, output_ref=record_key("elsewhere")) for uid in ("a", "b")]
        keys = [record_key(record.record_uid) for record in records]
        await metadata.save_records(records, [data.write(key, FIRST) for key in keys])
        assert [data.read(key) for key in keys] == [FIRST, FIRST]
        for record, key in zip(records, keys, strict=True):
            found = await metadata.get_record_metadata(record.record_uid)
            assert found is not None
            assert found.output_ref == data.to_reference(key)

    async def test_all_or_none_of_them(self, opened: Handlers) -> None:
        """Earlier versions stay."""
        metadata, data = opened
        key, bad_key = record_key("a"), record_key("bad")
        await metadata.save_records([a_record("a")], [data.write(key, FIRST)])
        before = await metadata.get_record_metadata("a")
        batch: list[Any] = [a_record("a", status="failed"), a_record("bad", "no-job")]
        with refused(ParentNotFoundError, "no-job"):
            await metadata.save_records(batch, [data.write(key, SECOND), data.write(bad_key, SECOND)])
        assert await metadata.get_record_metadata("a") == before
        assert await metadata.get_record_metadata("bad") is None
        assert data.read(key) == FIRST
        assert not data.exists(bad_key)

    async def test_nothing_is_pending_under_an_unknown_key(self, opened: Handlers) -> None:
        """None, and no error."""
        assert await opened.metadata.get_journaled_data(record_key("nobody")) is None

    async def test_what_was_deleted_is_not_pending(self, opened: Handlers) -> None:
        """A reader that finds no file must not find it in the journal either."""
        metadata, data = opened
        key = record_key(RECORD)
        await metadata.save_records([a_record()], [data.write(key, FIRST)])
        await metadata.delete_master_job(MASTER_JOB)
        assert await metadata.get_journaled_data(key) is None
        assert not data.exists(key)
        assert await metadata.get_execution_job(JOB) is None
