"""Where indexes lie: in the user's cache, one file a store, for their owner only."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import time
from contextlib import suppress

from starfish_storage.errors import StorageIOError
from starfish_storage.files.descriptors import CLOSED_IN_CHILDREN
from starfish_storage.files.permissions import create_private_file
from starfish_storage.files.processes import user_id
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.uri import FILE_SCHEME, path_of_file_uri

logger = get_logger(__name__)

CACHE_VARIABLE = "STARFISH_STORAGE_CACHE"
"""The environment variable that names the directory of what can be made again."""

_NAME = "starfish-storage"
_INDEX, _STORE = ".index", ".store"
_PARTS = ("", "-wal", "-shm", "-journal")
_UNUSED_SECONDS = 30 * 86400
_PRIVATE = 0o700
_OTHERS_WRITE = 0o022


class IndexPlace:
    """Where the index of a store lies.

    Args:
        storage_uri: the store, without a password.
    """

    def __init__(self, storage_uri: str) -> None:
        self._uri = storage_uri
        self._name = hashlib.sha256(storage_uri.encode()).hexdigest()[:32]

    def is_there(self) -> bool:
        """Return whether there is an index."""
        return any(os.path.exists(f"{place}/{self._name}{_INDEX}") for place in _places())

    def made(self) -> str:
        """Return the path of the index, making an empty file if there is none; removes what nobody uses any more.

        Raises:
            StorageIOError: it cannot be made.
        """
        directory, reason = "", OSError()
        for directory in _places():
            try:
                _make_own(directory)
                path = f"{directory}/{self._name}{_INDEX}"
                if not os.path.lexists(path):
                    _remove_unused(directory)
                    self._make(path, f"{directory}/{self._name}{_STORE}")
                os.utime(path)
            except OSError as error:
                reason = error
            else:
                return path
        raise StorageIOError(
            directory,
            reason.errno,
            f"the search index cannot be made there ({reason.strerror}); set {CACHE_VARIABLE} to another directory",
        ) from reason

    def remove(self) -> None:
        """Remove the index. Idempotent."""
        for directory in _places():
            _remove(f"{directory}/{self._name}")

    def _make(self, path: str, store: str) -> None:
        with suppress(FileExistsError):  # another process was faster
            descriptor = create_private_file(store, os.O_WRONLY | CLOSED_IN_CHILDREN)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(self._uri)
        with suppress(FileExistsError):
            os.close(create_private_file(path, os.O_RDWR | CLOSED_IN_CHILDREN))


def _places() -> list[str]:
    """Return the directories that indexes may lie in, the best first."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return [f"{os.path.abspath(chosen)}/search"]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [f"{place}/search" for place in (f"{cache}/{_NAME}", _spare()) if os.path.isabs(place)]


def _make_own(directory: str) -> None:
    """Make a directory, unless it is there; below the directory of temporary files anybody may have made it before.

    Raises:
        OSError: it cannot be made, or another user could put something else in its place.
    """
    parent = os.path.dirname(directory)
    os.makedirs(parent, _PRIVATE, exist_ok=True)
    os.makedirs(directory, _PRIVATE, exist_ok=True)
    is_spare = parent == _spare()
    for path in (directory, parent) if is_spare else (directory,):
        found = os.stat(path, follow_symlinks=not is_spare)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != user_id() or found.st_mode & _OTHERS_WRITE:
            raise PermissionError(errno.EACCES, "another user may write there", path)


def _spare() -> str:
    """Return where indexes lie if a user has no home, as in many containers."""
    return f"{tempfile.gettempdir()}/{_NAME}-{user_id()}"


def _remove_unused(directory: str) -> None:
    """Remove the indexes of local stores that are gone, and those that nobody has opened for a month."""
    with os.scandir(directory) as entries:
        names = [entry.name.removesuffix(_STORE) for entry in entries if entry.name.endswith(_STORE)]
    for name in names:
        path = f"{directory}/{name}"
        try:
            with open(f"{path}{_STORE}", encoding="utf-8") as file:
                uri = file.read()
            is_unused = time.time() - os.stat(f"{path}{_INDEX}").st_mtime > _UNUSED_SECONDS
        except (OSError, ValueError):
            continue
        is_gone = uri.startswith(FILE_SCHEME) and not os.path.lexists(f"{path_of_file_uri(uri)}/{DATABASE_FILE}")
        if is_unused or is_gone:
            logger.debug("the search index of %r is removed", uri)
            _remove(path)


def _remove(path: str) -> None:
    for part in (*(f"{_INDEX}{part}" for part in _PARTS), _STORE):
        with suppress(OSError):
            os.unlink(path + part)
