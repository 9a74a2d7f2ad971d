"""Open directories below the root, kept open so that files are reached in one step and never through a link."""

from __future__ import annotations

import errno
import os
import threading

from starfish_storage.errors import InvalidReferenceError
from starfish_storage.files.atomic import FileOperations, close
from starfish_storage.files.descriptors import share_of_descriptors
from starfish_storage.files.spare_descriptors import SPARES

_MOST_KEPT_OPEN = 300  # 256 shards and a few more


class Directories:
    """Opens directories by their path relative to the root, and keeps them open where the system's limit allows.

    Safe to use from several threads.
    """

    def __init__(self, root: str, files: FileOperations) -> None:
        self.root = root
        self._files = files
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._replaced: set[int] = set()
        # A quarter of the descriptors at most: the rest is the caller's.
        self._most = share_of_descriptors(4, _MOST_KEPT_OPEN)

    def acquire(self, path: str, *, create: bool = False) -> int:
        """Return an open descriptor of a directory; give it back with `release`.

        Args:
            path: relative to the root; ``""`` is the root itself.
            create: make it, and those above it, if it is not there.

        Raises:
            OSError: it cannot be opened.
            InvalidReferenceError: a part of the path is a link or no directory.
        """
        descriptor = self._open.get(path)
        return self._acquire_anew(path, create) if descriptor is None else descriptor

    def kept(self, path: str) -> int | None:
        """Return the descriptor of a directory that is kept open until `close`, or None; it is not given back."""
        return self._open.get(path)

    def release(self, path: str, descriptor: int) -> None:
        """Give back what `acquire` returned."""
        if self._open.get(path) != descriptor and descriptor not in self._replaced:
            close(descriptor)

    def notice_replaced(self, path: str) -> bool:
        """Return whether another directory has taken that path since it was opened; if so, forget the open one.

        A restored backup, say, puts another directory in its place, or in the place of one above it.
        """
        above = path.rpartition("/")[0]
        replaced_above = bool(above) and self.notice_replaced(above)
        return self._notice_replaced(path) or replaced_above

    def _notice_replaced(self, path: str) -> bool:
        descriptor = self._open.get(path)
        if descriptor is None:
            return False
        kept = os.fstat(descriptor)
        try:
            there = os.stat(f"{self.root}/{path}", follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if there is not None and os.path.samestat(kept, there):
            return False
        with self._lock:
            if self._open.get(path) == descriptor:
                # Left open until `close`: another thread may be using it. This happens a few times at most.
                self._replaced.add(self._open.pop(path))
        return True

    def close(self) -> None:
        """Close every directory that is kept open."""
        with self._lock:
            kept = [*self._open.values(), *self._replaced]
            self._open = {}
            self._replaced = set()
        for descriptor in kept:
            os.close(descriptor)

    def _acquire_anew(self, path: str, create: bool) -> int:
        if not path:
            # The root itself may be reached through a link; nothing below it may.
            descriptor = self._files.open_directory(os.path.realpath(self.root))
        else:
            above, _, name = path.rpartition("/")
            parent = self.acquire(above, create=create)
            try:
                descriptor = self._open_below(parent, name, path, create)
            finally:
                self.release(above, parent)
        with self._lock:
            if path not in self._open and len(self._open) < self._most and not SPARES.are_short:
                self._open[path] = descriptor
        return descriptor

    def _open_below(self, parent: int, name: str, path: str, create: bool) -> int:
        try:
            return self._files.open_directory(name, parent)
        except FileNotFoundError:
            if not create:
                raise
            self._files.make_directory(name, parent)
            return self._files.open_directory(name, parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise InvalidReferenceError(path, "this part of the store is a link or no directory") from error
            raise
