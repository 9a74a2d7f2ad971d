"""Opening the store that a command is about."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starfish_storage.cli.options import STORE_VARIABLE, Place
from starfish_storage.data.row_log import ROW_LOG_FILE
from starfish_storage.errors import StoreOpenError
from starfish_storage.interface import Storage
from starfish_storage.metadata.connection import Durability
from starfish_storage.opening import open_storage


@asynccontextmanager
async def existing(place: Place, durability: Durability = "power") -> AsyncGenerator[Storage]:
    """Open a store that is there already; none is made.

    Raises:
        StoreOpenError: there is none.
    """
    storage = open_storage(place.uri, place.data_uri, durability=durability)  # refuses a URI that names no store at all
    if not place.has_database():
        raise _no_store(place)
    async with storage:
        yield storage


def _no_store(place: Place) -> StoreOpenError:
    if os.path.lexists(f"{place.path}/{ROW_LOG_FILE}"):
        return StoreOpenError(
            place.path,
            "its database is missing; restore a backup with 'starfish-storage restore', or run "
            "'starfish-storage repair', which makes it anew from what is beside it",
        )
    return StoreOpenError(
        place.path, f"there is none; name the store with --store or {STORE_VARIABLE}, or begin one with 'generate'"
    )
