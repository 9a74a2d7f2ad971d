"""What every suite of storage tests stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from starfish_storage.errors import StorageError
from starfish_storage.interface import Storage
from starfish_storage.testing.store import StoreUnderTest

Found = TypeVar("Found")


class StorageSuite:
    """Base of the suites: they need a fixture ``store`` that returns an empty `StoreUnderTest`."""

    pytestmark = pytest.mark.asyncio

    @pytest_asyncio.fixture
    async def storage(self, store: StoreUnderTest) -> AsyncIterator[Storage]:
        """Yield a storage on the store, set up."""
        async with store.open() as storage:
            yield storage


def skip_unless(storage: Storage, capability: str) -> None:
    """Skip the test if the storage does not declare that it can do this."""
    if capability not in storage.capabilities:
        pytest.skip(f"the storage does not declare {capability}")


@contextmanager
def refused(kind: type[StorageError], naming: object = None) -> Generator[None]:
    """Expect exactly this error, with a message that names what it is about in one line.

    Args:
        kind: the class of the error; a subclass will not do.
        naming: what the message has to name: an id or a part of the reason.
    """
    caught: StorageError | None = None
    try:
        yield
    except StorageError as error:
        caught = error
    assert caught is not None, f"{naming!r} was not refused with {kind.__name__}"
    message = str(caught)
    assert type(caught) is kind, f"{type(caught).__name__} about {naming!r}: {message}"
    assert "\n" not in message
    if isinstance(naming, str):
        # Ids and the like are quoted so that they cannot forge lines, and cut when they are long.
        assert ascii(naming)[1:60].rstrip("'\"") in message


async def outcome(call: Any) -> Any:
    """Await a call and return what it returns, or the class of the storage error it raises."""
    try:
        return await call
    except StorageError as error:
        return type(error)


async def collected(found: AsyncIterator[Found]) -> list[Found]:
    """Return all that an iterator yields."""
    return [one async for one in found]


def assert_same(found: object, given: object) -> None:
    """Assert that two values are equal in value, type and order: 1, 1.0 and True are ``==`` and not the same."""
    assert found == given
    assert repr(found) == repr(given)


def assert_utc(*moments: datetime | None) -> None:
    """Assert that times are there, aware, and in UTC itself."""
    for moment in moments:
        assert moment is not None
        assert moment.tzinfo is UTC
