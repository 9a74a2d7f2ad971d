"""Values of every kind that a function may return, nested in one another, with the JSON that is stored of each.

Neither pandas nor Polars nor Arrow is among them: they bring threads, and these values are drawn where processes fork.
"""

from __future__ import annotations

import base64
import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import numpy as np
from hypothesis import strategies as st
from pydantic import BaseModel


@dataclass(frozen=True)
class Value:
    """A value that a function makes, anew each time.

    Attributes:
        make: makes it.
        form: what is stored of it.
        is_whole: whether nothing in it defies conversion.
    """

    make: Callable[[], Any] = field(repr=False)
    form: Any
    is_whole: bool = True


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    x: Any


@dataclass
class Point:
    x: Any


@attrs.define
class Attrs:
    x: Any


class Pair(NamedTuple):
    x: Any
    y: Any = 0


class Struct:
    """As msgspec makes them."""

    __struct_fields__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x


class Client:
    """Nothing can convert it."""

    def __repr__(self) -> str:
        return "Client()"


def cycle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def always(value: Any, form: Any) -> Value:
    return Value(lambda: value, form)


PLAIN = (
    always(None, None),
    always(value=True, form=True),
    always(2**70, 2**70),
    always("", ""),
    always(math.nan, None),
    always(-math.inf, None),
    always(datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"),
    always(date(2026, 1, 31), "2026-01-31"),
    always(time(12, 30), "12:30:00"),
    always(timedelta(days=1, seconds=1.5), "P1DT1.5S"),
    always(Decimal("1.50"), "1.50"),
    always(Fraction(1, 3), "1/3"),
    always(UUID(int=3), "00000000-0000-0000-0000-000000000003"),
    always(Colour.RED, "red"),
    always(Path("a/b"), "a/b"),
    always({3, 1, 2}, [1, 2, 3]),
    always(frozenset({"a"}), ["a"]),
    always(b"text", "text"),
    always(b"\xff\x00", base64.b64encode(b"\xff\x00").decode()),
    always(np.float64(1.5), 1.5),
    always(np.int64(3), 3),
    always(np.array([[1.0, np.nan]]), [[1.0, None]]),
    always(np.datetime64("2026-01-31"), "2026-01-31"),
)
HOPELESS = (
    Value(Client, {"__repr__": "Client()", "__type__": f"{__name__}.Client"}, is_whole=False),
    Value(cycle, [{"__repr__": "[[...]]", "__type__": "builtins.list"}], is_whole=False),
)


def one_of(make: Callable[[Any], Any], form: Callable[[Any], Any]) -> Callable[[Value], Value]:
    """Return what puts a value into another."""
    return lambda inner: Value(lambda: make(inner.make()), form(inner.form), inner.is_whole)


FIELDS = tuple(
    one_of(make, form)
    for make, form in (
        (lambda x: {"x": x, "é ": 1}, lambda x: {"x": x, "é ": 1}),
        (lambda x: {1: x, 2.5: 0}, lambda x: {"1": x, "2.5": 0}),
        (lambda x: Model(x=x), lambda x: {"x": x}),
        (Point, lambda x: {"x": x}),
        (Attrs, lambda x: {"x": x}),
        (Struct, lambda x: {"x": x}),
    )
)
"""Ways to make an object with fields of a value."""
LISTS = tuple(one_of(make, form) for make, form in ((lambda x: (x, 1), lambda x: [x, 1]), (Pair, lambda x: [x, 0])))

scalars = st.one_of(
    st.sampled_from(PLAIN),
    st.integers(-(2**70), 2**70).map(lambda n: always(n, n)),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: always(x, x)),
    st.text(max_size=20).map(lambda text: always(text, text)),
)


def nested(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    """Values that contain others."""
    lists = st.lists(inner, max_size=3).map(
        lambda parts: Value(
            lambda: [part.make() for part in parts],
            [part.form for part in parts],
            all(part.is_whole for part in parts),
        )
    )
    return st.one_of(lists, st.builds(lambda put, one: put(one), st.sampled_from((*FIELDS, *LISTS)), inner))


values = st.recursive(scalars, nested, max_leaves=6)
"""What a step may return: all of it can be converted."""
outputs = st.one_of(
    st.builds(lambda put, one: put(one), st.sampled_from(FIELDS), values | st.sampled_from(HOPELESS)),
    values.map(lambda one: Value(lambda: Pair(one.make()), {"x": one.form, "y": 0})),
    st.text(max_size=20).map(lambda text: always(text, {"text": text})),
    st.integers(-9, 9).map(lambda n: always(n, {"value": n})),
    st.booleans().map(lambda said: always(said, {"value": said})),
)
"""An output: an object of fields, a text, a number or a bool. It may hold a part that nothing can convert."""
