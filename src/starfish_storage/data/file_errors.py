"""The one place that turns the operating system's errors into ours."""

from __future__ import annotations

import errno
import os
from types import TracebackType

from starfish_storage.errors import StorageError, StorageFullError, StorageIOError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class translated:  # noqa: N801 (read as a verb: `with translated(path):`; a generator-based one costs four times as much)
    """Turn an `OSError` raised inside the block into a `StorageIOError` that names the path.

    A `FileNotFoundError` passes: the callers know whether that is an error.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Translate."""
        if isinstance(error, OSError) and not isinstance(error, StorageError | FileNotFoundError):
            reason = os.strerror(error.errno) if error.errno else str(error)
            family = StorageFullError if error.errno in _NO_SPACE else StorageIOError
            raise family(self._path, error.errno, reason) from error
