"""Storage URIs: where a store lies."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TypeVar, cast
from urllib.parse import quote, unquote

from starfish_storage.errors import InvalidUriError
from starfish_storage.wording import path_as_text

Given = TypeVar("Given")

FILE_SCHEME = "file://"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")
WHERE_STORES_LIE = (
    "write 'file:///data/store'; rows may also lie at 'postgresql://user@host/database', and data at "
    "'s3://bucket/prefix'"
)

_BEGINS_AS_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BEGINS_ALMOST_AS_URI = re.compile(r"[^/]*:/|(?:file|postgres|postgresql|s3|s3a|gs|az|azure|abfss?):", re.IGNORECASE)
_PASSWORD = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#@:]*):[^/?#]*@")


def as_uri(given: object) -> str:
    """Return the URI of a place that was given as a URI or as a path: text, or a ``Path``.

    A URI is returned as it stands. A path may be relative to the current directory, and may begin with ``~`` or
    ``~user``. No file is touched.

    Raises:
        InvalidUriError: it is neither.

    >>> as_uri("/data/my store"), as_uri("s3://bucket/store")
    ('file:///data/my%20store', 's3://bucket/store')
    """
    text = path_as_text(given)
    if not isinstance(text, str):
        raise InvalidUriError(given, "give a path, as text or as a Path, or a URI such as 'file:///data/store'")
    if _BEGINS_AS_URI.match(text):
        return text
    if not text.strip():
        raise InvalidUriError(given, "it is empty; give a path, or a URI such as 'file:///data/store'")
    if text != text.strip() and not text.startswith(
        ("/", "./", "../", "~")
    ):  # of a URI from a file or a variable, the password would become a directory's name
        raise InvalidUriError(given, "it begins or ends with white space; remove that, or put './' before a path")
    if _BEGINS_ALMOST_AS_URI.match(text):
        raise InvalidUriError(
            given,
            "a URI has two slashes after its scheme, such as 'file:///data/store' and 's3://bucket/prefix'; give it as "
            "text, because a Path merges them. If a directory has this name, put './' before it",
        )
    return file_uri_of_path(_absolute(given, text))


def _absolute(given: object, path: str) -> str:
    """Return a path from the root of the file system."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidUriError(given, "its path contains a lone surrogate") from error
    if "\0" in path:
        raise InvalidUriError(given, "its path contains a NUL character")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        reason = "no user of this name has a home directory; if a directory has this name, put './' before it"
        raise InvalidUriError(given, reason)
    try:
        absolute = os.path.abspath(expanded)
    except FileNotFoundError as error:
        raise InvalidUriError(given, "it is relative, and the current directory no longer exists") from error
    if not absolute.strip("/"):
        raise InvalidUriError(given, "it names the root of the file system; name a directory for the store")
    return absolute


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
        raise InvalidUriError(uri, WHERE_STORES_LIE)
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


def without_password(uri: Given) -> Given:
    """Return a URI without its password, so that it may be stored and shown. Anything but text stays as it is.

    >>> without_password("postgresql://me:secret@db.example/runs")
    'postgresql://me@db.example/runs'
    """
    return cast("Given", _PASSWORD.sub(r"\1@", uri)) if isinstance(uri, str) else uri


OBJECT_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "memory")
"""The schemes of object stores: S3 and its like, Google's, Microsoft's, and one in memory."""

_MAX_PREFIX_BYTES = 700  # the longest keys of objects are 1,024 bytes
_OBJECT_URI = re.compile(r"([a-z][a-z0-9]*)://([^/?#]*)/?([^?#]*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._$-]{0,254}", re.ASCII)
_CONTAINER_OF_ACCOUNT = re.compile(rf"{_BUCKET.pattern}@[A-Za-z0-9.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ObjectUri:
    """A place in an object store.

    Attributes:
        scheme: one of `OBJECT_SCHEMES`.
        bucket: the bucket; for ``abfss://``, with its account, ``container@account.dfs.core.windows.net``.
        prefix: what stands before every key, without slashes at its ends; may be empty.
    """

    scheme: str
    bucket: str
    prefix: str

    @property
    def bucket_uri(self) -> str:
        """The URI of the bucket alone."""
        return f"{self.scheme}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.bucket_uri}/{self.prefix}" if self.prefix else self.bucket_uri


def is_object_uri(uri: object) -> bool:
    """Return whether a URI has the scheme of an object store, whatever else may be wrong with it."""
    return isinstance(uri, str) and uri.partition("://")[0] in OBJECT_SCHEMES and "://" in uri


def parse_object_uri(uri: object) -> ObjectUri:
    """Return the place that the URI of an object store names.

    The prefix is used unchanged, as Amazon's own tools do: ``%20`` is three characters of a key. (If it were decoded,
    those tools could not find the objects under the references that the store hands out.)

    Raises:
        InvalidUriError: it has another scheme, a user, a password, a query or an impossible prefix, or lacks a bucket.

    >>> parse_object_uri("s3://bucket/runs/2026/").prefix
    'runs/2026'
    """
    if not isinstance(uri, str) or not is_object_uri(uri):
        raise InvalidUriError(uri, "an object store takes a URI such as 's3://bucket/prefix'")
    match = _OBJECT_URI.fullmatch(uri)
    if match is None:
        reason = "it has a query or a fragment; options and credentials are taken from environment variables"
        raise InvalidUriError(uri, reason)
    scheme, bucket, prefix = match.groups()
    if "@" in bucket and (not scheme.startswith("abfs") or _CONTAINER_OF_ACCOUNT.fullmatch(bucket) is None):
        raise InvalidUriError(uri, "it has a user or a password; credentials are taken from environment variables")
    if "@" not in bucket and _BUCKET.fullmatch(bucket) is None:
        raise InvalidUriError(uri, "it names no bucket; write 's3://bucket/prefix'")
    prefix = prefix.removesuffix("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise InvalidUriError(uri, "its prefix has '.', '..' or empty parts, which no key of an object may have")
    try:
        size = len(prefix.encode())
    except UnicodeEncodeError as error:
        raise InvalidUriError(uri, "its prefix contains a lone surrogate") from error
    if size > _MAX_PREFIX_BYTES:
        raise InvalidUriError(uri, f"its prefix is longer than {_MAX_PREFIX_BYTES} bytes")
    if not prefix.isprintable():
        raise InvalidUriError(uri, "its prefix contains a character that cannot be printed")
    return ObjectUri(scheme, bucket, prefix)
