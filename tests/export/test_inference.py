"""The unified schema: what becomes of which values, and what is reported."""

from __future__ import annotations

import json
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
from starfish_storage.export.table_rules import USUAL_RULES, TableRules
from starfish_storage.export.table_sink import TableSink
from starfish_storage.row_files.restoring import ABSENT_COLUMNS, JSON_COLUMNS, Restorer, text_metadata


def unify(tmp_path: Path, *rows: dict[str, Any], rules: TableRules = USUAL_RULES) -> tuple[pa.Table, list[Conflict]]:
    sink = TableSink(str(tmp_path), rules=rules)
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
        (({"b": 1, "c": "y"}, {"c": "x", "b": None}, None), STRUCT([("b", pa.int64()), ("c", pa.string())])),
        (
            ([{"b": 1, "": []}, {"b": 0.5, "": []}],),
            LIST(pa.field("element", STRUCT([("b", pa.float64()), ("", LIST(pa.field("element", pa.null())))]))),
        ),
    ],
)
def test_types_are_unified(tmp_path: Path, values: tuple[Any, ...], kind: pa.DataType):
    found, read, conflicts = column(tmp_path, *values)
    assert found == kind
    assert conflicts == []
    assert read == list(values)


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
        (({"x": 1, "\0": 2},), ("object",), "NUL"),
        (({}, None), ("object",), "without any key"),
        (({}, {"k": 1}), ("object",), "keys that others lack"),
        (({"city": "Rome"}, {"q": 1, "k": 2}), ("object",), "keys that others lack"),
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
    rows = [{"": 1, "a.b": 2}, {"x\1y": "\0", "日本 🐟": 1.5, '"': "null"}]
    table, conflicts = unify(tmp_path, *rows)
    assert conflicts == []
    assert table.column_names == ["", "a.b", "x\1y", "日本 🐟", '"']
    assert table.to_pylist()[0] == {"": 1, "a.b": 2, "x\1y": None, "日本 🐟": None, '"': None}
    assert restored(table) == rows


def test_null_and_no_key_stay_apart(tmp_path: Path):
    """Where both occur, null is a text; else the table says which of them a null is."""
    rows: list[dict[str, Any]] = [
        {"both": 1, "null": 1, "none": 1, "mixed": "x", "only": None},
        {"both": None, "null": None, "mixed": None},
        {"null": None, "mixed": 2**70},
        {"null": 2, "none": 2},
    ]
    table, conflicts = unify(tmp_path, *rows)
    assert [(one.path, one.count) for one in conflicts] == [
        ("$.both", 2),
        ("$.mixed", 3),
        ("$.only", 1),
    ]
    assert str(conflicts[0]) == (
        "$.both is written as JSON text, 2 values: some hold null, and others do not have the key"
    )
    assert table.column("both").to_pylist() == ["1", "null", None, None]
    assert table.column("mixed").to_pylist() == ['"x"', "null", str(2**70), None]
    assert table.column("none").to_pylist() == [1, None, None, 2]
    assert json.loads(table.schema.metadata[ABSENT_COLUMNS.encode()]) == ["$.both", "$.none", "$.mixed", "$.only"]
    assert restored(table) == rows
    part = table.slice(1, 3).take([2, 0])  # each row by itself says what it was
    assert restored(part) == [rows[3], rows[1]]


def test_integers_beside_fractions_stay_integers(tmp_path: Path):
    rows: list[dict[str, Any]] = [{"a": 1, "b": [[1, 2.5]], "c": 1}, {"a": 2.5, "b": [], "c": 1.0}, {"a": -0.0, "c": 3}]
    table, (conflict,) = unify(tmp_path, *rows)
    assert [str(kind) for kind in table.schema.types][::2] == ["double", "double"]
    assert str(conflict) == (
        "$.c is written as numbers with a fraction, 2 values: integers such as 1, beside numbers such as 1.0 "
        "(integer, number)"
    )
    back = restored(table)
    assert repr([{key: one for key, one in row.items() if key != "c"} for row in back]) == repr(
        [{key: one for key, one in row.items() if key != "c"} for row in rows]
    )
    assert back == rows


