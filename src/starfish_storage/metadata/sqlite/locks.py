"""Locks between processes: who may write, and who has the store open.

Both are ``flock`` locks on small files beside the database, so the system drops them when a process dies. SQLite's
own lock covers the rows only; ours also covers the moment between a commit and the renaming of its files.
"""

from __future__ import annotations

import fcntl
import functools
import os
import time
import uuid
from contextlib import ExitStack

from starfish_storage.errors import NO_SPACE, StorageBusyError, StorageFullError, StorageIOError, StoreOpenError
from starfish_storage.files.permissions import create_private_file
from starfish_storage.files.planted import NOT_OUR_LOCK, refuse_planted
from starfish_storage.keys import SESSION_LOCK_FILE, WRITER_LOCK_FILE

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_CLEAN, _UNFINISHED = b"\0", b"\1"
_SIZE = 8  # bytes of a length
_LONGEST_PAUSE = 0.01  # between two tries, in seconds; a deletion rests for longer
_UNKNOWN_BOOT = bytes(16)
_MARK = _SIZE + len(_UNKNOWN_BOOT)


class WriterLock:
    """Held by one process at a time, from the beginning of a commit until its files are in place.

    The first byte of its file says whether the last holder finished. If it did not, it was killed in between, and what
    it had committed must be put in place from the journal before anything else is written. Behind it stands how long
    the row log is, and in which boot of the machine that was written.
    """

    def __init__(self, root: str, timeout: float) -> None:
        self._path = f"{root}/{WRITER_LOCK_FILE}"
        self._timeout = timeout
        self._descriptor = _open_lock_file(self._path, 1 + _MARK)

    def acquire(self) -> bool:
        """Wait for the lock, and return whether the last holder finished.

        Raises:
            StorageBusyError: another process held it for longer than the timeout.
            StorageIOError: the lock file cannot be read or written; the lock is not held.
        """
        if not _try_lock(self._descriptor, self._path, fcntl.LOCK_EX):
            self._wait()
        try:
            finished = os.pread(self._descriptor, 1, 0) != _UNFINISHED
            os.pwrite(self._descriptor, _UNFINISHED, 0)
        except OSError as error:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # or every other process would wait for this one
            raise _failed(self._path, error) from error
        return finished

    def release(self, *, finished: bool = True) -> None:
        """Give the lock back, saying whether everything that was committed is in place. Never raises."""
        if finished:
            try:
                os.pwrite(self._descriptor, _CLEAN, 0)
            except OSError:
                pass  # it says "unfinished" since `acquire`: the next holder replays, which does no harm
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def mark(self, size: int) -> None:
        """Note how long the row log is, while holding the lock. Never raises: without it, the log is made anew."""
        try:
            os.pwrite(self._descriptor, size.to_bytes(_SIZE) + _boot(), 1)
        except (OSError, OverflowError):
            pass

    def marked(self) -> int | None:
        """Return what was noted of the row log in this boot of the machine; None if nothing was, or it is not known."""
        try:
            found = os.pread(self._descriptor, _MARK, 1)
        except OSError:
            return None
        is_of_now = len(found) == _MARK and found[_SIZE:] == _boot() != _UNKNOWN_BOOT
        return int.from_bytes(found[:_SIZE]) if is_of_now else None

    def close(self) -> None:
        """Close the lock file, which also gives the lock back; a forked child does this to leave it to its parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self) -> None:
        # Polling, because a blocking flock has no timeout; the steps grow.
        deadline = time.monotonic() + self._timeout
        pause = 0.0005
        while not _try_lock(self._descriptor, self._path, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                holder = _holder(self._descriptor)
                remedy = "Find out which process holds it" if holder is None else "Let it go on, or end it"
                raise StorageBusyError(
                    f"{self._path!r} has been locked by {holder or 'another process'} for {self._timeout:g} s; nothing "
                    f"was written. {remedy}, then call again."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def is_held(root: str, seconds: float) -> bool:
    """Return whether another process holds a store's writer lock, and goes on to for some seconds. Writes nothing.

    Args:
        root: absolute path of the directory of the database.
        seconds: how long to look.
    """
    try:
        descriptor = os.open(f"{root}/{WRITER_LOCK_FILE}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # nobody has ever opened it for writing, or opening it tells what is wrong
    try:
        end = time.monotonic() + seconds
        while not (is_free := _try_lock(descriptor, root, fcntl.LOCK_EX)) and time.monotonic() < end:
            time.sleep(_LONGEST_PAUSE)
        return not is_free
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str | None:
    """Return which process holds the lock of a file, as far as the system tells (Linux, in one container)."""
    try:
        file = os.fstat(descriptor)
        name = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
        with open("/proc/locks", encoding="ascii") as locks:
            pid = next(int(fields[4]) for line in locks if (fields := line.split())[1] == "FLOCK" and fields[5] == name)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return f"process {pid}, which is {'stopped' if state in 'Tt' else 'alive'},"


class SessionLock:
    """Held by every process that has the store open, all at the same time."""

    def __init__(self, root: str) -> None:
        self._path = f"{root}/{SESSION_LOCK_FILE}"
        self._descriptor = _open_lock_file(self._path, 1)

    def hold(self) -> bool:
        """Take the lock, and return whether nobody else has it. Call it while holding the writer lock."""
        alone = _try_lock(self._descriptor, self._path, fcntl.LOCK_EX)
        # The writer lock keeps others from coming in between; who already has it has it shared and does not move.
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return alone

    def close(self) -> None:
        """Close the lock file, which also gives the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class HeldAlone:
    """Holds a store that nobody else has open, whatever state its database is in. Use it in ``with``.

    Args:
        root: absolute path of the directory of the database.
        timeout: how long to wait for its writer lock, in seconds.
        as_found: what a killed writer has left is not put in place meanwhile: it stays for the next one.

    Raises:
        StorageBusyError: another process has it open, on entering.
    """

    def __init__(self, root: str, timeout: float, *, as_found: bool = False) -> None:
        self._root = root
        self._timeout = timeout
        self._as_found = as_found

    def __enter__(self) -> WriterLock:
        with ExitStack() as stack:
            self.lock = WriterLock(self._root, self._timeout)
            stack.callback(self.lock.close)
            session = SessionLock(self._root)
            stack.callback(session.close)
            self._finished = self.lock.acquire()
            stack.callback(lambda: self.lock.release(finished=self._finished))
            if not session.hold():
                raise StorageBusyError(
                    f"{self._root!r} is open in another process; close it there, then call again. Nothing was changed."
                )
            self._held = stack.pop_all()
        return self.lock

    def __exit__(self, kind: object, *_: object) -> None:
        if not self._as_found:
            self._finished = kind is None
        self._held.close()


