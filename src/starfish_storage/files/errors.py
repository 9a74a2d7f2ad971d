"""The one place that turns the operating system's errors into ours."""

from __future__ import annotations

import os
from types import TracebackType

from starfish_storage.errors import NO_SPACE, StorageError, StorageFullError, StorageIOError


class translated:  # noqa: N801 (reads as a verb; as a generator it would cost four times as much)
    """Turn an `OSError` raised inside the block into a `StorageIOError` that names the path.

    Args:
        path: the file concerned.
        missing_passes: let a `FileNotFoundError` pass, because the caller knows what it means.
    """

    __slots__ = ("_missing_passes", "_path")

    def __init__(self, path: str, *, missing_passes: bool = False) -> None:
        self._path = path
        self._missing_passes = missing_passes

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Translate."""
        if not isinstance(error, OSError) or isinstance(error, StorageError):
            return
        if self._missing_passes and isinstance(error, FileNotFoundError):
            return
        reason = os.strerror(error.errno) if error.errno else f"{type(error).__name__} without a number"
        family = StorageFullError if error.errno in NO_SPACE else StorageIOError
        raise family(self._path, error.errno, reason) from error
