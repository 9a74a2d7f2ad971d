"""Opening the store of a command."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starfish_storage.cli.place import STORE_VARIABLE, Place
from starfish_storage.data.mounts import VolatileFileSystemWarning
from starfish_storage.errors import StoreOpenError
from starfish_storage.interface import Storage
from starfish_storage.keys import DATABASE_FILE, ROW_LOG_FILE
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.opening import open_storage, postgres_storage

_REACH_SECONDS = 5.0
"""How long a command tries to reach a server before it gives up."""


@asynccontextmanager
async def made(place: Place, durability: Durability) -> AsyncGenerator[Storage]:
    """Open a store to write to it, and make it if it is missing.

    Raises:
        StoreReadOnlyError: nothing is to be written there.
        StorageUnavailableError: its server cannot be reached. (An open store waits for it longer.)
    """
    place.refuse_writing()
    storage = open_storage(place.uri, place.data_uri, durability=durability)
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

    Raises:
        StoreOpenError: there is no store.
        StorageUnavailableError: its server cannot be reached.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VolatileFileSystemWarning)  # who reads promises nothing
        async with _opened(place, "power") as storage:
            yield storage


@asynccontextmanager
async def _opened(place: Place, durability: Durability) -> AsyncGenerator[Storage]:
    # Refuses a URI that names no store at all.
    storage = open_storage(place.uri, place.data_uri, durability=durability, read_only=place.read_only)
    if not await is_there(place):
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
    return await postgres_storage()(place.uri, place.data_uri).exists(_REACH_SECONDS)


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
