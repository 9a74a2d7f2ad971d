"""The marks that say whose data lies below a prefix of an object store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from starfish_storage.data.object_client import ObjectClient
from starfish_storage.data.patience import Patience
from starfish_storage.errors import StorageIOError
from starfish_storage.interface.marks import PlaceMarks, holds_no_places
from starfish_storage.uri import ObjectUri

_MOST_LOOKED_AT = 200  # directories below


class ObjectMarks(PlaceMarks):
    """See `PlaceMarks`.

    Args:
        client: makes the requests.
        patience: makes the patience of a call.
    """

    def __init__(self, client: ObjectClient, patience: Callable[[], Patience]) -> None:
        self._client = client
        self._patience = patience

    def put(self, key: str, payload: bytes) -> None:
        """See `PlaceMarks.put`."""
        self._client.put(key, payload, self._patience())

    def put_if_absent(self, key: str, payload: bytes) -> bool:
        """See `PlaceMarks.put_if_absent`."""
        return self._client.put_if_absent(key, payload, self._patience())

    def remove(self, key: str) -> None:
        """See `PlaceMarks.remove`."""
        self._client.remove([key], self._patience())

    def below(self, directory: str) -> list[str]:
        """See `PlaceMarks.below`."""
        return [found.key for found in self._client.directories(directory, self._patience())[1]]

    def around(self, name: str) -> list[str]:
        """See `PlaceMarks.around`."""
        patience, place = self._patience(), self._client.place
        parts = place.prefix.split("/") if place.prefix else []
        found: list[str] = []
        for depth in range(len(parts)):
            above = ObjectUri(place.scheme, place.bucket, "/".join(parts[:depth]))
            try:
                if ObjectClient(above).exists(name, patience):
                    found.append(f"{above}/{name}")
            except StorageIOError:
                pass  # others may see to who enters what lies above
        pending = deque([""])
        for _ in range(_MOST_LOOKED_AT):
            if not pending:
                break
            directories, objects = self._client.directories(pending.popleft(), patience)
            found += [f"{place}/{one.key}" for one in objects if one.key.endswith(f"/{name}")]
            pending += [one for one in directories if not holds_no_places(one)]
        return found
