"""How files are opened and read at a place: what is POSIX's of it, so that another system has one place to differ.

`read_at` and `write_at` leave the position of the descriptor alone, which several threads share.
"""

from __future__ import annotations

import errno
import os
import resource

CLOSED_IN_CHILDREN = os.O_CLOEXEC
NO_LINK = os.O_CLOEXEC | os.O_NOFOLLOW
"""Never through a symbolic link, which somebody may have planted; and not handed to child processes."""
NO_LINK_NO_WAIT = NO_LINK | os.O_NONBLOCK
"""Neither through a link, nor waiting for the other end of a planted FIFO."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
DIRECTORY_NO_LINK = DIRECTORY | os.O_NOFOLLOW

read_at = os.pread
write_at = os.pwrite


def share_of_descriptors(one_of: int, most: int) -> int:
    """Return how many descriptors may be kept open: one of so many that the system allows, and at most so many.

    >>> share_of_descriptors(4, 2)
    2
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if allowed == resource.RLIM_INFINITY else min(most, allowed // one_of)


def stat_of(name: str, directory: int) -> os.stat_result:
    """Return what the system knows of a file in an open directory, and of a link itself.

    Raises:
        OSError: there is none.
    """
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def reason_not_opened(path: str) -> int:
    """Return the system's error number for a file that cannot be read and written; 0 if it can, or nobody can say.

    It is looked at by a descriptor of its path alone: closing an ordinary one would drop the locks of this process.
    """
    if not hasattr(os, "O_PATH"):
        return 0
    try:
        os.close(os.open(path, os.O_PATH | os.O_CLOEXEC))
    except OSError as reason:
        return reason.errno or 0
    return 0 if os.access(path, os.R_OK | os.W_OK) else errno.EACCES
