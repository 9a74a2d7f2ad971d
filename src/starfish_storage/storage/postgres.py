"""The storage for many machines: metadata in PostgreSQL, data in an object store or a shared directory."""

from __future__ import annotations

import asyncio

from starfish_storage.data.patience import allowed_seconds
from starfish_storage.errors import InvalidUriError
from starfish_storage.interface import AskedLayout
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.handler import PostgresMetadataHandler
from starfish_storage.metadata.postgres.migrate import is_there
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.storage.data_place import checked_layout, data_handler
from starfish_storage.storage.hybrid import HybridStorage
from starfish_storage.storage.secret_guard import SecretGuard
from starfish_storage.uri import file_uri_of_path, is_object_uri, parse_object_uri, path_of_file_uri
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
        "POWER_SAFE",
    }
)


class PostgresStorage(HybridStorage):
    """Keeps metadata in PostgreSQL, and data in an object store or in a directory that every machine mounts.

    A call waits for a server that is gone or silent and goes on when it is back; after `patience` it fails with
    `StorageUnavailableError`, and the storage works again once the server does. So does ``setup()``, with a warning in
    the log at once: a server may be about to start. What waiting does not mend fails at once with `StoreOpenError`: a
    refused user or password, a database, a right or TLS that is missing, and, at ``setup()``, a host name that has no
    address. How long a server works on a statement is not limited; how long it waits for a lock is, by `patience`.

    Args:
        storage_uri: ``postgresql://user@host/database?schema=my_store``; the schema is made if it is not there.
        data_storage_uri_override: where the data lies: ``s3://bucket/prefix``, or ``file:///shared/directory``.
        redact_secrets: see `LocalStorage`.
        read_only: write nothing, neither on the server nor where the data lies. The store must be there, in the schema
            of this release; every call that would write raises `StoreReadOnlyError` before anything is sent.
        patience: for how long a call waits for a server that does not answer, in seconds; without it, what the
            environment says in ``STARFISH_STORAGE_RETRY_SECONDS``, or a minute.
        layout: ``"packed"``: the data of records that are written at the same time is put as one object, or appended to
            one file; ``"files"``: each lies in an object or a file of its own. Without it, what the store is, and
            ``"files"`` if it is new. ``setup()`` refuses another one than the store has.

    Raises:
        InvalidUriError: a URI cannot be used.
        InvalidInputError: the patience is not a number of seconds, or the layout is unknown.
    """

    def __init__(
        self,
        storage_uri: str,
        data_storage_uri_override: str | None = None,
        *,
        redact_secrets: bool = True,
        read_only: bool = False,
        patience: float | None = None,
        layout: AskedLayout | None = None,
    ) -> None:
        checked_layout(layout)
        self._read_only = read_only
        self._address = address = PostgresAddress.of_uri(storage_uri)
        if data_storage_uri_override is None:
            raise InvalidUriError(
                address.uri,
                "PostgreSQL keeps rows only; data_uri= (--data-uri) says where the data lies: 's3://bucket/prefix', "
                "or a shared directory",
            )
        seconds = allowed_seconds(patience)
        data = data_handler(data_storage_uri_override, seconds)
        codec = RowCodec(data, address.uri, _normalised(data_storage_uri_override))
        guard = SecretGuard(is_on=redact_secrets)
        super().__init__(
            PostgresMetadataHandler(
                address, data, codec, seconds, guard.refuse_in_input, read_only=read_only, layout=layout
            ),
            data,
            address.uri,
            _CAPABILITIES,
            guard,
        )

    async def setup(self) -> None:
        """See `Storage.setup`."""
        if not self._read_only:
            refuse_in_import("opens a store to write into it")
        await super().setup()

    async def exists(self, patience: float) -> bool:
        """Return whether there is a store. Makes none, and need not be set up.

        Args:
            patience: for how long a server that does not answer is waited for, in seconds.

        Raises:
            StorageUnavailableError: the server did not answer.
            StoreOpenError: something else lies there, or it cannot be looked at.
        """
        return await asyncio.to_thread(is_there, self._address, patience)


def _normalised(uri: str) -> str:
    return str(parse_object_uri(uri)) if is_object_uri(uri) else file_uri_of_path(path_of_file_uri(uri))
