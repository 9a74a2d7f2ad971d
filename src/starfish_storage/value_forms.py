"""JSON forms of values that JSON does not have: one step at a time, each to something simpler.

Nothing is imported for this: an object's class says what it is, by its bases, its methods, or the name of its module.
Methods are looked up on the class: a mock object has every attribute.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import inspect
import itertools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

RAISED = (Exception, asyncio.CancelledError, GeneratorExit)
"""What foreign code may raise while it is looked at."""

FOR_THE_PROGRAM = (KeyboardInterrupt, SystemExit)
"""What nobody else may catch. Any other `BaseException` is an accident of foreign code, as panics of Rust are."""

MOST_ITEMS = 1_000_000
"""Of an iterator or a collection of a foreign class: it may have no end."""


@dataclass(frozen=True, slots=True)
class JsonForm:
    """A simpler value in place of another.

    Attributes:
        kind: what the other was, as it is noted: ``"datetime"``, ``"set"``, ``"numpy"``.
        value: JSON, or something that has a form in turn.
    """

    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a part of an object that raised when it was read.

    Attributes:
        error: what it raised.
    """

    error: BaseException


@dataclass(frozen=True, slots=True)
class Items:
    """The items of an object that is neither list nor tuple, up to `MOST_ITEMS`.

    Attributes:
        source: the object.
    """

    source: Iterable[object]

    def __iter__(self) -> Iterator[object]:
        for number, item in enumerate(itertools.islice(iter(self.source), MOST_ITEMS + 1)):
            yield item if number < MOST_ITEMS else Unreadable(ValueError(f"it has more than {MOST_ITEMS:,} items"))


def form_of(value: object) -> JsonForm | None:
    """Return the form of a value that is neither JSON nor a mapping, list or tuple; None if it has none.

    Raises:
        Exception: whatever the object's own code raises.

    >>> form_of(timedelta(hours=1)), form_of({3, 1, 2}), form_of(object())
    (JsonForm(kind='timedelta', value='PT1H'), JsonForm(kind='set', value=[1, 2, 3]), None)
    """
    kind = type(value)
    for form in _FORMS:
        found = form(value, kind)
        if found is not None:
            return found
    return None


def fields_of(value: Any) -> dict[str, object]:
    """Return the fields of a NamedTuple."""
    return dict(zip(value._fields, value, strict=True))


def _missing(value: object, kind: Any) -> JsonForm | None:  # noqa: ARG001 (all forms are called alike)
    """`pandas.NaT` says that it is a datetime."""
    return JsonForm("nan", None) if kind.__name__ in ("NaTType", "NAType") and _comes_from(kind, "pandas") else None


def _enum(value: object, kind: Any) -> JsonForm | None:  # noqa: ARG001
    return JsonForm("Enum", value.value) if isinstance(value, Enum) else None


def _model(value: Any, kind: Any) -> JsonForm | None:  # noqa: PLR0911 (a table)
    if isinstance(value, BaseModel):
        try:
            return JsonForm("model", value.model_dump(mode="json", warnings="none"))  # the warnings quote values
        except RAISED:
            fields = {name: found for name, found in value}  # noqa: C416 (a model is no mapping)
            return JsonForm("model", fields)  # some of them can be kept
    names = _names(kind)
    if names is not None:
        return JsonForm("model", _attributes(value, names))
    if kind is types.SimpleNamespace:
        return JsonForm("model", dict(vars(cast("object", value))))
    if hasattr(kind, "__fields__") and hasattr(kind, "dict"):  # pydantic 1
        return JsonForm("model", dict(cast("Iterable[tuple[str, object]]", value)))
    for name in ("model_dump", "_asdict", "to_dict"):
        if callable(getattr(kind, name, None)) and not _is_of_frames(kind):
            dumped: Any = getattr(value, name)()
            return JsonForm("model", cast("Any", dumped)) if isinstance(dumped, Mapping) else None
    return None


def _names(kind: Any) -> Iterable[str] | None:
    """Return the fields of a dataclass, of a class of attrs, or of a Struct of msgspec."""
    if dataclasses.is_dataclass(kind):
        return [one.name for one in dataclasses.fields(kind)]
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return [one.name for one in attributes]
    return getattr(kind, "__struct_fields__", None)


def _bytes(value: object, kind: Any) -> JsonForm | None:  # noqa: ARG001
    if not isinstance(value, bytes | bytearray | memoryview):
        return None
    content = bytes(cast("bytes", value))
    try:
        return JsonForm("bytes", content.decode())
    except UnicodeDecodeError:
        return JsonForm("base64", base64.b64encode(content).decode("ascii"))


