"""Room for a store that is needed for a while."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from starfish_storage.files.errors import translated
from starfish_storage.files.permissions import make_private_directory
from starfish_storage.interface import Storage
from starfish_storage.uri import FILE_SCHEME, path_of_file_uri

STORE = "store"
"""The name of the store's own directory in it."""


@contextmanager
def directory_beside(place: str) -> Generator[str]:
    """Make a directory for its owner only beside a path; it is removed in the end with all that is in it."""
    above, name = os.path.split(place)
    path = f"{above}/.{name[:100]}.{secrets.token_hex(6)}.partial"
    with translated(path):
        make_private_directory(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def room_for(target: Storage | None, name: str) -> str:
    """Return a path that a directory can be made beside.

    By a local store, where there is room for its data; else where temporary files lie.
    """
    uri = "" if target is None else target.storage_uri
    above = os.path.dirname(path_of_file_uri(uri)) if uri.startswith(FILE_SCHEME) else tempfile.gettempdir()
    return f"{os.path.realpath(above)}/{name}"