class KeptShut:
    """Keeps others from opening a store, without writing anything in it. Use it in ``with``.

    Args:
        root: absolute path of the directory of the database.

    Raises:
        StorageBusyError: another process has it open, on entering.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._descriptor = -1

    def __enter__(self) -> None:
        path = f"{self._root}/{SESSION_LOCK_FILE}"
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return  # nobody has ever opened it
        except OSError as error:
            raise StorageIOError(path, error.errno, f"the lock file cannot be opened: {error.strerror}") from error
        if not _try_lock(self._descriptor, path, fcntl.LOCK_EX):
            self.__exit__()
            raise StorageBusyError(f"{self._root!r} is open in another process; close it there, then call again.")

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open_lock_file(path: str, longest: int) -> int:
    refuse_planted(path, longest)
    try:
        try:
            return create_private_file(path, _FLAGS)
        except FileExistsError:
            descriptor = os.open(path, _FLAGS)
            first = os.pread(descriptor, 1, 0)
    except OSError as error:
        raise _failed(path, error) from error
    if first not in (b"", _CLEAN, _UNFINISHED):
        os.close(descriptor)
        raise StoreOpenError(path, NOT_OUR_LOCK)
    return descriptor


@functools.cache
def _boot() -> bytes:
    """Return the identity of this boot of the machine, which a container shares; unknown where the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return uuid.UUID(file.read().strip()).bytes
    except (OSError, ValueError):
        return _UNKNOWN_BOOT


def _failed(path: str, error: OSError) -> StorageIOError:
    family = StorageFullError if error.errno in NO_SPACE else StorageIOError
    return family(path, error.errno, f"the lock file cannot be used: {error.strerror}")


def _try_lock(descriptor: int, path: str, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageIOError(path, error.errno, "this file system has no locks; use one that has") from error
    return True
