"""Attributes of another program that are replaced, and put back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, MutableMapping
from contextlib import contextmanager
from typing import Any, cast

_ABSENT: Any = object()


def defined(owner: Any, name: str) -> Any:
    """Return what a module or a class itself holds under a name: of a static method, that, and not its function."""
    return cast("dict[str, Any]", vars(owner)).get(name, _ABSENT)


@contextmanager
def kept(instance: Any, names: Iterable[str]) -> Generator[None]:
    """Let an object keep these methods of its class as they are now, whatever replaces those meanwhile."""
    held = [name for name in names if name not in vars(instance)]
    for name in held:
        setattr(instance, name, getattr(instance, name))
    try:
        yield
    finally:
        for name in held:
            delattr(instance, name)


class Patches:
    """Replaces attributes and entries, and puts back what was there, the last first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def set(self, owner: Any, name: str, value: object) -> None:
        """Replace an attribute of a module or a class."""
        before = defined(owner, name)
        setattr(owner, name, value)

        def undo() -> None:
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        self._undo.append(undo)

    def put(self, mapping: MutableMapping[str, Any], name: str, value: object) -> None:
        """Replace an entry of a mapping."""
        before = mapping.get(name, _ABSENT)
        mapping[name] = value

        def undo() -> None:
            if before is _ABSENT:
                mapping.pop(name, None)
            else:
                mapping[name] = before

        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back. Idempotent."""
        while self._undo:
            self._undo.pop()()
