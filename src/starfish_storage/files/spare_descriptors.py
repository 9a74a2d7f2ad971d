"""File descriptors held in reserve: a program that has used up all others must not cost the store a result.

A function that is called for many inputs at a time may open files until the system refuses (``EMFILE``). That is the
function's own failure, and it is to be stored. Opened ahead are directories, the database and the locks; what must be
opened in the moment, such as the file of a record, takes the place of a descriptor that is let go for it.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable
from typing import TypeVar

from starfish_storage.files.descriptors import CLOSED_IN_CHILDREN, share_of_descriptors

Opened = TypeVar("Opened")

_MOST = 16
_LACK_IN_TEXT = re.compile(r"\bos error 2[34]\b")  # as drivers written in Rust say it
_SHARE = 4  # of what the system allows, a quarter at most


class SpareDescriptors:
    """Descriptors of one process that lead nowhere. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[int] = []
        self._users = 0
        self._most = 0

    @property
    def are_short(self) -> bool:
        """Whether some were let go: then nothing is to be kept open that can be opened again."""
        return len(self._held) < self._most

    def hold(self) -> None:
        """Hold them while a store is open. Call `let_go` as often as this. Raises nothing: fewer will do."""
        most = share_of_descriptors(_SHARE, _MOST)
        with self._lock:
            self._users += 1
            self._most = most
        self.refill()

    def let_go(self) -> None:
        """Close them with the last store. Never raises."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            held, self._held, self._most = self._held, [], 0
        for descriptor in held:
            os.close(descriptor)

    def refill(self) -> None:
        """Take the place of those that were let go, as far as the system allows. Cheap where none was."""
        if not self.are_short:
            return
        with self._lock:
            try:
                while self._users and len(self._held) < self._most:
                    self._held.append(os.open(os.devnull, os.O_RDONLY | CLOSED_IN_CHILDREN))
            except OSError:
                pass  # later

    def instead(
        self, error: Exception, open_it: Callable[[], Opened], lacks: Callable[[Exception], bool] | None = None
    ) -> Opened:
        """Try again to open something, each time with one descriptor less in reserve.

        Args:
            error: why it could not be opened. Raised again if that was no lack of descriptors, or none is left.
            open_it: opens it. Another thread may be quicker to take what is let go; then the next one is.
            lacks: whether an error is a lack of descriptors, where its number does not tell.
        """
        lacks = lacks or _is_lack
        while lacks(error) and self._let_one_go():
            try:
                return open_it()
            except Exception as again:  # noqa: BLE001 (judged by the caller's rule)
                error = again
        try:
            raise error
        finally:
            del error  # its trace names this frame: in a cycle, all that the callers hold would stay for a while

    def give_way(self, error: BaseException) -> None:
        """Let one go for what is opened again by somebody else, as a connection by a driver, if it failed for that."""
        if (isinstance(error, Exception) and _is_lack(error)) or _LACK_IN_TEXT.search(str(error)):
            self._let_one_go()

    def _let_one_go(self) -> bool:
        with self._lock:
            if not self._held:
                return False
            os.close(self._held.pop())
            return True


def _is_lack(error: Exception) -> bool:
    """Return whether the system refused for lack of descriptors."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


SPARES = SpareDescriptors()
"""Those of this process: descriptors are its own, and not a store's."""
