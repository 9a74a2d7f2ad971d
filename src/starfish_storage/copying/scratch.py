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


def room_for(target: Storage, name: str) -> str:
    """Return a path that a directory can be made beside: by a local store, where there is room for its data."""
    is_local = target.storage_uri.startswith(FILE_SCHEME)
    above = os.path.dirname(path_of_file_uri(target.storage_uri)) if is_local else tempfile.gettempdir()
    return f"{os.path.realpath(above)}/{name}"
