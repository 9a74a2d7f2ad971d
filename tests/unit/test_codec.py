"""The codec: exactly or not at all."""

import enum
import hashlib
import json
import math
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from starfish_storage.codec import canonical_hash, canonical_json, decode, decode_known, encode, utc_text
from starfish_storage.errors import InvalidDataError
from starfish_storage.json_limits import MAX_DEPTH
from starfish_storage.testing import strategies
from starfish_storage.testing.hostile import NOT_JSON
from starfish_storage.testing.suites.suite import assert_same


class Colour(enum.Enum):
    RED = "red"


class Flavour(str, enum.Enum):  # noqa: UP042 (what people have)
    SWEET = "sweet"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    __slots__ = ()


class Mapping(dict[str, Any]):
    pass


@given(strategies.json_objects(max_leaves=30))
def test_any_json_object_comes_back_as_it_was(value: dict[str, Any]) -> None:
    encoded = encode(value, "data")
    assert_same(decode(encoded), value)
    assert encoded.endswith(b"\n")
    assert encoded.count(b"\n") == 1
    assert_same(json.loads(encoded), value)


@given(strategies.json_objects())
def test_what_others_write_is_read_exactly(value: dict[str, Any]) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1), json.dumps(value, separators=(",", ":"))):
        assert_same(decode(text.encode()), value)


@given(strategies.json_objects())
def test_the_hash_is_the_published_one(value: dict[str, Any]) -> None:
    assert canonical_hash(value) == hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**300, -0.0, 0.1, 1e22, 1e23,
        5e-324, 1.7976931348623157e308, "", "\0", "\x7f", "\u2028\u2029", "\ufeff", "\ufffe", "\U0010ffff",
        "\ud800", "\udc00\ud800", "\\ud800", '"', "e\u0301", [], {}, [[]], [None], {"": None},
    ],
    ids=ascii,
)  # fmt: skip
def test_awkward_values_come_back_as_they_were(value: object) -> None:
    assert_same(decode(encode({"a": value, "list": [value]}, "data")), {"a": value, "list": [value]})


@pytest.mark.parametrize(
    "value", [2**63 - 1, 2**64 - 1, 2**64, -(2**63) - 1, 10**19, 10**30, 1e300, "0" * 30, "\ud800"], ids=ascii
)
def test_text_that_others_wrote_is_read_exactly(value: object) -> None:
    text = json.dumps({"a": [value], "b": 1})  # with blanks, as Python writes it
    found, is_storable = decode_known(text.encode())
    assert_same(found, {"a": [value], "b": 1})
    assert not is_storable or decode(encode(found, "data")) == found


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", "[" * 300 + "]" * 300])
def test_what_no_store_takes_is_not_called_storable(text: str) -> None:
    found, is_storable = decode_known(f'{{"a": {text}}}'.encode())
    assert not is_storable
    with pytest.raises(InvalidDataError):
        encode(found, "data")


@pytest.mark.parametrize("key", ["", "\0", "\ud800", "ü", "a.b", "1", "null", "é", "e\u0301"], ids=ascii)
def test_awkward_keys_come_back_as_they_were(key: str) -> None:
    assert_same(decode(encode({key: 1}, "data")), {key: 1})


def test_the_order_of_keys_is_kept() -> None:
    assert list(decode(encode({"z": 1, "a": 2, "m": 3}, "data"))) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"a": (1, (2,))}, {"a": [1, [2]]}),
        ({7: "a", 2.5: "b", None: "c", True: "d"}, {"7": "a", "2.5": "b", "null": "c", "true": "d"}),
        ({10**30: "a", -0.0: "b"}, {str(10**30): "a", "-0.0": "b"}),
        ({"a": Point(1, 2)}, {"a": [1, 2]}),
        ({"a": Flavour.SWEET, "b": Level.HIGH}, {"a": "sweet", "b": 3}),
        ({"a": Text("x"), Text("b"): Mapping(c=1)}, {"a": "x", "b": {"c": 1}}),
    ],
    ids=["tuples", "keys", "long keys", "named tuples", "enums", "subclasses"],
)
def test_what_json_writes_otherwise(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert_same(decode(encode(given, "data")), read)


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_refused_with_its_place(name: str) -> None:
    make, place = NOT_JSON[name]
    with pytest.raises(InvalidDataError) as caught:
        encode(make(), "data of record 'r1'")
    assert str(caught.value).startswith("data of record 'r1' cannot be stored as JSON: at ")
    assert caught.value.what == "data of record 'r1'"
    assert caught.value.path.startswith(place)


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.5"),
        UUID(int=1),
        Colour.RED,
        1j,
        {1},
        frozenset(),
        b"x",
        bytearray(),
        memoryview(b""),
        range(3),
        object,
        len,
    ],
    ids=lambda value: type(value).__name__,
)
def test_types_that_json_does_not_have_are_refused(value: object) -> None:
    with pytest.raises(InvalidDataError) as caught:
        encode({"deep": [0, {"in": value}]}, "data")
    assert caught.value.path == "$.deep[1].in"


