"""Opening the store of a command."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace

from starfish_storage.cli.place import STORE_VARIABLE, Place
from starfish_storage.data.mounts import VolatileFileSystemWarning
from starfish_storage.data.patience import RETRY_VARIABLE
from starfish_storage.errors import StoreOpenError, StoreVersionError
from starfish_storage.interface import Storage
from starfish_storage.keys import DATABASE_FILE, ROW_LOG_FILE
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.metadata.sqlite.locks import is_held
from starfish_storage.opening import open_storage, postgres_storage
from starfish_storage.uri import is_object_uri

_LOOK_SECONDS = 1.0  # at a lock that somebody holds: one commit takes less
_REACH_SECONDS = 5.0
"""How long a command tries to reach a server before it gives up."""

_PATIENCE = "3"  # seconds; a page that waits longer for a server says nothing, and people think it is broken


@asynccontextmanager
async def made(place: Place, durability: Durability) -> AsyncGenerator[Storage]:
    """Open a store to write to it, and make it if it is missing.

    Raises:
        StoreReadOnlyError: nothing is to be written there.
        StoreOpenError: it is there, and holds data in another layout than the one that was asked for.
        StorageUnavailableError: its server cannot be reached. (An open store waits for it longer.)
    """
    place.refuse_writing()
    storage = open_storage(place.uri, place.data_uri, durability=durability, layout=place.layout)
    await is_there(place)
    async with storage:
        yield storage


@asynccontextmanager
async def existing(place: Place, durability: Durability = "power") -> AsyncGenerator[Storage]:
    """Open an existing store to write to it. Makes none.

    Raises:
        StoreReadOnlyError: nothing is to be written there.
        StoreOpenError: there is no store.
        StorageUnavailableError: its server cannot be reached. (An open store waits for it longer.)
    """
    place.refuse_writing()
    async with _opened(place, durability) as storage:
        yield storage


@asynccontextmanager
async def reading(place: Place) -> AsyncGenerator[Storage]:
    """Open an existing store to read it, as all commands do that change nothing.

    Opening for writing would put in place what a killed writer has left, and migrate an older store. It also waits for
    a worker that holds the lock because its store takes nothing, and asks an object store whether it can be written:
    just then, somebody wants to see how the run stands. So a store is opened for reading alone while somebody holds its
    lock, and where its rows or its data lie on a server: who may only read there can.

    An archive is read from a copy in the directory for temporary files, which is removed afterwards.

    Raises:
        StoreOpenError: there is no store.
        StoreDamagedError: an archive is one that `unarchive` refuses.
        StorageUnavailableError: its server cannot be reached.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VolatileFileSystemWarning)  # who reads promises nothing
        async with AsyncExitStack() as stack:
            if place.is_archive:
                from starfish_storage.copying import open_archive

                yield await stack.enter_async_context(open_archive(place.path))
                return
            try:
                storage = await stack.enter_async_context(_opened(await _read_only_if_better(place), "power"))
            except StoreVersionError:
                if place.read_only or not place.is_local:
                    raise
                storage = await stack.enter_async_context(_opened(place, "power"))  # migrates it
            yield storage


async def _read_only_if_better(place: Place) -> Place:
    is_remote = not place.is_local or (place.data_uri is not None and is_object_uri(place.data_uri))
    is_held_now = place.is_local and await asyncio.to_thread(is_held, place.path, _LOOK_SECONDS)
    return replace(place, read_only=True) if is_remote or is_held_now else place


@asynccontextmanager
async def _opened(place: Place, durability: Durability) -> AsyncGenerator[Storage]:
    # Refuses a URI that names no store at all.
    storage = open_storage(place.uri, place.data_uri, durability=durability, read_only=place.read_only)
    if not await is_there(place):
        place.refuse_archive()
        raise _no_store(place)
    async with storage:
        yield storage


async def is_there(place: Place) -> bool:
    """Return whether the store exists. Makes none.

    Raises:
        StorageUnavailableError: its server cannot be reached.
    """
    if place.is_local:
        return _has_database(place)
    return await postgres_storage(place.uri)(place.uri, place.data_uri).exists(_REACH_SECONDS)


def _has_database(place: Place) -> bool:
    return os.path.lexists(f"{place.path}/{DATABASE_FILE}")


def _no_store(place: Place) -> StoreOpenError:
    if place.is_local and os.path.lexists(f"{place.path}/{ROW_LOG_FILE}"):
        return StoreOpenError(
            place.path,
            "its database is missing; restore a backup with 'starfish-storage restore', or run "
            "'starfish-storage repair', which rebuilds it from the files beside it",
        )
    reason = "it does not exist"
    if place.is_local and os.path.lexists(place.path):
        reason = "there is no store in it" if os.path.isdir(place.path) else "it is not a directory"
    return StoreOpenError(
        place.shown, f"{reason}; name a store with --store or {STORE_VARIABLE}, or make one with 'generate'"
    )


@contextmanager
def impatient() -> Generator[None]:
    """Let a store that is opened meanwhile give up early, unless somebody has said how long it is to try."""
    if RETRY_VARIABLE in os.environ:
        yield
        return
    os.environ[RETRY_VARIABLE] = _PATIENCE
    try:
        yield
    finally:
        del os.environ[RETRY_VARIABLE]
