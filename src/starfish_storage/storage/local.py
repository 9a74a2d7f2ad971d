"""The local storage: metadata in SQLite, data in JSON files, in one directory."""

from __future__ import annotations

from starfish_storage.data.filesystem import FileSystemDataHandler, make_root
from starfish_storage.data.mounts import warn_of_network_file_systems
from starfish_storage.errors import InvalidInputError
from starfish_storage.metadata.connection import DATABASE_FILE, Durability
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.sqlite import SQLiteMetadataHandler
from starfish_storage.metadata.starfish_copy import may_be_starfish
from starfish_storage.storage.hybrid import HybridStorage
from starfish_storage.uri import file_uri_of_path, path_of_file_uri

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
    """Keeps metadata in SQLite and data in JSON files.

    Args:
        storage_uri: ``file://`` URI of the store's directory, which is made if it is not there.
        data_storage_uri_override: ``file://`` URI of another directory for ``configs/`` and ``data/``.
        durability: ``"power"``: what was acknowledged survives a kill -9 and a power cut. ``"process"``: it survives
            a kill -9; a power cut may take the last moments, and tears nothing.
        redact_secrets: values under keys that name a secret (``api_key``, ``Authorization``, ``password``, ...) in
            request configurations and run configurations are replaced by ``"[redacted]"`` before they reach the disk,
            with a `SecretRedactedWarning` that says where they stood. What is given to a call is not changed.

    Raises:
        InvalidUriError: a URI is not one of a local directory.
        InvalidInputError: the durability is unknown.

    >>> storage = LocalStorage("file:///data/store")
    >>> sorted(storage.capabilities)[:3]
    ['ATOMIC_RECORDS', 'DELETE', 'FILTER_STATUS']
    """

    def __init__(
        self,
        storage_uri: str,
        data_storage_uri_override: str | None = None,
        *,
        durability: Durability = "power",
        redact_secrets: bool = True,
    ) -> None:
        if durability not in ("power", "process"):
            raise InvalidInputError(f"durability must be 'power' or 'process', not {durability!r}.")
        self.base_path = path_of_file_uri(storage_uri)
        self.data_base_path = path_of_file_uri(data_storage_uri_override or storage_uri)
        self.metadata_db_path = f"{self.base_path}/{DATABASE_FILE}"
        uri = file_uri_of_path(self.base_path)
        data_uri = file_uri_of_path(self.data_base_path)
        data = FileSystemDataHandler(self.data_base_path)
        codec = RowCodec(data, uri, data_uri)
        super().__init__(
            SQLiteMetadataHandler(
                self.base_path, data, data.row_log, codec, durability, data_elsewhere=data_uri != uri
            ),
            data,
            uri,
            _CAPABILITIES | {"POWER_SAFE"} if durability == "power" else _CAPABILITIES,
            redact_secrets=redact_secrets,
        )

    async def setup(self) -> None:
        """See `Storage.setup`."""
        if not may_be_starfish(self.metadata_db_path):  # that is read where it cannot be written, too
            make_root(self.base_path)
        if not self._reading.is_open:
            warn_of_network_file_systems(self.base_path, self.data_base_path)
        await super().setup()
