"""The local storage: metadata in SQLite, data in JSON files, in one directory; or the data in an object store."""

from __future__ import annotations

import os

from starfish_storage.data.filesystem import FileSystemDataHandler, make_root
from starfish_storage.data.mounts import warn_of_network_file_systems, warn_of_volatile_file_systems
from starfish_storage.data.row_log import LoneRowLog
from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import AskedLayout
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.storage.data_place import checked_layout, data_handler
from starfish_storage.storage.hybrid import HybridStorage
from starfish_storage.storage.secret_guard import SecretGuard
from starfish_storage.uri import as_uri, file_uri_of_path, is_object_uri, parse_object_uri, path_of_file_uri
from starfish_storage.user_modules import refuse_in_import

_CAPABILITIES = frozenset(
    {
        "QUERY_METADATA",
        "FILTER_STATUS",
        "STORE_LARGE_CONFIG",
        "ATOMIC_RECORDS",
        "DELETE",
        "SHARED",
        "RELOCATABLE",
        "RUNS",
    }
)


class LocalStorage(HybridStorage):
    """Keeps metadata in SQLite and data in JSON files, or in the objects of a bucket.

    Args:
        storage_uri: the store's directory, as a ``file://`` URI or a path. It is made if it is not there.
        data_storage_uri_override: another place for ``configs/`` and ``data/``: a directory, or a prefix in an object
            store, ``s3://bucket/prefix`` (with the extra ``s3``).
        durability: ``"power"``: what was acknowledged survives a kill -9 and a power cut. ``"process"``: it survives
            a kill -9; a power cut may take the last moments, and tears nothing. ``"power"`` in a directory that lies
            in memory (tmpfs) cannot be kept: ``setup()`` warns with a `VolatileFileSystemWarning`.
        redact_secrets: values under keys that name a secret (``api_key``, ``Authorization``, ``password``, ...) in
            request configurations and run configurations are replaced by ``"[redacted]"`` before they reach the disk,
            with a `SecretRedactedWarning` that says where they stood; in error messages, what looks like a secret, with
            none. What is given to a call is not changed.
        read_only: write nothing, neither in the store nor beside it; every call that would write raises
            `StoreReadOnlyError`. A store where nothing can be written (a full or read-only disk, no permission) is
            opened so by itself.
        layout: where a new store puts record data. ``"files"``, which None means, too: into a file each, as published.
            ``"packed"``: into packs, files of many records, one a line: one write for all that is saved together, and
            a hundred files instead of a million. A store keeps its layout, whatever opens it; `setup` refuses another
            with a `StoreOpenError`. ``"packed if new"`` never is: an existing store is as it is.

    Raises:
        InvalidUriError: a URI is not one of a local directory, or of an object store.
        InvalidInputError: the durability or the layout is unknown.

    >>> storage = LocalStorage("file:///data/store")
    >>> sorted(storage.capabilities)[:3]
    ['ATOMIC_RECORDS', 'DELETE', 'FILTER_STATUS']
    """

    def __init__(
        self,
        storage_uri: str | os.PathLike[str],
        data_storage_uri_override: str | os.PathLike[str] | None = None,
        *,
        durability: Durability = "power",
        redact_secrets: bool = True,
        read_only: bool = False,
        layout: AskedLayout | None = None,
    ) -> None:
        if durability not in ("power", "process"):
            raise InvalidInputError(f"durability must be 'power' or 'process', not {durability!r}.")
        checked_layout(layout)
        self.base_path = path_of_file_uri(as_uri(storage_uri))
        data_given = as_uri(data_storage_uri_override or storage_uri)
        in_objects = is_object_uri(data_given)
        self.data_base_path = str(parse_object_uri(data_given)) if in_objects else path_of_file_uri(data_given)
        self.metadata_db_path = f"{self.base_path}/{DATABASE_FILE}"
        uri = file_uri_of_path(self.base_path)
        data_uri = self.data_base_path if in_objects else file_uri_of_path(self.data_base_path)
        data = data_handler(data_uri)
        # Beside the data, so that one of the two is left when a disk is lost; in a bucket, nothing can be appended to.
        row_log = data.row_log if isinstance(data, FileSystemDataHandler) else LoneRowLog(self.base_path)
        self._read_only = read_only
        self._promises_power_safety = durability == "power" and not read_only
        self._directories = (self.base_path,) if in_objects else (self.base_path, self.data_base_path)
        codec = RowCodec(data, uri, data_uri)
        guard = SecretGuard(is_on=redact_secrets)
        super().__init__(
            SQLiteMetadataHandler(
                self.base_path,
                data,
                row_log,
                codec,
                durability,
                data_elsewhere=data_uri != uri,
                layout=layout,
                refuse_input=guard.refuse_in_input,
                read_only=read_only,
            ),
            data,
            uri,
            _CAPABILITIES | {"POWER_SAFE"} if durability == "power" else _CAPABILITIES,
            guard,
        )

    async def setup(self) -> None:
        """See `Storage.setup`."""
        if not self._read_only:
            refuse_in_import("opens a store to write into it")
            _make_root_of_new(self.base_path)
        if not self._reading.is_open:
            warn_of_network_file_systems(*self._directories)
            if self._promises_power_safety:
                warn_of_volatile_file_systems(*self._directories)
        await super().setup()


def _make_root_of_new(root: str) -> None:
    """Make the directory of a new store; one that is there can be read where none can be made."""
    if not os.path.lexists(f"{root}/{DATABASE_FILE}"):
        make_root(root)
