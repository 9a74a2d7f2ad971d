"""Attributes of another program that are replaced, and put back."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, cast

_ABSENT: Any = object()


def defined(owner: Any, name: str) -> Any:
    """Return what a module or a class itself holds under a name: of a static method, that, and not its function."""
    return cast("dict[str, Any]", vars(owner)).get(name, _ABSENT)


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
