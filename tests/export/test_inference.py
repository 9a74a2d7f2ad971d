"""The unified schema: what becomes of which values, and what is reported."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidInputError, StoreDamagedError
from starfish_storage.export.inference import DEEPEST, MOST_COLUMNS, MOST_MEMBERS
from starfish_storage.export.schema import Conflict
from starfish_storage.export.table_files import write_parquet
from starfish_storage.export.table_sink import TableSink
from starfish_storage.export.unified_table import JSON_COLUMNS


def unify(tmp_path: Path, *rows: dict[str, Any]) -> tuple[pa.Table, list[Conflict]]:
    sink = TableSink(str(tmp_path))
    for number, row in enumerate(rows):
        sink.add(f"r{number}", encode(row, "row"))
    try:
        write_parquet(sink, str(tmp_path / "table.parquet"), {})
        return pq.read_table(tmp_path / "table.parquet"), sink.conflicts
    finally:
        sink.close()


def column(tmp_path: Path, *values: Any) -> tuple[pa.DataType, list[Any], list[Conflict]]:
    table, conflicts = unify(tmp_path, *({"a": value} for value in values))
    return table.schema.field("a").type, table.column("a").to_pylist(), conflicts


LIST, STRUCT, ITEM = pa.list_, pa.struct, pa.field


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, None, -(2**63), 2**63 - 1), pa.int64()),
        ((1, 1.5), pa.float64()),
        ((2**53, -(2**53), 1.5), pa.float64()),
        ((True, None), pa.bool_()),
        (("é\0", ""), pa.string()),
        ((None, None), pa.null()),
        (([], None), LIST(pa.field("element", pa.null()))),
        (([1], [None], [], [1.5]), LIST(pa.field("element", pa.float64()))),
        (([[1]], [[], None]), LIST(pa.field("element", LIST(pa.field("element", pa.int64()))))),
        (({"b": 1}, {"c": "x"}, None), STRUCT([("b", pa.int64()), ("c", pa.string())])),
        (
            ([{"b": 1}, {"b": 0.5, "": []}],),
            LIST(pa.field("element", STRUCT([("b", pa.float64()), ("", LIST(pa.field("element", pa.null())))]))),
        ),
    ],
)
def test_types_are_unified(tmp_path: Path, values: tuple[Any, ...], kind: pa.DataType):
    found, read, conflicts = column(tmp_path, *values)
    assert found == kind
    assert conflicts == []
    assert fitted(read, list(values))


@pytest.mark.parametrize(
    ("values", "kinds", "reason"),
    [
        (("x", {"b": 1}, None), ("string", "object"), "different kinds"),
        ((True, 1), ("boolean", "integer"), "different kinds"),
        ((1, "1", 1.0), ("integer", "number", "string"), "different kinds"),
        (([1], {"b": []}), ("object", "array"), "different kinds"),
        ((2**53 + 1, 1.5), ("integer", "number"), "lose digits"),
        ((-(2**53) - 1, 1.5), ("integer", "number"), "lose digits"),
        ((2**63, 1), ("integer",), "64 bits"),
        ((-(2**70), 1), ("integer",), "64 bits"),
        (("\ud800", "x"), ("string",), "Unicode"),
        (({"\ud800": 1},), ("object",), "Unicode"),
        (({}, None), ("object",), "without any key"),
        (({str(n): n for n in range(MOST_MEMBERS + 1)}, {"x": 1}), ("object",), "different keys"),
    ],
)
def test_what_no_type_fits_becomes_json_text(
    tmp_path: Path, values: tuple[Any, ...], kinds: tuple[str, ...], reason: str
):
    found, read, (conflict,) = column(tmp_path, *values)
    assert found == pa.string()
    assert [text if text is None else json.loads(text) for text in read] == list(values)
    assert (conflict.path, conflict.kinds) == ("$.a", kinds)
    assert conflict.count == sum(value is not None for value in values)
    assert reason in conflict.reason
    assert "$.a" in str(conflict)


def test_a_conflict_deep_inside_leaves_the_rest_typed(tmp_path: Path):
    rows = [{"a": [{"b": 1, "c.d": "x"}]}, {"a": [{"b": [2], "c.d": None}, None]}]
    table, conflicts = unify(tmp_path, *rows)
    assert [conflict.path for conflict in conflicts] == ["$.a[].b"]
    assert table.column("a").to_pylist() == [
        [{"b": "1", "c.d": "x"}],
        [{"b": "[2]", "c.d": None}, None],
    ]
    assert json.loads(table.schema.metadata[JSON_COLUMNS.encode()]) == ["$.a[].b"]


def test_late_keys_are_kept_and_odd_ones_work(tmp_path: Path):
    rows = [{"": 1, "a.b": 2}, {"x\1y": "\0", "日本 🐟": 1.5, '"': None}]
    table, conflicts = unify(tmp_path, *rows)
    assert conflicts == []
    assert table.column_names == ["", "a.b", "x\1y", "日本 🐟", '"']
    assert fitted(table.to_pylist(), rows)


def test_what_is_nested_too_deep_for_parquet_is_json_text(tmp_path: Path):
    value: Any = [{"x": 2**70}]
    for _ in range(100):
        value = {"b": [value]}
    table, (conflict,) = unify(tmp_path, {"a": value})
    assert "levels deep" in conflict.reason
    assert conflict.path.count("b") == DEEPEST // 2
    assert decoded(table, [conflict]) == [{"a": value}]


def test_names_without_a_column_are_refused(tmp_path: Path):
    sink = TableSink(str(tmp_path))
    with pytest.raises(InvalidInputError, match=r"record 'r1'.*Unicode"):
        sink.add("r1", encode({"\udfff": 1}, ""))
    with pytest.raises(InvalidInputError, match=r"record 'r1'.*NUL"):
        sink.add("r1", encode({"x\0": 1}, ""))
    sink.add("r2", encode({"a": 1}, ""))
    assert sink.unified().schema.names == ["a"]
    with pytest.raises(InvalidInputError, match=r"record 'r3'.*JSON Lines"):
        sink.add("r3", encode({f"k{n}": 1 for n in range(MOST_COLUMNS)}, ""))
    assert sink.unified().schema.names == ["a"]
    sink.close()


@pytest.mark.parametrize("payload", [b"", b"{", b"[1]\n", b"null\n", b'{"a":"\xff"}', b"[" * 100_000])
def test_what_is_no_object_is_refused_and_not_quoted(tmp_path: Path, payload: bytes):
    sink = TableSink(str(tmp_path))
    with pytest.raises(StoreDamagedError, match="r1") as raised:
        sink.add("r1", payload)
    assert raised.value.__cause__ is None
    sink.add("r2", b'{\n  "b": [1,\n 2]\n}')  # as other programs write it
    assert sink.records.rows == 1
    sink.close()


def test_records_without_any_field_are_no_table(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="JSON Lines"):
        unify(tmp_path, {}, {})
    table, _ = unify(tmp_path)
    assert (table.num_rows, table.num_columns) == (0, 0)


def test_many_columns_make_small_pieces(tmp_path: Path):
    sink = TableSink(str(tmp_path))
    for number in range(5000):
        sink.add("r", b'{"k%d":1}\n' % (number % 4000))
    table = sink.unified()
    sizes = [batch.num_rows for batch, _ in table.pieces(sink.records)]
    assert max(sizes) == 500
    assert sum(sizes) == 5000
    sink.close()


def decoded(table: pa.Table, conflicts: list[Conflict]) -> list[dict[str, Any]]:
    """Parse the JSON text at the paths that are reported."""
    return [at_path(row, "$", {conflict.path for conflict in conflicts}) for row in table.to_pylist()]


def at_path(value: Any, path: str, paths: set[str]) -> Any:
    if path in paths:
        return value if value is None else json.loads(value)
    if isinstance(value, dict):
        plain = lambda key: key.isidentifier() or key.replace("-", "_").isidentifier()
        return {
            key: at_path(child, path + (f".{key}" if plain(key) else f"[{key!a}]"), paths)
            for key, child in value.items()
        }
    return [at_path(child, f"{path}[]", paths) for child in value] if isinstance(value, list) else value


def fitted(read: Any, given: Any) -> bool:
    """Whether what was read is what was given, but for missing keys that are null, and integers that are floats."""
    if isinstance(read, dict) and isinstance(given, dict):
        return given.keys() <= read.keys() and all(fitted(read[key], given.get(key)) for key in read)
    if isinstance(read, list) and isinstance(given, list):
        return len(read) == len(given) and all(map(fitted, read, given))
    if isinstance(read, float) and type(given) is int:
        return read == given
    if isinstance(read, float) and isinstance(given, float):
        return struct.pack("d", read) == struct.pack("d", given)  # -0.0 too
    return type(read) is type(given) and read == given


KEYS = st.sampled_from(["a", "b", "c.d", "", "é", "x\0"])
TEXTS = st.text(max_size=5) | st.sampled_from(["\ud800", "2026-01-31", "1", "null", "\0"])
NUMBERS = st.integers(-3, 3) | st.integers() | st.sampled_from([2**53, 2**53 + 1, 2**63, 2**64, -(2**63) - 1])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
LIKE_EACH_OTHER = st.sampled_from([1, 2, -1, 0.5, 2.0, None]) | st.dictionaries(KEYS, st.integers(0, 3) | st.none())


TOP_KEYS = KEYS.filter(lambda key: "\0" not in key)


@given(
    rows=st.lists(st.dictionaries(TOP_KEYS, VALUES | LIKE_EACH_OTHER, min_size=1, max_size=4), min_size=1, max_size=5)
)
def test_rows_come_back_from_parquet(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]):
    table, conflicts = unify(tmp_path_factory.getbasetemp(), *rows)
    assert table.num_rows == len(rows)
    assert fitted(decoded(table, conflicts), rows)


def test_numbers_that_are_no_json_are_null(tmp_path: Path):
    sink = TableSink(str(tmp_path))  # Starfish's own stores may hold them
    sink.add("r1", b'{"a": NaN, "b": [1, "x", Infinity]}')
    sink.add("r2", b'{"a": 0.5, "b": null}')
    write_parquet(sink, str(tmp_path / "table.parquet"), {})
    assert pq.read_table(tmp_path / "table.parquet").to_pylist() == [
        {"a": None, "b": ["1", '"x"', None]},
        {"a": 0.5, "b": None},
    ]
    sink.close()


def test_a_name_with_a_nul_within_another_field_is_json_text(tmp_path: Path):
    rows = [{"a": {"": 1, "\0": 2}}]
    table, (conflict,) = unify(tmp_path, *rows)
    assert conflict.path == "$.a"
    assert decoded(table, [conflict]) == rows


def test_more_columns_than_a_table_has_are_refused(tmp_path: Path):
    wide = {f"k{n}": {f"m{m}": 1 for m in range(200)} for n in range(60)}
    with pytest.raises(InvalidInputError, match="12,000 fields"):
        unify(tmp_path, wide)
