"""Every name in a store's root: ids to keys, keys to references and back. What would leave the root is refused here.

A key is a file's path relative to the root, with ``/``: ``data/3f/<record_uid>.json`` and
``configs/<master_job_id>.request.json``. Only keys are ever stored.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import NamedTuple

from starfish_storage.errors import InvalidReferenceError
from starfish_storage.identifiers import check_id, fold
from starfish_storage.uri import is_object_uri

DATA_DIRECTORY = "data"
CONFIG_DIRECTORY = "configs"
STAGING_DIRECTORY = "staging"
"""Where files are written before they get their names."""

PACKS_DIRECTORY = "data/packs"
"""Where packs lie: files of many records, one a line."""

DATABASE_FILE = "metadata.db"
ROW_LOG_FILE = "rows.jsonl"
WRITER_LOCK_FILE = "writer.lock"
SESSION_LOCK_FILE = "session.lock"

MARK_KEY, OWNERS_DIRECTORY = "store.json", "owners"  # they say whose data lies in a place that many machines use

# A file name that is safe to open relative to its directory. `data/ab/cd/<uid>.json` is Starfish's own layout.
_NAME = r"[^/\x00-\x1f.][^/\x00-\x1f]{0,254}"
_RECORD_KEY = re.compile(rf"data/(?:(?!\.\.?/)[^/\x00-\x1f]{{2}}/){{1,2}}{_NAME}\.json")
_REQUEST_CONFIG_KEY = re.compile(rf"configs/{_NAME}\.json")
# With the longest id, the name stays below the 255 bytes that file systems allow.
_VERSION = re.compile(r"[0-9a-f]{1,40}", re.ASCII)
_VERSION_BYTES = 10  # random; of one record uid, not of the store
_VERSIONED_KEY = re.compile(rf"(data/.*)\.({_VERSION.pattern})\.json", re.DOTALL)
_PACK = r"[0-9a-z]{1,40}"
_NAMED_ONCE = re.compile(r"[0-9a-f]{20}", re.ASCII)
_PACKED_VERSION = re.compile(rf"({_PACK}):(\d{{1,18}})\+(\d{{1,18}})", re.ASCII)
_PLACE_IN_PACK = re.compile(rf"{PACKS_DIRECTORY}/({_PACK})\.jsonl:(\d{{1,18}})\+(\d{{1,18}})", re.ASCII)
_PACK_KEY = re.compile(rf"{PACKS_DIRECTORY}/({_PACK})\.jsonl(?:\.zst)?", re.ASCII)
_NOT_FOR_CONFIGS = {DATA_DIRECTORY, STAGING_DIRECTORY, WRITER_LOCK_FILE, SESSION_LOCK_FILE, MARK_KEY, OWNERS_DIRECTORY}
# Greedy: of a store that lay in a directory named `data`, the last `data` is the key's.
_FOREIGN_PREFIX = re.compile(rf"/.*/({_RECORD_KEY.pattern}|{_REQUEST_CONFIG_KEY.pattern})", re.DOTALL)


class PackPlace(NamedTuple):
    """Where data lies in a pack.

    Attributes:
        pack: the name of the pack.
        start: of the first byte, from 0.
        length: in bytes, with the newline.
    """

    pack: str
    start: int
    length: int

    @property
    def end(self) -> int:
        """Behind the last byte."""
        return self.start + self.length

    def holds(self, other: PackPlace) -> bool:
        """Return whether it is a range that has another place in it."""
        return self.pack == other.pack and self.start <= other.start and other.end <= self.end

    @property
    def version(self) -> str:
        """How rows say it: as a version of the data's key.

        >>> PackPlace("000001", 4567, 1500).version
        '000001:4567+1500'
        """
        return f"{self.pack}:{self.start}+{self.length}"

    @property
    def key(self) -> str:
        """How it is called beside keys.

        >>> PackPlace("000001", 4567, 1500).key
        'data/packs/000001.jsonl:4567+1500'
        """
        return f"{pack_key(self.pack)}:{self.start}+{self.length}"


def pack_key(pack: str) -> str:
    """Return the path of a pack, relative to the root.

    >>> pack_key("000001")
    'data/packs/000001.jsonl'
    """
    return f"{PACKS_DIRECTORY}/{pack}.jsonl"


def pack_named(path: str) -> str | None:
    """Return the name of the pack, plain or compressed, that lies under a path relative to the root."""
    match = _PACK_KEY.fullmatch(path)
    return None if match is None else match[1]


def place_in_pack(key: str) -> PackPlace | None:
    """Return the place in a pack that stands where a key may stand; None if it is something else.

    >>> place_in_pack("data/packs/000001.jsonl:4567+1500")
    PackPlace(pack='000001', start=4567, length=1500)
    """
    match = _PLACE_IN_PACK.fullmatch(key) if key.startswith(PACKS_DIRECTORY) else None
    return None if match is None else PackPlace(match[1], int(match[2]), int(match[3]))


def packed_at(version: str | None) -> PackPlace | None:
    """Return the place in a pack that a version names; None if it is none, or names a file or object of its own.

    >>> packed_at("000001:4567+1500")
    PackPlace(pack='000001', start=4567, length=1500)
    """
    match = None if version is None else _PACKED_VERSION.fullmatch(version)
    return None if match is None else PackPlace(match[1], int(match[2]), int(match[3]))


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


def owner_uid(key: str) -> str:
    """Return the uid of the record whose own data lies under a key; other records may refer to it, too.

    >>> owner_uid("data/82/r1.json")
    'r1'
    """
    return key.rpartition("/")[2].removesuffix(".json")


def new_version() -> str:
    """Return a version that no data had before, and that nothing will name again once it is gone."""
    return os.urandom(_VERSION_BYTES).hex()


def new_pack() -> str:
    """Return a name for a pack that nobody else gives, on any machine: milliseconds since 1970, then random digits.

    >>> len(new_pack())
    20
    """
    return f"{time.time_ns() // 1_000_000:011x}{os.urandom(5).hex()[:9]}"


def time_of_pack(pack: str) -> float:
    """Return when a name as `new_pack` makes them was given, in seconds since 1970; of any other name, 0."""
    return int(pack[:11], 16) / 1000 if _NAMED_ONCE.fullmatch(pack) is not None else 0.0


def version_named_by(content: str) -> str:
    """Return a version that follows from what it is of.

    >>> version_named_by("1 0af3") == version_named_by("1 0af3") != version_named_by("2 0af3")
    True
    """
    return hashlib.sha256(content.encode()).hexdigest()[: 2 * _VERSION_BYTES]


def version_key(key: str, version: str | None) -> str:
    """Return where one version of record data lies: beside the key of the data itself, or in a pack.

    Data without versions has None, and lies under the key itself.

    >>> version_key("data/82/r1.json", "0af3")
    'data/82/r1.0af3.json'
    >>> version_key("data/82/r1.json", None)
    'data/82/r1.json'
    >>> version_key("data/82/r1.json", "000001:4567+1500")
    'data/packs/000001.jsonl:4567+1500'

    Raises:
        InvalidReferenceError: there is a version, and it is not valid, or the key is not one of record data.
    """
    if version is None:
        return key
    if _PACKED_VERSION.fullmatch(version) is not None:
        return named_version(key, version)
    if _VERSION.fullmatch(version) is None:
        raise InvalidReferenceError(key, f"{version!a} is not a version: give 1 to 40 lower-case hexadecimal digits")
    return named_version(check_record_key(key), version)


def named_version(key: str, version: str | None) -> str:
    """Return what `version_key` does, of any key and version: for checks, which judge by the result what rows say."""
    if version is None:
        return key
    pack, colon, place = version.partition(":")
    return f"{pack_key(pack)}:{place}" if colon else f"{key.removesuffix('.json')}.{version}.json"


def versions_named(name: str) -> list[tuple[str, str | None]]:
    """Return every key and version that `version_key` makes a name of: a uid may look as if it ended in a version.

    >>> versions_named("data/82/r1.0af3.json")
    [('data/82/r1.0af3.json', None), ('data/82/r1.json', '0af3')]
    """
    match = _VERSIONED_KEY.fullmatch(name)
    return [(name, None)] if match is None else [(name, None), (f"{match[1]}.json", match[2])]


def is_named_once(name: str) -> bool:
    """Return whether a name ends in a version as `new_version` makes them, so that no row written later has it."""
    return any(version is not None and len(version) == 2 * _VERSION_BYTES for _, version in versions_named(name))


def request_config_key(master_job_id: str) -> str:
    """Return the key of a master job's request configuration.

    >>> request_config_key("m1")
    'configs/m1.request.json'
    """
    check_id("master_job_id", master_job_id)
    return named_request_config(master_job_id)


def named_request_config(master_job_id: str) -> str:
    """Return what `request_config_key` does, of any id: for repairs, which take the ids that they find."""
    return f"{CONFIG_DIRECTORY}/{master_job_id}.request.json"


def master_job_of(key: str) -> str:
    """Return the id of the master job whose request configuration lies under a key.

    >>> master_job_of("configs/m1.request.json")
    'm1'

    Raises:
        InvalidReferenceError: the key is not one of a request configuration.
        InvalidIdError: what it names cannot be an id.
    """
    name = check_request_config_key(key).rpartition("/")[2].removesuffix(".json").removesuffix(".request")
    check_id("master_job_id", name)
    return name


def key_of_path(reference: object, roots: tuple[str, ...]) -> str:
    """Return the key that a reference means.

    Args:
        reference: an absolute path below one of the roots, a key, or an absolute path that ends in a key of record
            data or of a request configuration (written when the store lay elsewhere).
        roots: the absolute paths under which the store is known, without a trailing slash.

    Raises:
        InvalidReferenceError: the reference is something else, or leaves the root.
    """
    if not isinstance(reference, str):
        raise InvalidReferenceError(reference, "it is not a string")
    for root in roots if reference.isascii() else ():  # nearly always it is one of ours
        if reference.startswith(f"{root}/") and _RECORD_KEY.fullmatch(reference, len(root) + 1) is not None:
            return reference[len(root) + 1 :]
    inside = next((reference[len(root) + 1 :] for root in roots if reference.startswith(root + "/")), None)
    if inside is None and not reference.startswith("/"):
        inside = reference
    if inside is not None and is_key(inside):
        return _checked_relative(reference, inside)
    # Written when the store lay elsewhere; that may have been below where it lies now.
    _checked_relative(reference, reference.removeprefix("/"))
    moved = _FOREIGN_PREFIX.fullmatch(reference)
    if moved is not None:
        return _checked_relative(reference, moved.group(1))
    if inside is None:
        raise InvalidReferenceError(reference, f"it lies outside the store's root {roots[0]!r}")
    return _checked_relative(reference, inside)


def key_of_uri(reference: object, root: str) -> str:
    """Return the key that a reference means to a store of objects.

    Nothing is decoded: a percent sign is one, in an id and so in a key.

    Args:
        reference: a URI below the root, a key, or what ends in a key of record data or of a request configuration and
            is an absolute path or the URI of an object (written when the store lay there).
        root: the URI of the store, without a trailing slash.

    Raises:
        InvalidReferenceError: the reference is something else, or leaves the root.
    """
    if not isinstance(reference, str):
        raise InvalidReferenceError(reference, "it is not a string")
    if reference.startswith(root + "/"):
        path = reference[len(root) + 1 :]
    elif is_object_uri(reference):
        path = "/" + reference.partition("://")[2]
    else:
        path = reference
    _checked_relative(reference, path.removeprefix("/"))
    if not path.startswith("/") and (is_key(path) or path == reference):
        return path
    moved = _FOREIGN_PREFIX.fullmatch("/" + path.removeprefix("/"))
    if moved is None:
        raise InvalidReferenceError(reference, f"it lies outside the store's root {root!r}")
    return moved.group(1)


def check_key(key: str) -> str:
    """Return the key if it is one of record data or of a request configuration.

    Raises:
        InvalidReferenceError: it is neither; nothing else in the root is ever written or removed.
    """
    if not is_key(key):
        raise InvalidReferenceError(key, "it is not a key of record data or of a request configuration")
    return key


def check_record_key(key: str) -> str:
    """Return the key if it is one of record data.

    Raises:
        InvalidReferenceError: it is not.
    """
    if _RECORD_KEY.fullmatch(key) is None:
        raise InvalidReferenceError(key, "it is not a reference to record data ('data/<2 hex>/<record_uid>.json')")
    return key


def check_place(place: str) -> str:
    """Return the place of record data if it is one: a key of it, or a place in a pack.

    Raises:
        InvalidReferenceError: it is not.
    """
    return place if _PLACE_IN_PACK.fullmatch(place) is not None else check_record_key(place)


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


def check_request_config_name(key: str, reference: str) -> str:
    """Return the key, unless the store keeps something else under that name.

    ``reference`` is what the caller gave, for the message.

    A master job may be given any name for a configuration that is kept by other means; only keys of request
    configurations are ever read, written or removed.

    Raises:
        InvalidReferenceError: it is record data, the database, a lock, or a file being written.
    """
    first = key.partition("/")[0]
    if first in _NOT_FOR_CONFIGS or first.startswith(DATABASE_FILE):
        raise InvalidReferenceError(
            reference, "the store keeps something else under that name; choose another name for the configuration"
        )
    if first == CONFIG_DIRECTORY and _REQUEST_CONFIG_KEY.fullmatch(key) is None:
        raise InvalidReferenceError(
            reference, "a request configuration below 'configs/' is named 'configs/<master_job_id>.request.json'"
        )
    return key


def is_key(path: str) -> bool:
    """Return whether a relative path is a key of record data or of a request configuration."""
    return _RECORD_KEY.fullmatch(path) is not None or _REQUEST_CONFIG_KEY.fullmatch(path) is not None


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
