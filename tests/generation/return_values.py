"""Values that functions may return, of every kind in the tables of docs/runs.md, nested; some that nothing converts."""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, UserDict, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from starfish_storage.testing.strategies import json_scalars, json_text


class Colour(enum.Enum):
    RED = "red"
    MIX = (1, 2)


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Point:
    x: Any
    y: Any


@attrs.define
class Attrs:
    x: Any


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    x: Any


class Client:
    """Nothing can convert it."""

    def __repr__(self) -> str:
        return "Client(api_key='sk-0123456789abcdef')"


class Raising:
    """Nothing can even look at it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def to_dict(self) -> Any:
        raise KeyError("no fields")


def scalars() -> st.SearchStrategy[Any]:
    """Values without parts that have a JSON form."""
    return st.one_of(
        json_scalars(),
        st.sampled_from([float("nan"), float("inf"), "\ud83d\ude00", Colour.RED, Colour.MIX, pd.NA, pd.NaT]),
        st.datetimes(timezones=st.just(UTC)),
        st.dates(),
        st.times(),
        st.timedeltas(timedelta(-1000), timedelta(1000)),
        st.decimals(),
        st.fractions(),
        st.uuids(),
        st.binary(max_size=8),
        st.sampled_from([Path("a/b"), np.int64(3), np.float32(1.5), np.bool_(1), np.datetime64("2026-01-31"), 1 + 2j]),
        st.just(np.array([[1.0, float("nan")]])),
        st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(pd.Timestamp),  # noqa: DTZ001
    )


def keys() -> st.SearchStrategy[Any]:
    """Keys of dicts, of which some have no text of their own."""
    return st.one_of(
        json_text(),
        st.integers(),
        st.none(),
        st.dates(),
        st.tuples(st.integers(), st.text(max_size=3)),
        st.sampled_from([1, "1", True, "true", Colour.RED, Decimal("1.5"), Fraction(1, 3), float("nan")]),
    )


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, max_size=3)
    objects = st.dictionaries(keys(), inner, max_size=3)
    return st.one_of(
        several,
        several.map(tuple),
        several.map(deque),
        several.map(lambda items: (item for item in items)),
        st.frozensets(st.integers() | st.text(max_size=3), max_size=3),
        objects,
        objects.map(OrderedDict),
        objects.map(MappingProxyType),
        objects.map(UserDict),
        st.builds(Pair, inner, inner),
        st.builds(Point, inner, inner),
        st.builds(Attrs, inner),
        st.builds(Model, x=inner),
    )


def convertible_values(max_leaves: int = 10) -> st.SearchStrategy[Any]:
    """Values that all have a JSON form, nested."""
    return st.recursive(scalars(), _nested, max_leaves=max_leaves)


def hopeless_values() -> st.SearchStrategy[Any]:
    """Values that nothing can convert."""

    def cycle() -> list[Any]:
        items: list[Any] = [1]
        items.append(items)
        return items

    def deep() -> Any:
        value: Any = 1
        for _ in range(2000):
            value = [value]
        return value

    kinds = (Client, Raising, object, cycle, deep, lambda: Client, lambda: len, lambda: ValueError("an answer"))
    return st.sampled_from(kinds).map(lambda make: make())


def return_values(max_leaves: int = 10) -> st.SearchStrategy[Any]:
    """Whatever a function may return: one output or several, some of which nothing can convert as a whole."""
    anything = st.recursive(scalars() | hopeless_values(), _nested, max_leaves=max_leaves)
    return st.one_of(convertible_values(max_leaves), anything, st.lists(anything, max_size=4), st.none())


def count_of_outputs(returned: object) -> int | None:
    """Return how many outputs a returned list or tuple has; None for anything else."""
    is_named = isinstance(returned, Pair)
    return len(returned) if isinstance(returned, list | tuple) and not is_named else None