def test_the_first_trouble_is_named_and_nothing_quoted() -> None:
    with pytest.raises(InvalidDataError) as caught:
        encode({"api_key": "sk-secret", "score": math.nan}, "data")
    assert "sk-secret" not in str(caught.value)
    assert "$.score" in str(caught.value)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_depth() -> None:
    assert decode(encode(nested(MAX_DEPTH), "data")) == nested(MAX_DEPTH)
    assert decode(encode({"a": [nested(MAX_DEPTH - 2)] * 3}, "data")) is not None
    for depth in (300, 1_000, 10_000, 100_000):
        with pytest.raises(InvalidDataError, match=f"more than {MAX_DEPTH} levels"):
            encode(nested(depth), "data")
        with pytest.raises(InvalidDataError):
            encode({"a": [nested(depth)]}, "data")


def test_depth_does_not_depend_on_the_callers_stack() -> None:
    def deeper(frames: int) -> bytes:
        return encode(nested(MAX_DEPTH), "data") if frames == 0 else deeper(frames - 1)

    assert decode(deeper(sys.getrecursionlimit() // 2)) == nested(MAX_DEPTH)


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_hashing_refuses_what_cannot_be_stored(depth: int) -> None:
    with pytest.raises(InvalidDataError, match="run_config"):
        canonical_hash(nested(depth))


def test_hashing_refuses_keys_that_cannot_be_sorted() -> None:
    with pytest.raises(InvalidDataError, match="strings as keys"):
        canonical_hash({1: 1, "a": 2})


@pytest.mark.parametrize("name", [name for name in NOT_JSON if name not in ("a list", "text", "nothing")])
def test_hashing_refuses_or_hashes_what_saving_refuses(name: str) -> None:
    try:
        canonical_hash(NOT_JSON[name][0]())
    except InvalidDataError as error:
        assert "run_config" in str(error)  # noqa: PT017 (both are right: saving refuses it in any case)


@pytest.mark.parametrize(
    ("halves", "whole"),
    [
        ({"a": "\ud83d\ude00"}, {"a": "\U0001f600"}),
        ({"\ud83d\ude00": 1, "\uffff": 2}, {"\U0001f600": 1, "\uffff": 2}),  # other characters sort between them
        ({"a": ["\ud83d\ude00", {"\ud83d\ude00": 2**70}]}, {"a": ["\U0001f600", {"\U0001f600": 2**70}]}),
    ],
)
def test_halves_of_a_character_are_the_character(halves: dict[str, Any], whole: dict[str, Any]) -> None:
    assert encode(halves, "data") == encode(whole, "data")
    assert canonical_hash(halves) == canonical_hash(whole)
    assert canonical_json(halves, "data") == canonical_json(whole, "data")
    with pytest.raises(InvalidDataError, match="two surrogates"):
        encode(halves, "data", joins=False)


@pytest.mark.parametrize("text", [b"", b" ", b"{", b"nul", b"\xff", b'{"a": }', b"[1,]"])
def test_what_is_no_json_text_raises_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_text_nested_too_deep_raises_no_more_than_declared() -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode(b'{"a":' * 200_000 + b"1" + b"}" * 200_000)


class Moment(datetime):
    pass


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime(2026, 1, 31, 12, tzinfo=UTC))
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(Moment(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC))
def test_a_time_is_text_of_fixed_width(moment: datetime) -> None:
    assert utc_text(moment) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
