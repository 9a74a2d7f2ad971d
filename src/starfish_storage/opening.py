"""One function that opens whatever a URI names."""

from __future__ import annotations

from starfish_storage.errors import InvalidUriError
from starfish_storage.interface import Storage
from starfish_storage.metadata.connection import Durability
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import FILE_SCHEME, POSTGRES_SCHEMES


def open_storage(
    uri: str, data_uri: str | None = None, *, durability: Durability = "power", redact_secrets: bool = True
) -> Storage:
    """Return the storage that a URI names; use it in ``async with``, or call its ``setup()`` and ``close()``.

    Args:
        uri: where the metadata lies: ``file:///path`` for a local store.
        data_uri: where the data lies, if elsewhere.
        durability: what an acknowledged write survives: see `LocalStorage`.
        redact_secrets: replace the secrets in configurations before they are saved: see `LocalStorage`.

    Raises:
        InvalidUriError: the URI cannot be used, or this release has no storage for its scheme.

    >>> open_storage("file:///data/store").storage_uri
    'file:///data/store'
    """
    if str(uri).startswith(POSTGRES_SCHEMES):
        from starfish_storage.storage.postgres import PostgresStorage  # the driver is an extra, and slow to import

        return PostgresStorage(uri, data_uri, redact_secrets=redact_secrets)
    if not str(uri).startswith(FILE_SCHEME):
        raise InvalidUriError(uri, "this release stores in local directories; write 'file:///data/store'")
    return LocalStorage(uri, data_uri, durability=durability, redact_secrets=redact_secrets)
