"""Which data handler a URI names."""

from __future__ import annotations

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import AskedLayout, DataHandler
from starfish_storage.uri import is_object_uri, path_of_file_uri


def data_handler(uri: str, retry_seconds: float | None = None) -> DataHandler:
    """Return the handler of the data at a place: a directory, or a prefix in an object store.

    Args:
        uri: ``file:///path``, or ``s3://bucket/prefix`` and the like.
        retry_seconds: for how long an object store is tried; without it, what the environment says, or a minute.

    Raises:
        InvalidUriError: the URI cannot be used.
    """
    if is_object_uri(uri):
        from starfish_storage.data.object_store import ObjectStoreDataHandler  # what it needs is slow to import

        return ObjectStoreDataHandler(uri, retry_seconds=retry_seconds)
    return FileSystemDataHandler(path_of_file_uri(uri))


def checked_layout(layout: AskedLayout | None) -> AskedLayout | None:
    """Return a layout as it is given.

    Raises:
        InvalidInputError: it is unknown.
    """
    if layout not in (None, "files", "packed", "packed if new"):
        raise InvalidInputError(f"layout must be 'files' or 'packed', not {layout!r}.")
    return layout
