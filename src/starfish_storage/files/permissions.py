"""Files and directories for their owner only, whatever the process's umask says."""

from __future__ import annotations

import os
import stat

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

_PERMISSIONS = 0o777


def create_private_file(path: str, flags: int, directory: int | None = None) -> int:
    """Create a file that only its owner can read and write, and return it open.

    Args:
        path: relative to ``directory``, where that is given.
        flags: how to open it; ``O_CREAT`` and ``O_EXCL`` are added.
        directory: an open directory.

    Raises:
        FileExistsError: there is something of that name, be it a link that leads nowhere.
        OSError: it cannot be created.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, PRIVATE_FILE, dir_fd=directory)
    try:
        # A look first: changing what needs no change would cost a write to the file system's own journal.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & _PERMISSIONS != PRIVATE_FILE:
            os.fchmod(descriptor, PRIVATE_FILE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def make_private_directory(path: str, parent: int | None = None) -> None:
    """Make a directory that only its owner can enter.

    Raises:
        FileExistsError: there is something of that name.
        OSError: it cannot be made.
    """
    os.mkdir(path, PRIVATE_DIRECTORY, dir_fd=parent)
    made = os.stat(path, dir_fd=parent, follow_symlinks=False)
    if stat.S_IMODE(made.st_mode) & _PERMISSIONS != PRIVATE_DIRECTORY:
        os.chmod(path, PRIVATE_DIRECTORY, dir_fd=parent)


def tighten_empty_directory(path: str) -> None:
    """Take away what others may do with a directory, if it is ours and nothing is in it yet.

    One that all may write to by design, such as ``/tmp``, has the sticky bit and stays as it is.
    """
    found = os.stat(path)
    others = stat.S_IMODE(found.st_mode) & (_PERMISSIONS ^ PRIVATE_DIRECTORY)
    if not others or found.st_mode & stat.S_ISVTX or found.st_uid != os.geteuid():
        return
    with os.scandir(path) as entries:
        if any(entries):
            return
    os.chmod(path, PRIVATE_DIRECTORY)