def _pandas(value: object, kind: Any) -> JsonForm | None:
    if not _comes_from(kind, "pandas"):
        return None
    found, name = cast("Any", value), kind.__name__
    if name == "DataFrame":
        return JsonForm("pandas", found.to_dict(orient="records"))
    if name == "Series" and type(found.index).__name__ != "RangeIndex":
        return JsonForm("pandas", found.to_dict())  # a row: its labels are names of fields
    if hasattr(kind, "isoformat"):
        return JsonForm("pandas", found.isoformat())
    return JsonForm("pandas", found.tolist() if hasattr(kind, "tolist") else str(found))


def _standard(value: object, kind: Any) -> JsonForm | None:
    """The forms of pydantic, so that a value looks the same inside a model and beside one."""
    for base, name in _STANDARD:
        if isinstance(value, base):
            try:
                return JsonForm(name, to_jsonable_python(value))
            except RAISED:
                return JsonForm(name, value.isoformat() if isinstance(value, date | time) else str(value))
    if isinstance(value, Fraction | complex):
        return JsonForm(kind.__name__, str(value))
    if hasattr(kind, "isoformat"):
        return JsonForm(kind.__name__, cast("Any", value).isoformat())
    return None


_STANDARD: tuple[tuple[type, str], ...] = (
    (datetime, "datetime"),
    (date, "date"),
    (time, "time"),
    (timedelta, "timedelta"),
    (Decimal, "Decimal"),
    (UUID, "UUID"),
    (PurePath, "Path"),
)


def _arrays(value: object, kind: Any) -> JsonForm | None:
    """Scalars, arrays and tables of numpy and of libraries that have its or Arrow's methods."""
    found, name = cast("Any", value), kind.__module__.partition(".")[0]
    unit = getattr(found, "dtype", None) if _comes_from(kind, "numpy") else None
    if unit is not None and unit.kind == "M":
        return JsonForm(name, _with_null_for_nat(found.astype(str).tolist()))  # `tolist` makes nanoseconds numbers
    if unit is not None and unit.kind == "m":
        return JsonForm(name, found.astype("timedelta64[us]").tolist())
    for method in ("to_dicts", "to_pylist", "as_py", "tolist", "to_list", "item"):
        if callable(getattr(kind, method, None)):
            simpler: object = getattr(found, method)()
            is_same = type(simpler) is kind and name == "numpy"  # a long double
            return JsonForm(name, float(cast("Any", simpler)) if is_same else simpler)
    return None


def _with_null_for_nat(times: object) -> object:
    if isinstance(times, list):
        return [_with_null_for_nat(one) for one in cast("list[object]", times)]
    return None if times == "NaT" else times


def _collection(value: object, kind: Any) -> JsonForm | None:
    if isinstance(value, set | frozenset):
        items = list(cast("set[Any]", value))
        try:
            return JsonForm("set", sorted(items))  # the order of a set of texts differs from process to process
        except RAISED:
            return JsonForm("set", items)
    if issubclass(kind, Sequence | AbstractSet | ValuesView):  # others with their methods may be clients
        return JsonForm(kind.__name__, Items(cast("Iterable[object]", value)))
    if is_iterator(value):
        return JsonForm("iterator", Items(cast("Iterable[object]", value)))
    return None


def is_iterator(value: object) -> bool:
    """Return whether a value is a generator, or an iterator of Python's own, such as ``map(...)``.

    One of a foreign class may be a stream that waits for a server.
    """
    return isinstance(value, types.GeneratorType) or (
        hasattr(type(value), "__next__") and type(value).__module__ in ("builtins", "itertools")
    )


def _other(value: object, kind: Any) -> JsonForm | None:
    """Whatever else pydantic writes as one value: addresses, patterns, URLs, hidden secrets."""
    if inspect.isroutine(value) or isinstance(value, type | types.ModuleType):
        return None
    try:
        found = to_jsonable_python(value)
    except RAISED:
        return None
    return JsonForm(kind.__name__, found) if isinstance(found, str | int | float) else None


_FORMS: tuple[Callable[[object, Any], JsonForm | None], ...] = (
    _missing,
    _enum,
    _model,
    _bytes,
    _pandas,
    _standard,
    _arrays,
    _collection,
    _other,
)


def _comes_from(kind: Any, library: str) -> bool:
    return any(base.__module__.partition(".")[0] == library for base in kind.__mro__)


def _is_of_frames(kind: Any) -> bool:
    return any(_comes_from(kind, library) for library in ("pandas", "polars", "pyarrow"))


def _attributes(value: object, names: Iterable[str]) -> dict[str, object]:
    """Return the attributes of an object; one that raises must not hide the others."""
    found: dict[str, object] = {}
    for name in names:
        try:
            found[name] = getattr(value, name)
        except RAISED as error:
            found[name] = Unreadable(error)
    return found
