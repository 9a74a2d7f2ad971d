"""The synchronous face held to the contract of a storage: each call of the suites goes through it, in a thread."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.packed_remote_stores import PackedPostgresDirectoryStore
from conformance.packed_stores import PackedStore
from conformance.postgres_stores import Schema
from starfish_storage import interface, sync
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.records import RecordTests
from starfish_storage.testing.suites.storage_tests import StorageTests
from starfish_storage.testing.suites.streaming import StreamingTests

OF_A_STORAGE = {
    "ledger": interface.RunLedger,
    "annotations": interface.AnnotationStore,
    "transfer": interface.StoreTransfer,
    "rows": interface.RowTransfer,
}


def through(kind: type, face: Any) -> Any:
    """Return an object of an asynchronous class whose calls all go through a synchronous face."""
    made = _class_through(kind)()
    made.face = face
    return made


@functools.cache
def _class_through(kind: type) -> type:
    names = [name for name in dir(kind) if not name.startswith("_")]
    return type(kind.__name__, (kind,), {name: _member(name, inspect.getattr_static(kind, name)) for name in names})


def _member(name: str, member: Any) -> Any:
    if isinstance(member, property):
        of = OF_A_STORAGE.get(name)
        return property(lambda self: getattr(self.face, name) if of is None else through(of, getattr(self.face, name)))

    async def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        return await asyncio.to_thread(getattr(self.face, name), *arguments, **keywords)

    async def iterate(self: Any, *arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        found = getattr(self.face, name)(*arguments, **keywords)
        end = object()
        try:
            while (value := await asyncio.to_thread(next, found, end)) is not end:
                yield value
        finally:
            await asyncio.to_thread(found.close)

    if inspect.iscoroutinefunction(member):
        return call
    if str(inspect.signature(member).return_annotation).startswith("AsyncIterator"):
        return iterate
    return _plain(name)


def _plain(name: str) -> Callable[..., Any]:
    return lambda self, *arguments, **keywords: getattr(self.face, name)(*arguments, **keywords)


class StoreThroughSync(PackedStore):
    def open(self) -> interface.Storage:
        return through(interface.Storage, sync.Storage(super().open()))


class PostgresStoreThroughSync(PackedPostgresDirectoryStore):
    def open(self) -> interface.Storage:
        return through(interface.Storage, sync.Storage(super().open()))


class Store:
    @pytest.fixture
    def store(self, tmp_path: Path) -> StoreUnderTest:
        return StoreThroughSync(tmp_path, durability="process", layout="packed")


class TestStreamingThroughSync(Store, StreamingTests):
    pass


class TestRecordsThroughSync(Store, RecordTests):
    pass


@pytest.mark.slow
class TestSyncStorage(Store, StorageTests):
    pass


@pytest.mark.slow
class TestSyncPostgresStorage:
    @pytest.fixture
    def store(self, tmp_path: Path, postgres_schema: Schema) -> StoreUnderTest:
        return PostgresStoreThroughSync(tmp_path, postgres_schema)

    TestConcurrency = StorageTests.TestConcurrency
    TestLifeCycle = StorageTests.TestLifeCycle
    TestStreaming = StorageTests.TestStreaming
    TestTransfer = StorageTests.TestTransfer
