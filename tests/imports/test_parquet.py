"""Parquet files become records: every type of column has a form in JSON that loses nothing, or is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imports.reading import rows_of
from imports.test_json_lines import refused, written
from starfish_storage import LocalStorage
from starfish_storage.imports import import_file

NOON = dt.datetime(2026, 1, 31, 12, 0, 0, 250_000)  # noqa: DTZ001 (Parquet has times without a zone)
NANOSECONDS = 1_769_860_800_123_456_789

COLUMNS: dict[str, tuple[Any, Any]] = {
    "integer": (pa.array([2**63 - 1, None]), [2**63 - 1, None]),
    "unsigned": (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0]),
    "float": (pa.array([1.0, 0.1]), [1.0, 0.1]),
    "single": (pa.array([1.5, None], pa.float32()), [1.5, None]),
    "bool": (pa.array([True, None]), [True, None]),
    "null": (pa.nulls(2), [None, None]),
    "text": (pa.array(["größer", ""]), ["größer", ""]),
    "dictionary": (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
    "bytes": (pa.array([b"\x00\xff", None]), ["AP8=", None]),
    "naive time": (pa.array([NOON, None]), ["2026-01-31T12:00:00.250000", None]),
    "time in UTC": (pa.array([NOON, None], pa.timestamp("us", tz="UTC")), ["2026-01-31T12:00:00.250000Z", None]),
    "time elsewhere": (
        pa.array([NANOSECONDS, None], pa.timestamp("ns", tz="Europe/Berlin")),
        ["2026-01-31T13:00:00.123456789+01:00", None],
    ),
    "date": (pa.array([dt.date(2026, 1, 31), None]), ["2026-01-31", None]),
    "time of day": (pa.array([dt.time(1, 2, 3), None]), ["01:02:03.000000", None]),
    "decimal": (pa.array([Decimal("12345678901234567890.10"), None]), ["12345678901234567890.10", None]),
    "list": (pa.array([[1, None], []]), [[1, None], []]),
    "list of times": (
        pa.array([[NANOSECONDS], None], pa.list_(pa.timestamp("ns"))),
        [["2026-01-31T12:00:00.123456789"], None],
    ),
    "struct": (
        pa.array([{"a": b"x", "b": [{"c": NOON}]}, None]),
        [{"a": "eA==", "b": [{"c": "2026-01-31T12:00:00.250000"}]}, None],
    ),
    "nulls beside times": (
        pa.array([{"n": [None] * 9, "t": dt.date(2026, 1, 31)}, None]),
        [{"n": [None] * 9, "t": "2026-01-31"}, None],
    ),
    "map": (pa.array([[("k", Decimal("1.5"))], []], pa.map_(pa.string(), pa.decimal128(3, 1))), [{"k": "1.5"}, {}]),
}


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


async def test_types(storage: LocalStorage, tmp_path: Path):
    path = parquet(tmp_path / "a.parquet", **{name: array for name, (array, _) in COLUMNS.items()})
    report = await import_file(storage, path)
    found = await rows_of(storage, report.master_job_ids[0])
    for name, (_, expected) in COLUMNS.items():
        assert [row[name] for row in found] == expected, name
        assert [type(row[name]) for row in found] == [type(one) for one in expected], name


REFUSED = {
    "duration": pa.array([dt.timedelta(1)]),
    "nested duration": pa.array([[{"d": dt.timedelta(1)}]]),
    "keys": pa.array([[(1, 2)]], pa.map_(pa.int64(), pa.int64())),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_types_without_a_form_in_json(storage: LocalStorage, tmp_path: Path, name: str):
    said = await refused(storage, parquet(tmp_path / "a.parquet", good=pa.array([1]), column=REFUSED[name]))
    assert "column 'column' of" in said
    assert "cast it, or leave it out" in said


async def test_two_columns_of_one_name(storage: LocalStorage, tmp_path: Path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert "two columns of" in await refused(storage, tmp_path / "a.parquet")


async def test_rows_without_a_form_in_json(storage: LocalStorage, tmp_path: Path):
    pairs = pa.array([[("k", 1)], [("k", 1), ("k", 2)], [], []], pa.map_(pa.string(), pa.int64()))
    path = parquet(tmp_path / "a.parquet", x=pa.array([1.0, 1.0, float("nan"), 2.0]), pairs=pairs)
    assert "row 2 of" in await refused(storage, path)
    report = await import_file(storage, path, skip_bad=True)
    assert "a map has one key twice" in report.bad_rows[0]
    assert "row 3 of" in report.bad_rows[1]
    assert "at '$.x', nan is not a JSON number" in report.bad_rows[1]
    rows = await rows_of(storage, report.master_job_ids[0])
    assert rows == [{"x": 1.0, "pairs": {"k": 1}}, {"x": 2.0, "pairs": {}}]


async def test_many_row_groups(storage: LocalStorage, tmp_path: Path):
    pq.write_table(pa.table({"n": pa.array(range(2300))}), tmp_path / "a.parquet", row_group_size=700)
    report = await import_file(storage, tmp_path / "a.parquet")
    assert [row["n"] for row in await rows_of(storage, report.master_job_ids[0])] == list(range(2300))
    assert (await import_file(storage, tmp_path / "a.parquet")).already_imported


async def test_what_is_no_parquet(storage: LocalStorage, tmp_path: Path):
    assert "is not a Parquet file" in await refused(storage, written(tmp_path / "a.parquet", b"PAR1 and more"))
    assert "is not a Parquet file" in await refused(storage, written(tmp_path / "a.parquet", b""))
    whole = parquet(tmp_path / "b.parquet", a=pa.array(range(5000))).read_bytes()
    broken = whole[:100] + b"\xff" * 200 + whole[300:]
    assert "is damaged after row" in await refused(storage, written(tmp_path / "b.parquet", broken))
    assert "has no row" in await refused(storage, parquet(tmp_path / "c.parquet", a=pa.array([], pa.int64())))
