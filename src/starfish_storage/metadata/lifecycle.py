"""What an open database refuses before, after, and in a forked child: the same for every engine."""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod

from starfish_storage.errors import (
    ForkedProcessError,
    NotSetUpError,
    StorageClosedError,
    StorageError,
    StoreReadOnlyError,
)
from starfish_storage.files.processes import in_forked_children


class Lifecycle(ABC):
    """A database that is opened, closed, and left to the parent in a forked child."""

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._was_open = False
        self._forked = False
        _all.add(self)

    def leave_to_parent(self) -> None:
        """Give up, in a forked child, what the parent goes on using."""
        self._forked = True
        self._opening = threading.Lock()  # the old one may be held by a thread that stayed behind
        _left_to_parent.append(self._let_go())

    @abstractmethod
    def _let_go(self) -> object:
        """Forget what is open, in a forked child, and return it. It is kept alive: closing it would harm the parent."""

    def _refusal(self) -> StorageError:
        """Return the error of a call while nothing is open."""
        if self._forked:
            return ForkedProcessError(
                "this storage was opened before the process forked; start processes with 'spawn', or fork first."
            )
        if self._was_open:
            return closed()
        return NotSetUpError("call setup() first, or use the storage in 'async with' ('with' for that of sync).")


def closed() -> StorageClosedError:
    """Return the error of a call that comes after `close`."""
    return StorageClosedError("the storage was closed; call setup() to open it again.")


def closed_to_writes() -> StorageClosedError:
    """Return the error of a write that is handed in after `close` has begun."""
    return StorageClosedError("the storage was closed; nothing was written. Call setup() to open it again.")


def opened_read_only(place: str) -> StoreReadOnlyError:
    """Return the error of a write to a store that was opened for reading on purpose."""
    return StoreReadOnlyError(place, "it was opened with read_only=True; open it without, to write")


_all: weakref.WeakSet[Lifecycle] = weakref.WeakSet()
_left_to_parent: list[object] = []


def _leave_all_to_parent() -> None:
    for one in list(_all):
        one.leave_to_parent()


in_forked_children(_leave_all_to_parent)
