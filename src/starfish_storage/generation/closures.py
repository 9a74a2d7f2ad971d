"""The values that a function takes from the functions around it, as text that is the same in every process."""

from __future__ import annotations

import dataclasses
import dis
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel

_PLAIN = (Decimal, date, time, timedelta, UUID, PurePath, range)
"""Types whose ``repr`` is their value."""
_REBINDS = ("STORE_DEREF", "DELETE_DEREF")
_DEEPEST = 100  # levels of lists and objects in one another


class Closures:
    """Collects the variables that functions take from those around them.

    A variable that one of the functions assigns itself (``nonlocal``) is a counter or the like, and no value of theirs.

    Args:
        constant: makes text of texts, numbers and other constants; of other values of their type.
    """

    def __init__(self, constant: Callable[[object], str]) -> None:
        self._constant = constant
        self._found: list[tuple[str, types.CellType]] = []
        self._rebound: set[int] = set()

    def add(self, function: types.FunctionType) -> None:
        """Add those of a function."""
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._found += cells.items()
        self._rebound.update(id(cells[name]) for name in _rebound(function.__code__) if name in cells)

    def lines(self) -> Iterator[str]:
        """Yield each variable and its value, in the order of the functions."""
        for name, cell in self._found:
            if id(cell) not in self._rebound:
                try:
                    value = cell.cell_contents
                except ValueError:
                    continue  # not assigned yet
                yield f"{name}={self._text(value, ())}"

    def _text(self, value: object, above: tuple[int, ...]) -> str:
        """Return a value as text; of a part that is another object, its type."""
        name, inside = type(value).__qualname__, (*above, id(value))
        if id(value) in above or len(above) > _DEEPEST:
            text = "..."
        elif type(value) is int:
            text = f"{value:x}"  # Python makes no decimals of more than 4,300 digits
        elif isinstance(value, _PLAIN):
            text = repr(value)
        elif isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
            text = self._text(_fields(value), inside)
        elif isinstance(value, dict):
            pairs = list(cast("dict[object, object]", value).items())
            text = self._texts((part for pair in pairs for part in pair), inside)
        elif isinstance(value, list | tuple):
            text = self._texts(list(cast("Iterable[object]", value)), inside)
        elif isinstance(value, set | frozenset):  # the order of its members differs from process to process
            members = list(cast("Iterable[object]", value))
            text = ", ".join(sorted(self._text(one, inside) for one in members))
        else:
            text = self._constant(value)
        return f"{name}({text})"

    def _texts(self, values: Iterable[object], above: tuple[int, ...]) -> str:
        return ", ".join(self._text(one, above) for one in values)


def _fields(value: Any) -> Mapping[str, object]:
    if isinstance(value, BaseModel):
        return vars(value)
    # What was set on the object beside its fields may be a cache.
    return {one.name: getattr(value, one.name, None) for one in dataclasses.fields(value)}


def _rebound(code: types.CodeType) -> Iterator[str]:
    """Yield the variables of functions around it that a code assigns or deletes; also some of its own."""
    for one in dis.get_instructions(code):
        if one.opname in _REBINDS:
            yield str(one.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            # What it has from further out; another variable of the same name may be its own.
            yield from (name for name in _rebound(constant) if name in constant.co_freevars)
