"""The stores that recorded functions of this process share, each opened by the first call and closed at the end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from starfish_storage.errors import StorageError
from starfish_storage.files.processes import in_forked_children
from starfish_storage.interface import Storage
from starfish_storage.opening import open_storage
from starfish_storage.portal import Closable, close_at_exit
from starfish_storage.uri import as_uri

Made = TypeVar("Made", bound=Closable)

StorePlace = tuple[str, str | None]
"""Where a store lies, and where its data does, if not there."""


class OpenStore:
    """A store, and the runs in it that functions of this process are recorded in. Used in the portal's event loop."""

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._storage: Storage | None = None
        self._opening = asyncio.Lock()
        self.recordings: dict[object, Any] = {}

    async def opened(self) -> Storage:
        """Return the storage, set up."""
        async with self._opening:
            if self._storage is None:
                storage = open_storage(*self._place)
                await storage.setup()
                self._storage = storage
                close_at_exit(self)
            return self._storage

    async def close(self) -> None:
        """Settle its runs, and close it, until the next call. Idempotent."""
        for one in list(self.recordings.values()):
            try:
                await one.close()
            except StorageError:
                pass  # its lease expires, and whoever comes next settles the run
        async with self._opening:
            storage, self._storage = self._storage, None
            if storage is not None:
                await storage.close()


_stores: dict[StorePlace, OpenStore] = {}
_making = threading.Lock()


def recording_of(
    place: tuple[str | os.PathLike[str], str | os.PathLike[str] | None],
    key: object,
    make: Callable[[OpenStore], Made],
) -> Made:
    """Return the recording of a function of this process; it is made by the first call, and reads nothing yet.

    Args:
        place: where the store lies, and its data.
        key: the function.
        make: makes the recording.
    """
    where = (as_uri(place[0]), None if place[1] is None else as_uri(place[1]))
    with _making:
        store = _stores.setdefault(where, OpenStore(where))
        found = store.recordings.get(key)
        if found is None:
            found = store.recordings[key] = make(store)
        return found


async def close_all() -> None:
    """Close all stores that are open for recorded functions, until the next call."""
    for store in list(_stores.values()):
        await store.close()


def _forget() -> None:
    """Begin anew in a process that was forked: the portal and the storages are its parent's."""
    global _making  # noqa: PLW0603 (another thread of the parent may have held it)
    _making = threading.Lock()
    _stores.clear()


in_forked_children(_forget)
