"""How a call opens a store that is named by where it is."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from starfish_storage import interface
from starfish_storage.errors import InvalidInputError
from starfish_storage.opening import open_storage
from starfish_storage.portal import call, iterate
from starfish_storage.sync.storage import Storage

Result = TypeVar("Result")

Store: TypeAlias = Storage | str | os.PathLike[str]
"""A store that is open, or where one is, as `open_storage` takes it."""


def with_store(store: Store, work: Callable[[interface.Storage], Coroutine[Any, Any, Result]]) -> Result:
    """Do asynchronous work with a store; one that is named by where it is, is opened for it."""
    return call(_with_store(store, work))


def with_stores(
    source: Store, target: Store, work: Callable[[interface.Storage, interface.Storage], Coroutine[Any, Any, Result]]
) -> Result:
    """Do asynchronous work with two stores, as `with_store` does with one."""
    return call(_with_store(source, lambda one: _with_store(target, lambda other: work(one, other))))


def each_with_store(store: Store, work: Callable[[interface.Storage], AsyncGenerator[Result]]) -> Generator[Result]:
    """Yield what asynchronous work with a store yields, which is opened as `with_store` does, until the last one."""
    return iterate(_each_with_store(store, work))


async def _each_with_store(
    store: Store, work: Callable[[interface.Storage], AsyncGenerator[Result]]
) -> AsyncGenerator[Result]:
    async with _opened(store) as storage, aclosing(work(storage)) as found:
        async for one in found:
            yield one


async def _with_store(store: Store, work: Callable[[interface.Storage], Coroutine[Any, Any, Result]]) -> Result:
    async with _opened(store) as storage:
        return await work(storage)


@asynccontextmanager
async def _opened(store: Store) -> AsyncGenerator[interface.Storage]:
    if isinstance(store, str | os.PathLike):
        async with open_storage(store) as storage:
            yield storage
    elif isinstance(store, Storage):  # pyright: ignore[reportUnnecessaryIsInstance] (not every program is type-checked)
        yield store.asynchronous
    else:
        raise InvalidInputError(
            f"store must be a path, a URI, or what sync.open_storage returns, not {type(store).__name__}. An "
            "asynchronous storage is given as sync.Storage(storage)."
        )
