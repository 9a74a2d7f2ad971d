# Made by scripts/make_sync.py from starfish_storage.opening: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.opening`."""

from __future__ import annotations

import os

from starfish_storage import opening as asynchronous
from starfish_storage.interface import Layout
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.sync.storage import Storage


def open_storage(
    uri: str | os.PathLike[str],
    data_uri: str | os.PathLike[str] | None = None,
    *,
    durability: Durability = "power",
    redact_secrets: bool = True,
    read_only: bool = False,
    layout: Layout | None = None,
) -> Storage:
    """Return the storage that a path or URI names; use it in ``with``, or call its ``setup()`` and ``close()``.

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
    return Storage(
        asynchronous.open_storage(
            uri, data_uri, durability=durability, redact_secrets=redact_secrets, read_only=read_only, layout=layout
        )
    )
