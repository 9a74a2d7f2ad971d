"""One function that opens whatever a path or URI names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from starfish_storage.errors import InvalidUriError, StoreOpenError, install_command
from starfish_storage.interface import AskedLayout, Layout, Storage
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import FILE_SCHEME, POSTGRES_SCHEMES, WHERE_STORES_LIE, as_uri, without_password

if TYPE_CHECKING:
    from starfish_storage.storage.postgres import PostgresStorage


def open_storage(
    uri: str | os.PathLike[str],
    data_uri: str | os.PathLike[str] | None = None,
    *,
    durability: Durability = "power",
    redact_secrets: bool = True,
    read_only: bool = False,
    layout: Layout | None = None,
) -> Storage:
    """Return the storage that a path or URI names; use it in ``async with``, or call its ``setup()`` and ``close()``.

    Args:
        uri: where the metadata lies. For a local store, a directory: ``"store"``, ``"~/store"``, ``Path("store")`` or
            ``"file:///path"``. On a server, ``"postgresql://user@host/database?schema=my_store"`` (with the extra
            ``postgres``).
        data_uri: where the data lies: a directory, or ``"s3://bucket/prefix"`` and the like (with the extra ``s3``). If
            you leave it out, a local store keeps its data beside its metadata.
        durability: what an acknowledged write of a local store survives: see `LocalStorage`. PostgreSQL is always asked
            for the most, ``"power"``.
        redact_secrets: replace the secrets in configurations before they are saved: see `LocalStorage`.
        read_only: write nothing: see `LocalStorage` and `PostgresStorage`.
        layout: where a new store puts record data: ``"packed"``, into packs, files of many records; ``"files"``, into a
            file each. If you leave it out, a new store is packed, and an existing one as it is. An existing store of
            the other layout is refused at ``setup()``.

    Raises:
        InvalidUriError: a path or URI cannot be used, or there is no storage for its scheme.
        InvalidInputError: the durability or the layout is unknown.
        StoreOpenError: what it needs is not installed.

    >>> open_storage("/data/store").storage_uri
    'file:///data/store'
    """
    place, data_place = as_uri(uri), None if data_uri is None else as_uri(data_uri)
    asked: AskedLayout = layout or "packed if new"
    if place.startswith(POSTGRES_SCHEMES):
        made = postgres_storage(place)
        return made(place, data_place, redact_secrets=redact_secrets, read_only=read_only, layout=asked)
    if not place.startswith(FILE_SCHEME):
        raise InvalidUriError(without_password(place), WHERE_STORES_LIE)
    return LocalStorage(
        place,
        data_place,
        durability=durability,
        redact_secrets=redact_secrets,
        read_only=read_only,
        layout=asked,
    )


def postgres_storage(uri: str = "postgresql://") -> type[PostgresStorage]:
    """Return the class of storages in PostgreSQL; its driver is an extra, and is imported for those who ask for it.

    Args:
        uri: the storage that somebody wants to open, for the message.

    Raises:
        StoreOpenError: the driver is not installed.
    """
    try:
        from starfish_storage.storage.postgres import PostgresStorage
    except ImportError as error:
        reason = f"it needs asyncpg, which is not installed: {install_command('postgres')}"
        raise StoreOpenError(without_password(uri), reason) from error
    return PostgresStorage
