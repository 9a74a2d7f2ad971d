"""Schemas for the stores of the suites, and a clean check at the end of each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conformance.postgres_stores import Schema
from servers.emptied_schemas import EmptiedSchemas
from servers.postgres import PostgresServer
from starfish_storage.errors import StoreOpenError
from starfish_storage.maintenance import verify


@pytest.fixture
def postgres_schema(postgres_server: PostgresServer, emptied_schemas: EmptiedSchemas) -> Iterator[Schema]:
    """A schema that does not exist yet, or holds an empty store; afterwards it is emptied."""
    postgres_server.start()
    schema = Schema(postgres_server, emptied_schemas.take())
    yield schema
    emptied_schemas.give_back(schema.name)


@pytest.fixture(autouse=True)
def sound_in_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """End each test of a storage with a clean `verify`, unless the test has damaged the data on purpose itself."""
    if "store" not in request.fixturenames:
        yield
        return
    store = request.getfixturevalue("store")
    damaged: list[str] = []
    for name in ("raw_write", "raw_delete"):
        setattr(store, name, _noted(getattr(store, name), damaged))
    yield
    if damaged:
        return
    try:
        report = verify(*store.places)
    except StoreOpenError:
        return  # none was made; what is damaged would be a finding
    assert report.is_sound, str(report)


def _noted(call: Callable[..., None], keys: list[str]) -> Callable[..., None]:
    def noting(key: str, *rest: Any) -> None:
        keys.append(key)
        call(key, *rest)

    return noting
