"""Imports a program's file for a function in it, and lets nothing begin meanwhile that the file may start."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from starfish_storage.errors import InvalidInputError

REMEDY = "put what starts a run below `if __name__ == '__main__':`"


class ModuleImport:
    """A file or module that is being imported for a function in it.

    Attributes:
        name: what it is called in messages.
        refused: what it does that was refused first, such as ``"calls generate()"``; None if nothing was. Code that
            catches every error, or a thread, may have hidden that.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.refused: str | None = None
        self._before = weakref.WeakSet(threading.enumerate())
        self._began_inside = weakref.WeakSet[threading.Thread]()
        self._is_over = False

    def is_seen_by(self, thread: threading.Thread) -> bool:
        """Return whether a thread began while this was imported. Those do not inherit context variables."""
        return thread in self._began_inside if self._is_over else thread not in self._before

    def end(self) -> None:
        """Note which threads it has left behind."""
        self._began_inside.update(one for one in threading.enumerate() if one not in self._before)
        self._is_over = True

    @property
    def is_forgotten(self) -> bool:
        """Whether none of its threads is left."""
        return self._is_over and not any(one.is_alive() for one in self._began_inside)


_current: ContextVar[ModuleImport | None] = ContextVar("starfish_storage_module_import", default=None)
_known: list[ModuleImport] = []  # under way, or with threads left; nearly always empty


@contextmanager
def module_import(name: str) -> Generator[ModuleImport]:
    """Refuse, while a module is imported, whatever calls `refuse_in_import` in it, its tasks and its threads.

    Args:
        name: what it is called in messages.
    """
    found = ModuleImport(name)
    _known[:] = [*(one for one in _known if not one.is_forgotten), found]
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)
        found.end()


def refuse_in_import(does: str) -> None:
    """Raise if a module that is being imported for a function in it does what starts something.

    Args:
        does: what it does, such as ``"calls generate()"``.

    Raises:
        InvalidInputError: so it is.
    """
    found = _current.get()
    if found is None:
        if not _known:
            return
        thread = threading.current_thread()
        found = next((one for one in _known if one.is_seen_by(thread)), None)
        if found is None:
            return
    found.refused = found.refused or does
    raise InvalidInputError(f"{found.name} {does} while it is only being imported for a function in it: {REMEDY}.")
