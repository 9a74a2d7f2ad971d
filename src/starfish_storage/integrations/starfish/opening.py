"""Where the framework's storages are opened, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starfish_storage.interface import Storage
from starfish_storage.opening import open_storage
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import FILE_SCHEME, as_uri


@dataclass(frozen=True, slots=True)
class Opening:
    """What `install` was told.

    Attributes:
        uri: where the storage lies that factories open.
        data_uri: where its data lies; None: beside it.
        options: those of `open_storage`.
        project: the name of the project that runs belong to.
        trusts_code: functions are unpickled from whatever store.
    """

    uri: str
    data_uri: str | None
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    project: str = "starfish"
    trusts_code: bool = False

    def open(self, storage_uri: str, data_uri: str | None) -> Storage:
        """Return a storage; that of the factories, or another one that somebody names."""
        place = as_uri(storage_uri)
        data = self.data_uri if data_uri is None and place == as_uri(self.uri) else data_uri
        if place.startswith(FILE_SCHEME):
            # Not by `open_storage`: a new store is one of files, as the framework's own, unless packs are asked for.
            return LocalStorage(place, data, **self.options)
        return open_storage(place, data, **self.options)
