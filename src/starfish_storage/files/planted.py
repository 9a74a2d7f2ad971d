"""What somebody put in the place of one of the store's own files: a link, a device, another file."""

from __future__ import annotations

import os
import stat

from starfish_storage.errors import StoreOpenError

NOT_OUR_LOCK = "it is another program's file, and not the store's own lock; remove it"

_BESIDE_A_DATABASE = ("-wal", "-shm", "-journal")


def refuse_planted_database(path: str) -> None:
    """Raise unless a database, and what SQLite opens beside it, are regular files, or nothing. Call it before SQLite.

    Raises:
        StoreOpenError: one of them is something else.
    """
    for suffix in ("", *_BESIDE_A_DATABASE):
        refuse_planted(path + suffix)


def refuse_planted(path: str, longest: int | None = None) -> None:
    """Raise unless there is a regular file, or nothing.

    SQLite would follow a link in the place of its log and write there, and the first byte of a lock is written.

    Args:
        path: the file.
        longest: how many bytes it has at most.

    Raises:
        StoreOpenError: there is something else, or more.
    """
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreOpenError(path, f"it cannot be looked at: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise StoreOpenError(path, "it is a link, a directory or a device, and not the store's own file; remove it")
    if longest is not None and found.st_size > longest:
        raise StoreOpenError(path, NOT_OUR_LOCK)