def test_maps_and_padding(tmp_path: Path):
    rows: list[dict[str, Any]] = [
        {"scores": {"a": 1, "b": 2.5}, "calls": [{"arguments": {}}], "mixed": {"x": 1, "y": "z"}},
        {"scores": {}, "calls": [{"arguments": {"k\0": "v"}}, {"arguments": None}], "mixed": {"x": 1}},
        {"scores": {f"id {n}": n for n in range(MOST_MEMBERS + 1)}, "calls": [], "mixed": None},
    ]
    maps = TableRules(map_fields=["scores", "$.calls[].arguments", "mixed"])
    table, (conflict,) = unify(tmp_path, *rows, rules=maps)
    assert pa.types.is_map(table.schema.field("scores").type)
    assert pa.types.is_map(table.schema.field("calls").type.value_type.field("arguments").type)
    assert (conflict.path, conflict.reason) == ("$.mixed", "as the values of a map, values of different kinds")
    assert repr(restored(table)) == repr(rows)
    for wrong, said in (("scores[", "no path"), ("calls", "no record has an object"), ("late.x", "no record has")):
        with pytest.raises(InvalidInputError, match=said):
            unify(tmp_path, *rows, rules=TableRules(map_fields=[wrong]))

    rows = [
        {"a": {"x": 1, "deep": [{"k": 1}, {}]}, "b": {"n": None}},
        {"a": {"y": "z"}, "b": {}, "late": None},
        {"late": 1},
    ]
    table, conflicts = unify(tmp_path, *rows, rules=TableRules(pad=True))
    assert [str(one) for one in conflicts] == [
        "$.b.n is written as null, 1 value: some hold null, and others do not have the key",
        "$.late is written as null, 1 value: some hold null, and others do not have the key",
    ]
    assert table.to_pylist()[0] == {
        "a": {"x": 1, "deep": [{"k": 1}, {"k": None}], "y": None},
        "b": {"n": None},
        "late": None,
    }
    # Where no null is of the data, padding is taken away again.
    assert [row.get("a") for row in restored(table)] == [row.get("a") for row in rows]


def test_what_is_nested_too_deep_for_parquet_is_json_text(tmp_path: Path):
    value: Any = [{"x": 2**70}]
    for _ in range(100):
        value = {"b": [value]}
    table, (conflict,) = unify(tmp_path, {"a": value})
    assert "levels deep" in conflict.reason
    assert conflict.path.count("b") == DEEPEST // 2
    assert restored(table) == [{"a": value}]


def test_names_without_a_column_are_refused(tmp_path: Path):
    sink = TableSink(str(tmp_path))
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


def restored(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as an import reads them."""
    restorer = Restorer.of(text_metadata(table.schema.metadata))
    rows = table.to_pylist(maps_as_pydicts="strict")
    return rows if restorer is None else [restorer.restore(row) for row in rows]


KEYS = st.sampled_from(["a", "b", "c.d", "", "é", "x\0"])
TEXTS = st.text(max_size=5) | st.sampled_from(["2026-01-31", "1", "null", "\0"])
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
    found = restored(table)
    assert found == rows
    if not any(one.written_as == "numbers with a fraction" for one in conflicts):
        assert sorted_json(found) == sorted_json(rows)  # 1 and 1.0 are not the same text, nor are 0.0 and -0.0


def sorted_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def test_numbers_that_are_no_json_are_null(tmp_path: Path):
    sink = TableSink(str(tmp_path))  # Starfish's own stores may hold them
    sink.add("r1", b'{"a": NaN, "b": [1, "x", Infinity]}')
    sink.add("r2", b'{"a": 0.5, "b": null, "c": {"d": -1e999}}')
    write_parquet(sink, str(tmp_path / "table.parquet"), {})
    assert [str(conflict) for conflict in sink.conflicts[:2]] == [
        "$.a is written as null, 1 value: NaN and infinities, which JSON does not have",
        "$.b[] is written as null, 1 value: NaN and infinities, which JSON does not have",
    ]
    assert pq.read_table(tmp_path / "table.parquet").to_pylist() == [
        {"a": None, "b": ["1", '"x"', None], "c": None},
        {"a": 0.5, "b": None, "c": {"d": None}},
    ]
    sink.close()


def test_more_columns_than_a_table_has_are_refused(tmp_path: Path):
    wide = {f"k{n}": {f"m{m}": 1 for m in range(200)} for n in range(60)}
    with pytest.raises(InvalidInputError, match="12,000 fields"):
        unify(tmp_path, wide)
