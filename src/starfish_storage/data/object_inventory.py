"""What lies below a store's prefix in an object store, found by listing and not from the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from starfish_storage.data.object_client import ListedObject, ObjectClient
from starfish_storage.data.patience import Patience, allowed_seconds
from starfish_storage.interface.inspection import DataInventory, FoundFile
from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, STAGING_DIRECTORY, is_key, pack_named
from starfish_storage.uri import parse_object_uri

_PARALLEL = 16  # a list goes page after page, and each page is a round trip


class ObjectInventory(DataInventory):
    """Lists ``data/``, ``configs/`` and ``staging/``.

    Args:
        uri: bucket and prefix, as `ObjectStoreDataHandler` takes them.
    """

    def __init__(self, uri: str) -> None:
        self._client = ObjectClient(parse_object_uri(uri))
        self._seconds = allowed_seconds(None)

    @property
    def place(self) -> str:
        """See `DataInventory.place`."""
        return str(self._client.place)

    def pages(self) -> Iterator[Sequence[FoundFile]]:
        """See `DataInventory.pages`; the shards are listed several at a time."""
        below, beside = self._client.directories(DATA_DIRECTORY, Patience(self._seconds))
        yield list(map(_found, beside))
        directories = iter([CONFIG_DIRECTORY, *below])
        running: dict[Future[Sequence[FoundFile] | None], Iterator[Sequence[FoundFile]]] = {}
        with ThreadPoolExecutor(_PARALLEL, "starfish-storage-inventory") as pool:

            def go_on(pages: Iterator[Sequence[FoundFile]]) -> None:
                running[pool.submit(next, pages, None)] = pages

            while True:
                for directory in islice(directories, _PARALLEL - len(running)):
                    go_on(self._pages_of(directory))
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    pages, page = running.pop(future), future.result()
                    if page is not None:
                        go_on(pages)
                        yield page

    def find(self, key: str) -> FoundFile | None:
        """See `DataInventory.find`."""
        found = self._client.describe(key, Patience(self._seconds))
        return None if found is None else _found(found)

    def leftovers(self) -> list[FoundFile]:
        """Return what a worker left that was killed while it tried whether it can put objects."""
        return [file for page in self._pages_of(STAGING_DIRECTORY) for file in page]

    def has_writer(self, found: FoundFile) -> bool:  # noqa: ARG002 (its age must do)
        """Nobody holds a lock on an object."""
        return False

    def remove_leftover(self, found: FoundFile) -> None:
        """See `DataInventory.remove_leftover`."""
        self._client.remove([found.key], Patience(self._seconds))

    def close(self) -> None:
        """Nothing to release."""

    def _pages_of(self, directory: str) -> Iterator[Sequence[FoundFile]]:
        for page in self._client.pages(directory, self._seconds):
            yield list(map(_found, page))


def _found(listed: ListedObject) -> FoundFile:
    return FoundFile(
        listed.key, listed.size, listed.changed, listed.changed, is_key(listed.key), pack_named(listed.key)
    )
