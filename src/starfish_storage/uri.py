"""Storage URIs: where a store lies."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote

from starfish_storage.errors import InvalidUriError

FILE_SCHEME = "file://"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")

_PASSWORD = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#@:]*):[^/?#]*@")


def path_of_file_uri(uri: object) -> str:
    """Return the absolute, normalised local path that a ``file://`` URI names.

    Percent-escapes are decoded (RFC 8089), so that ``Path.as_uri()`` works; ``?`` and ``#`` are taken
    literally, as the published storage layer takes them. No file is touched.

    Raises:
        InvalidUriError: not a string, another scheme, a host, no path, a NUL, or the file system's root.

    >>> path_of_file_uri("file:///data/my%20store")
    '/data/my store'
    """
    if not isinstance(uri, str):
        raise InvalidUriError(uri, "it must be a string such as 'file:///data/store'")
    if not uri.startswith(FILE_SCHEME):
        raise InvalidUriError(uri, "local storage takes a 'file://' URI, such as 'file:///data/store'")
    raw = uri[len(FILE_SCHEME) :]
    if not raw:
        raise InvalidUriError(uri, "it has no path; write 'file:///data/store', with three slashes")
    if not raw.startswith("/"):
        raise InvalidUriError(
            uri,
            f"it names the host {raw.rpartition('@')[2].split('/', 1)[0]!a}; for a path on this machine write three "
            "slashes, 'file:///data/store'",
        )
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidUriError(uri, "its percent-escapes are not UTF-8") from error
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidUriError(uri, "its path contains a lone surrogate") from error
    if "\0" in path:
        raise InvalidUriError(uri, "its path contains a NUL character")
    # POSIX keeps exactly two leading slashes as "implementation-defined"; here they mean one.
    path = os.path.abspath("/" + path.lstrip("/"))
    if path == "/":
        raise InvalidUriError(uri, "it names the root of the file system; name a directory for the store")
    return path


def file_uri_of_path(path: str) -> str:
    """Return the ``file://`` URI of an absolute local path: the inverse of `path_of_file_uri`.

    >>> file_uri_of_path("/data/my store")
    'file:///data/my%20store'
    """
    return FILE_SCHEME + quote(path)


def without_password(uri: str) -> str:
    """Return a URI as it may be stored and shown: without the password, if it has one.

    >>> without_password("postgresql://me:secret@db.example/runs")
    'postgresql://me@db.example/runs'
    """
    return _PASSWORD.sub(r"\1@", uri)
