"""Ids to keys, keys to references and back; whatever would leave the root is refused here.

A key is a file's path relative to the root, with ``/``: ``data/3f/<record_uid>.json`` and
``configs/<master_job_id>.request.json``. Only keys are ever stored.
"""

from __future__ import annotations

import hashlib
import re

from starfish_storage.errors import InvalidReferenceError
from starfish_storage.identifiers import check_id, fold

DATA_DIRECTORY = "data"
CONFIG_DIRECTORY = "configs"

# A file name that is safe to open relative to its directory. `data/ab/cd/<uid>.json` is Starfish's own layout.
_NAME = r"[^/\x00-\x1f.][^/\x00-\x1f]{0,254}"
_RECORD_KEY = re.compile(rf"data/(?:(?!\.\.?/)[^/\x00-\x1f]{{1,4}}/){{1,2}}{_NAME}\.json")
_REQUEST_CONFIG_KEY = re.compile(rf"configs/{_NAME}\.json")
_FOREIGN_PREFIX = re.compile(rf"/.*?/({_RECORD_KEY.pattern}|{_REQUEST_CONFIG_KEY.pattern})", re.DOTALL)


def record_key(record_uid: str) -> str:
    """Return the key of a record's data.

    The shard is the first byte, in hex, of the SHA-256 of the folded uid: even for any uids, and the same for two
    that differ only in case. One level of 256: two levels cost more than the writing of the files.

    >>> record_key("r1")
    'data/82/r1.json'
    """
    check_id("record_uid", record_uid)
    shard = hashlib.sha256(fold(record_uid).encode()).hexdigest()[:2]
    return f"{DATA_DIRECTORY}/{shard}/{record_uid}.json"


def request_config_key(master_job_id: str) -> str:
    """Return the key of a master job's request configuration.

    >>> request_config_key("m1")
    'configs/m1.request.json'
    """
    check_id("master_job_id", master_job_id)
    return f"{CONFIG_DIRECTORY}/{master_job_id}.request.json"


def key_of_path(reference: object, roots: tuple[str, ...]) -> str:
    """Return the key that a reference means.

    Args:
        reference: an absolute path below one of the roots, a key, or an absolute path that ends in a key of record
            data or of a request configuration (written when the store lay elsewhere).
        roots: the absolute paths under which the store is known, without a trailing slash.

    Raises:
        InvalidReferenceError: it is none of these, or leaves the root.
    """
    if not isinstance(reference, str):
        raise InvalidReferenceError(reference, "it is not a string")
    for root in roots:
        if reference.startswith(root + "/"):
            return _checked_relative(reference, reference[len(root) + 1 :])
    if not reference.startswith("/"):
        return _checked_relative(reference, reference)
    moved = _FOREIGN_PREFIX.fullmatch(reference)
    if moved is None:
        raise InvalidReferenceError(reference, f"it lies outside the store's root {roots[0]!r}")
    return _checked_relative(reference, moved.group(1))


def check_key(key: str) -> str:
    """Return the key if it is one of record data or of a request configuration.

    Raises:
        InvalidReferenceError: it is neither; nothing else in the root is ever written or removed.
    """
    if _RECORD_KEY.fullmatch(key) is None and _REQUEST_CONFIG_KEY.fullmatch(key) is None:
        raise InvalidReferenceError(key, "it is no key of record data or of a request configuration")
    return key


def check_record_key(key: str) -> str:
    """Return the key if it is one of record data.

    Raises:
        InvalidReferenceError: it is not.
    """
    if _RECORD_KEY.fullmatch(key) is None:
        raise InvalidReferenceError(key, "it is not a reference to record data ('data/<2 hex>/<record_uid>.json')")
    return key


def check_request_config_key(key: str) -> str:
    """Return the key if it is one of a request configuration.

    Raises:
        InvalidReferenceError: it is not.
    """
    if _REQUEST_CONFIG_KEY.fullmatch(key) is None:
        raise InvalidReferenceError(
            key, "it is not a reference to a request configuration ('configs/<master_job_id>.request.json')"
        )
    return key


def _checked_relative(reference: str, path: str) -> str:
    if not path:
        raise InvalidReferenceError(reference, "it is empty")
    if "\0" in path:
        raise InvalidReferenceError(reference, "it contains a NUL character")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidReferenceError(reference, "it has '.', '..' or empty parts, which could leave the store's root")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidReferenceError(reference, "it contains a lone surrogate") from error
    return path
