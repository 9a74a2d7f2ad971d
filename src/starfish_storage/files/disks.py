"""What a file system says of itself."""

from __future__ import annotations

import os


def is_mounted_read_only(path: str) -> bool:
    """Return whether nobody can write there.

    Raises:
        OSError: it cannot be told.
    """
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def free_bytes(path: str) -> int:
    """Return how much there is room for, of what users may take.

    Raises:
        OSError: it cannot be told.
    """
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize
