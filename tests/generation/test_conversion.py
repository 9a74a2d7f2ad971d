"""What becomes of each kind of value: its JSON, what is noted, and what is kept of what nothing can convert."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import ipaddress
import re
import subprocess
import sys
from array import array
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from time import process_time
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import MagicMock
from uuid import UUID

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from starfish_storage import value_forms
from starfish_storage.codec import decode, encode
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.json_limits import MAX_DEPTH

SECRET = "sk-abcdefgh12345678"


class Colour(enum.Enum):
    RED = "red"
    MIX = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    a: int
    b: Any


@dataclasses.dataclass
class Point:
    x: float
    inner: Any = None


@attrs.define
class Attrs:
    x: int
    y: Any


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    x: Any
    when: date = date(2026, 1, 31)


class Dumps:
    """As classes of SDKs that pydantic did not make."""

    def to_dict(self) -> dict[str, Any]:
        return {"text": "hello"}


class Struct:
    """As msgspec makes them."""

    __struct_fields__ = ("a",)

    def __init__(self, a: Any) -> None:
        self.a = a


MOMENT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FORMS: list[tuple[Any, Any, str | None]] = [
    (1, 1, None),
    ("text", "text", None),
    (None, None, None),
    ((1, [2, (3,)]), [1, [2, [3]]], None),
    (Pair(1, 2), [1, 2], None),
    ({1: "a", 2.5: "b", None: "c", False: "d"}, {"1": "a", "2.5": "b", "null": "c", "false": "d"}, None),
    (OrderedDict(a=1), {"a": 1}, None),
    (Level.LOW, 1, None),
    (2**70, 2**70, None),
    ("\ud800", "\ud800", None),
    (MOMENT, "2026-01-31T12:00:00Z", "datetime"),
    (MOMENT.replace(tzinfo=None), "2026-01-31T12:00:00", "datetime"),
    (date(2026, 1, 31), "2026-01-31", "date"),
    (time(12, 30), "12:30:00", "time"),
    (timedelta(days=1, seconds=1.5), "P1DT1.5S", "timedelta"),
    (Decimal("1.50"), "1.50", "Decimal"),
    (Fraction(1, 3), "1/3", "Fraction"),
    (1 + 2j, "(1+2j)", "complex"),
    (UUID(int=3), "00000000-0000-0000-0000-000000000003", "UUID"),
    (Colour.RED, "red", "Enum"),
    (Colour.MIX, [1, 2], "Enum"),
    (Path("a/b"), "a/b", "Path"),
    ({3, 1, 2}, [1, 2, 3], "set"),
    (frozenset({"b", "a"}), ["a", "b"], "set"),
    (b"text", "text", "bytes"),
    (bytearray(b"text"), "text", "bytes"),
    (memoryview(b"\xff\x00"), "/wA=", "base64"),
    (float("nan"), None, "nan"),
    (float("-inf"), None, "nan"),
    (Model(x=1), {"x": 1, "when": "2026-01-31"}, "model"),
    (Point(1.5, [1]), {"x": 1.5, "inner": [1]}, "model"),
    (Attrs(1, "b"), {"x": 1, "y": "b"}, "model"),
    (Struct(5), {"a": 5}, "model"),
    (Dumps(), {"text": "hello"}, "model"),
    (SimpleNamespace(a=1), {"a": 1}, "model"),
    (UserDict(a=1), {"a": 1}, None),
    (MappingProxyType({"a": 1}), {"a": 1}, None),
    (deque([1, 2]), [1, 2], "deque"),
    (range(3), [0, 1, 2], "range"),
    ({"a": 1}.keys(), ["a"], "dict_keys"),
    (array("d", [1.5]), [1.5], "array"),
    ((n for n in (1, 2)), [1, 2], "iterator"),
    (map(str, (1, 2)), ["1", "2"], "iterator"),
    (re.compile("a+"), "a+", "Pattern"),
    (ipaddress.ip_address("::1"), "::1", "IPv6Address"),
    (SecretStr("hidden"), "**********", "SecretStr"),
    ({date(2026, 1, 31): 1, (1, "a"): 2}, {"2026-01-31": 1, "1,a": 2}, "key"),
    ({1: "a", "1": "b"}, {"1": "a", "1 (2)": "b"}, "key"),
    ({float("nan"): 1}, {"nan": 1}, "key"),
    ("\ud83d\ude00 and \ud800", "\U0001f600 and \ud800", "surrogates"),
    (10**5000, hex(10**5000), "integer"),
    (np.float64(1.5), 1.5, None),
    (np.float32(1.5), 1.5, "numpy"),
    (np.longdouble(1.5), 1.5, "numpy"),
    (np.int64(3), 3, "numpy"),
    (np.bool_(1), True, "numpy"),
    (np.str_("a"), "a", None),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], "numpy"),
    (np.array(5), 5, "numpy"),
    (np.array(["2026-01-31", "NaT"], "M8[ns]"), ["2026-01-31T00:00:00.000000000", None], "numpy"),
    (np.datetime64("2026-01-31"), "2026-01-31", "numpy"),
    (np.array([1, 2], dtype=object), [1, 2], "numpy"),
    (pd.Timestamp("2026-01-31T12:00:00.123456789"), "2026-01-31T12:00:00.123456789", "pandas"),
    (pd.Timedelta(minutes=1), "P0DT0H1M0S", "pandas"),
    (pd.NA, None, "nan"),
    (pd.NaT, None, "nan"),
    (pd.Series([1, 2]), [1, 2], "pandas"),
    (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).iloc[0], {"a": 1, "b": "x"}, "pandas"),
    (pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}], "pandas"),
    (pl.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}], "polars"),
    (pl.Series([1, 2]), [1, 2], "polars"),
    (pa.table({"a": [1, 2]}), [{"a": 1}, {"a": 2}], "pyarrow"),
    (pa.scalar(5), 5, "pyarrow"),
]


def named(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize(("value", "form", "kind"), FORMS, ids=named)
def test_the_form_of_a_value(value: Any, form: Any, kind: str | None) -> None:
    notes = Notes()
    converted = convert({"deep": [value]}, notes)
    assert converted == {"deep": [form]}
    assert type(converted["deep"][0]) is type(form)
    assert decode(encode(converted, "data")) == converted
    assert notes.problem is None
    if kind is None:
        assert notes.counts == {}
    else:
        assert notes.counts[kind] == 1 or kind == "key"
        assert notes.paths[kind][0].startswith("$.deep[0]")


def test_forms_within_forms_are_noted_with_their_paths() -> None:
    notes = Notes()
    value = {"a": Point(float("inf"), {Colour.MIX: {MOMENT}}), "b": np.array([1.0, np.nan]), "c": [float("nan")] * 30}
    assert convert(value, notes, "$[3]") == {
        "a": {"x": None, "inner": {"1,2": ["2026-01-31T12:00:00Z"]}},
        "b": [1.0, None],
        "c": [None] * 30,
    }
    assert notes.counts == {"model": 1, "nan": 32, "key": 1, "set": 1, "datetime": 1, "numpy": 1}
    assert notes.paths["datetime"] == ["$[3].a.inner.1,2[0]"]
    assert notes.paths["nan"][:3] == ["$[3].a.x", "$[3].b[1]", "$[3].c[0]"]
    assert len(notes.paths["nan"]) == 20


class Hostile:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attribute")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __iter__(self) -> Any:
        raise RuntimeError("no items")

    def __contains__(self, item: object) -> bool:
        raise RuntimeError("nothing")


class RaisingModel(BaseModel):
    x: int = 1

    def model_dump(self, **_: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise asyncio.CancelledError


class Itself:
    def tolist(self) -> Any:
        return Itself()


class Endless(list[int]):
    def __iter__(self) -> Any:
        return iter(int, 1)


class Property:
    __attrs_attrs__ = (SimpleNamespace(name="good"), SimpleNamespace(name="bad"))
    good = 1

    @property
    def bad(self) -> int:
        raise KeyError("bad")


class Client:
    def __init__(self) -> None:
        self.api_key = SECRET

    def __repr__(self) -> str:
        return f"Client(url='http://x', api_key='hush hush', header='Bearer {SECRET}', other={SECRET})"


async def coroutine() -> int:
    return 1


HOPELESS: list[tuple[Any, str]] = [
    (object(), "an object of type builtins.object has no JSON form"),
    (Client(), "an object of type test_conversion.Client has no JSON form"),
    (len, "a function has no JSON form"),
    (dict, "a class has no JSON form"),
    (coroutine, "a function has no JSON form"),
    (Hostile(), "an object of type test_conversion.Hostile has no JSON form"),
    (Itself(), "its form is not simpler than itself"),
    (MagicMock(), "has no JSON form"),
    (MagicMock(spec=dict), "has no JSON form"),
    (MagicMock(spec=str), "has no JSON form"),
    (ValueError("an answer"), "an object of type builtins.ValueError has no JSON form"),
]


@pytest.mark.parametrize(("value", "reason"), HOPELESS, ids=named)
def test_what_nothing_can_convert_is_described(value: Any, reason: str) -> None:
    notes = Notes()
    converted = convert({"good": MOMENT, "bad": [value]}, notes)
    assert converted["good"] == "2026-01-31T12:00:00Z"
    (described,) = converted["bad"]
    assert set(described) == {"__repr__", "__type__"}
    assert described["__type__"].endswith(type(value).__qualname__)
    assert notes.problem is not None
    assert notes.problem.startswith("at $.bad[0]: ")
    assert reason.replace("test_conversion", __name__) in notes.problem
    assert SECRET not in str(converted) + notes.problem
    assert "hush" not in str(converted)
    encode(converted, "data")


def test_a_coroutine_says_what_to_do_and_warns_of_nothing() -> None:
    notes = Notes()
    convert({"text": coroutine()}, notes)
    assert notes.problem == "at $.text: it is a coroutine, which the function has not awaited"


def test_parts_that_raise_do_not_hide_the_others() -> None:
    def failing() -> Any:
        yield 1
        raise ValueError("the stream broke")

    notes = Notes()
    assert convert({"a": failing(), "b": Property(), "c": RaisingModel(), "d": Endless([1, 2])}, notes) == {
        "a": [1],
        "b": {"good": 1, "bad": {"__repr__": "KeyError('bad')", "__type__": "builtins.KeyError"}},
        "c": {"x": 1},
        "d": [1, 2],
    }
    assert notes.problem == "at $.a: reading its items to the end raised ValueError: the stream broke"


def test_cycles() -> None:
    value: dict[str, list[Any]] = {"a": [1]}
    notes = Notes()
    value["a"].append(value)
    shared = [MOMENT]
    converted = convert({"outer": value, "twice": [shared, shared]}, notes)
    assert converted["outer"]["a"][0] == 1
    assert converted["outer"]["a"][1]["__type__"] == "builtins.dict"
    assert converted["twice"] == [["2026-01-31T12:00:00Z"]] * 2
    assert notes.problem == "at $.outer.a[1]: it contains itself: $.outer"
    point, notes = Point(1), Notes()
    point.inner = [point]
    assert convert(point, notes)["inner"][0]["__type__"].endswith("Point")
    assert notes.problem == "at $.inner[0]: it contains itself: $"


@pytest.mark.parametrize("leaf", [1, object()])
def test_depth(leaf: Any) -> None:
    for levels in (MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 10_000):
        value: Any = leaf
        for _ in range(levels):
            value = [value]
        converted = convert({"data": value} if levels >= MAX_DEPTH else value, notes := Notes())
        encode({"x": converted} if levels < MAX_DEPTH else converted, "data")
        assert (notes.problem is None) == (leaf == 1 and levels < MAX_DEPTH)
        found = 0
        while isinstance(converted, list | dict) and "__repr__" not in converted:
            converted, found = converted[0] if isinstance(converted, list) else converted["data"], found + 1
        assert found >= MAX_DEPTH - 1


def test_what_is_described_is_limited_in_all() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 700_000

    notes = Notes()
    converted = convert([Long(), Long(), Long()], notes)
    assert [len(one["__repr__"]) for one in converted] == [700_000, 300_000, 0]
    assert len(encode({"": converted}, "data")) < 1_001_000


def test_an_object_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_forms, "MOST_ITEMS", 1000)
    notes = Notes()
    converted = convert({"ids": range(10**12), "text": list(range(2000))}, notes)
    assert (len(converted["ids"]), len(converted["text"])) == (1001, 2000)
    assert notes.problem == "at $.ids[1000]: reading it raised ValueError: it has more than 1,000 items"


def test_a_mapping_that_says_the_same_key_again_and_again() -> None:
    class Stuck(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return 1

        def __iter__(self) -> Iterator[str]:
            return repeat("a", 20_000)

        def __len__(self) -> int:
            return 1

    began = process_time()
    converted = convert(Stuck(), Notes())
    assert process_time() - began < 5  # a minute, if each asks all those before
    assert list(converted)[:3] == ["a", "a (2)", "a (3)"]
    assert len(converted) == 20_000


def test_an_object_that_hides_its_class() -> None:
    class Hidden:
        @property
        def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
            raise RuntimeError

        def __repr__(self) -> str:
            return "dear"

    notes = Notes()
    assert convert({"a": Hidden()}, notes)["a"]["__repr__"] == "dear"
    assert notes.problem == "at $.a: it raised RuntimeError"


def test_numpy_and_pandas_are_not_imported() -> None:
    program = (
        "import sys\nfrom starfish_storage.generation.conversion import Notes, convert\n"
        "import datetime\nconvert({'a': [datetime.datetime.now(), {1}, object()]}, Notes())\n"
        "print([name for name in ('numpy', 'pandas', 'polars', 'pyarrow', 'attrs', 'msgspec') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
