"""Locks of whole files, which end with the process that has them, however it ends."""

from __future__ import annotations

import fcntl


def lock_now(descriptor: int, *, shared: bool = False) -> None:
    """Lock an open file, or fail at once.

    Raises:
        BlockingIOError: another has it.
        OSError: this file system has no locks.
    """
    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def wait_for_shared_lock(descriptor: int) -> None:
    """Lock an open file together with others, once nobody has it alone.

    Raises:
        OSError: this file system has no locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def unlock(descriptor: int) -> None:
    """Give a lock back, also where a forked child has inherited the open file.

    Raises:
        OSError: this file system has no locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_UN)
