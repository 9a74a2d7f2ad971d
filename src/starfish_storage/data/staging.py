"""Where files are written before they get their names: one directory for each object that writes."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import uuid

from starfish_storage.data.directories import Directories
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.locking import lock_now, wait_for_shared_lock
from starfish_storage.keys import STAGING_DIRECTORY


class Staging:
    """A directory ``staging/<session>/`` of its own, locked while it is in use, so that others leave it alone.

    Args:
        directories: the directories of the root.
        files: the file operations.
    """

    def __init__(self, directories: Directories, files: FileOperations) -> None:
        self._directories = directories
        self._files = files
        self._session = uuid.uuid4().hex
        self._owner = os.getpid()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def descriptor(self) -> int:
        """Return the open directory; it is made when it is first needed, so that readers leave no trace.

        Raises:
            OSError: it cannot be made.
        """
        return self._make() if self._descriptor is None else self._descriptor

    def new_name(self) -> str:
        """Return a file name that is not used in the directory."""
        return str(next(self._numbers))

    def close(self) -> None:
        """Remove the directory if it is empty, and close it. Idempotent; a forked child leaves it to its parent."""
        if self._owner != os.getpid():
            return  # the lock may be held by a thread that stayed behind
        with self._lock:
            if self._descriptor is None:
                return
            try:
                os.rmdir(f"{self._directories.root}/{STAGING_DIRECTORY}/{self._session}")
            except OSError:
                pass  # not empty: the next one to open the store removes it
            os.close(self._descriptor)
            self._descriptor = None

    def discard_leftovers(self) -> None:
        """Remove the directories whose writers are dead: nobody holds their lock."""
        above = f"{self._directories.root}/{STAGING_DIRECTORY}"
        for name in os.listdir(above):
            try:
                descriptor = self._files.open_directory(f"{above}/{name}")
            except OSError:
                continue  # no directory, so nothing of ours; or gone already
            try:
                lock_now(descriptor)
                shutil.rmtree(f"{above}/{name}", ignore_errors=True)
            except OSError:
                pass  # its writer lives
            finally:
                os.close(descriptor)

    def _make(self) -> int:
        with self._lock:
            if self._descriptor is not None:
                return self._descriptor
            parent = self._directories.acquire(STAGING_DIRECTORY, create=True)
            try:
                descriptor = self._locked(parent)
                while os.fstat(descriptor).st_nlink == 0:  # removed as a leftover before it was locked
                    os.close(descriptor)
                    descriptor = self._locked(parent)
            finally:
                self._directories.release(STAGING_DIRECTORY, parent)
            self._descriptor = descriptor
            return descriptor

    def _locked(self, parent: int) -> int:
        self._files.make_directory(self._session, parent)
        descriptor = self._files.open_directory(self._session, parent)
        wait_for_shared_lock(descriptor)
        return descriptor
