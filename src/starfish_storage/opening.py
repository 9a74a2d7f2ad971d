"""One function that opens whatever a URI names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfish_storage.errors import InvalidUriError, StoreOpenError
from starfish_storage.interface import Storage
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import FILE_SCHEME, POSTGRES_SCHEMES, without_password

if TYPE_CHECKING:
    from starfish_storage.storage.postgres import PostgresStorage


def open_storage(
    uri: str, data_uri: str | None = None, *, durability: Durability = "power", redact_secrets: bool = True
) -> Storage:
    """Return the storage that a URI names; use it in ``async with``, or call its ``setup()`` and ``close()``.

    Args:
        uri: where the metadata lies: ``file:///path`` for a local store, or
            ``postgresql://user@host/database?schema=my_store`` (with the extra ``postgres``).
        data_uri: where the data lies: ``file:///path``, or ``s3://bucket/prefix`` and the like (with the extra ``s3``).
            A local store keeps it beside its metadata if nothing is said.
        durability: what an acknowledged write of a local store survives: see `LocalStorage`. PostgreSQL is always asked
            for the most, ``"power"``.
        redact_secrets: replace the secrets in configurations before they are saved: see `LocalStorage`.

    Raises:
        InvalidUriError: a URI cannot be used, or there is no storage for its scheme.
        StoreOpenError: what it needs is not installed.

    >>> open_storage("file:///data/store").storage_uri
    'file:///data/store'
    """
    if str(uri).startswith(POSTGRES_SCHEMES):
        return postgres_storage()(uri, data_uri, redact_secrets=redact_secrets)
    if not str(uri).startswith(FILE_SCHEME):
        raise InvalidUriError(
            without_password(uri),
            "write 'file:///data/store', or 'postgresql://user@host/database?schema=my_store'",
        )
    return LocalStorage(uri, data_uri, durability=durability, redact_secrets=redact_secrets)


def postgres_storage() -> type[PostgresStorage]:
    """Return the class of storages in PostgreSQL; its driver is an extra, and is imported for those who ask for it.

    Raises:
        StoreOpenError: the driver is not installed.
    """
    try:
        from starfish_storage.storage.postgres import PostgresStorage
    except ImportError as error:
        reason = "it needs asyncpg, which is not installed: pip install 'starfish-storage[postgres]'"
        raise StoreOpenError("postgresql://", reason) from error
    return PostgresStorage
