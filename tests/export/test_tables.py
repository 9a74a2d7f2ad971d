"""Parquet and Arrow IPC files: bounded pieces, the same bytes each time, and what they say about themselves."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidInputError, MissingExtraError, StorageFullError, StorageIOError
from starfish_storage.export import table_files
from starfish_storage.export.table_files import (
    ARROW_COMPRESSIONS,
    PARQUET_COMPRESSIONS,
    write_arrow_ipc,
    write_parquet,
)
from starfish_storage.export.table_sink import TableSink

IDENTITY = {"starfish_storage.master_job_ids": '["m1"]', "ü": "é"}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[TableSink]:
    made = TableSink(str(tmp_path))
    for number in range(1000):
        made.add(f"r{number}", encode({"number": number, "text": f"récord {number} " * 10}, "row"))
    yield made
    made.close()


@pytest.mark.parametrize("compression", PARQUET_COMPRESSIONS)
def test_parquet_in_row_groups(sink: TableSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str):
    monkeypatch.setattr(table_files, "_GROUP", 30_000)
    monkeypatch.setattr("starfish_storage.export.unified_table._PIECE", 10_000)
    seen: list[int] = []
    path = tmp_path / "one.parquet"
    assert write_parquet(sink, str(path), IDENTITY, compression=compression, progress=seen.append) == 1000
    about = pq.read_metadata(path)
    assert about.num_rows == 1000
    assert about.num_row_groups == len(seen) > 3
    assert seen[-1] == 1000
    assert about.metadata[b"starfish_storage.master_job_ids"] == b'["m1"]'
    assert about.metadata["ü".encode()] == "é".encode()
    expected = "UNCOMPRESSED" if compression == "none" else compression.upper()
    assert about.row_group(0).column(0).compression == expected
    assert [row["number"] for row in pq.read_table(path).to_pylist()] == list(range(1000))
    write_parquet(sink, str(tmp_path / "two.parquet"), IDENTITY, compression=compression)
    with (tmp_path / "three.parquet").open("wb") as file:
        write_parquet(sink, file, IDENTITY, compression=compression)
    assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "three.parquet").read_bytes()


@pytest.mark.parametrize("compression", ARROW_COMPRESSIONS)
def test_arrow_ipc(sink: TableSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str):
    monkeypatch.setattr(table_files, "_GROUP", 30_000)
    monkeypatch.setattr("starfish_storage.export.unified_table._PIECE", 10_000)
    seen: list[int] = []
    path = tmp_path / "one.arrow"
    assert write_arrow_ipc(sink, str(path), IDENTITY, compression=compression, progress=seen.append) == 1000
    with pa.ipc.open_file(path) as reader:
        assert reader.num_record_batches == len(seen) > 3
        assert reader.schema.metadata["ü".encode()] == "é".encode()
        assert reader.read_all().column("number").to_pylist() == list(range(1000))
        json_bytes = sum(end - start for start, end in sink.records.shards)
        assert (path.stat().st_size < json_bytes / 3) == (compression != "none")
    again = io.BytesIO()
    write_arrow_ipc(sink, again, IDENTITY, compression=compression)
    write_arrow_ipc(sink, str(tmp_path / "two.arrow"), IDENTITY, compression=compression)
    assert (tmp_path / "two.arrow").read_bytes() == again.getvalue()


@pytest.mark.parametrize("write", [write_parquet, write_arrow_ipc])
def test_an_unknown_compression_is_refused(sink: TableSink, tmp_path: Path, write: Callable[..., int]):
    with pytest.raises(InvalidInputError, match=r"'zip'.*zstd"):
        write(sink, str(tmp_path / "x"), {}, compression="zip")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("write", [write_parquet, write_arrow_ipc])
def test_without_pyarrow_the_extra_is_named(
    sink: TableSink, monkeypatch: pytest.MonkeyPatch, write: Callable[..., int]
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'starfish-storage\[parquet\]'") as raised:
        write(sink, io.BytesIO(), {})
    assert (raised.value.module, raised.value.extra) == ("pyarrow", "parquet")


def test_errors_of_arrow_are_ours_and_quote_nothing(tmp_path: Path):
    sink = TableSink(str(tmp_path))
    sink.add("r1", b'{"a":"private"}\n')
    table = sink.unified()
    with pytest.raises(InvalidInputError, match="ArrowTypeError") as raised:
        table.batch([{"a": ["private"]}])
    assert "private" not in str(raised.value)
    assert raised.value.__suppress_context__
    sink.close()


def test_no_records_make_an_empty_file(tmp_path: Path):
    sink = TableSink(str(tmp_path))
    assert write_parquet(sink, str(tmp_path / "empty.parquet"), IDENTITY) == 0
    assert pq.read_table(tmp_path / "empty.parquet").num_rows == 0
    assert write_arrow_ipc(sink, str(tmp_path / "empty.arrow"), IDENTITY) == 0
    sink.close()


def test_metadata_is_the_last_column(tmp_path: Path):
    sink = TableSink(str(tmp_path), metadata_key="about the record")
    about = {"uid": "r1", "input": {"a": 1}, "cost": None}
    sink.add("r1", encode({"a": 1}, ""), about)
    sink.add("r2", encode({}, ""), about | {"uid": "r2", "cost": 0.5, "input": {"b": "x"}})
    sink.add("r3", encode({"b": 2**70}, ""), None)
    with pytest.raises(InvalidInputError, match=r"record 'r4'.*'about the record'"):
        sink.add("r4", encode({"about the record": 1}, ""), about)
    assert sink.unified().schema.names == ["a", "b", "about the record"]
    sink.add("r5", encode({"late": 1}, ""), about | {"input": {"a": 2**70, "b": "x"}})
    write_parquet(sink, str(tmp_path / "table.parquet"), {})
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.column_names == ["a", "b", "late", "about the record"]
    assert table.drop(["late", "about the record"]).to_pylist() == [
        {"a": 1, "b": None},
        {"a": None, "b": None},
        {"a": None, "b": str(2**70)},
        {"a": None, "b": None},
    ]
    assert table.column("about the record").to_pylist() == [
        {"uid": "r1", "input": '{"a":1}', "cost": None},
        {"uid": "r2", "input": '{"b":"x"}', "cost": 0.5},
        None,
        {"uid": "r1", "input": f'{{"a":{2**70},"b":"x"}}', "cost": None},
    ]
    assert [conflict.path for conflict in sink.conflicts] == [
        "$.b",
        "$['about the record'].input",
    ]
    sink.close()


def test_metadata_is_read_exactly_though_the_data_is_ordinary(tmp_path: Path):
    sink = TableSink(str(tmp_path), metadata_key="metadata")
    sink.add("r1", b'{"a":1}\n', {"input": 2**70})
    write_parquet(sink, str(tmp_path / "table.parquet"), {})
    assert pq.read_table(tmp_path / "table.parquet").to_pylist() == [{"a": 1, "metadata": {"input": str(2**70)}}]
    sink.close()


def test_what_is_put_aside_has_no_name_and_is_gone_when_closed(tmp_path: Path):
    sink = TableSink(str(tmp_path))
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    sink.add("r1", b'{"a":1}\n')
    assert list(tmp_path.iterdir()) == []  # so a process that is killed leaves nothing
    sink.close()
    sink.close()
    assert (set(os.listdir("/proc/self/fd")) if before else set()) <= before | {
        str(max(map(int, before), default=0) + 1)
    }


def test_a_directory_that_is_not_there_is_named(tmp_path: Path):
    sink = TableSink(str(tmp_path / "nowhere"))
    with pytest.raises(StorageIOError, match="nowhere"):
        sink.add("r1", b'{"a":1}\n')
    sink.close()


def test_a_full_disk_is_said(tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = TableSink(str(tmp_path))
    line = encode({"a": "x" * 100_000}, "")
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(StorageFullError, match=str(tmp_path)):
            fill(sink, line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sink.close()


def fill(sink: TableSink, line: bytes) -> None:
    for _ in range(100):
        sink.add("r1", line)


def test_other_readers_read_it(tmp_path: Path):
    rows: list[dict[str, Any]] = [
        {"text": "é", "number": 1, "tags": ["a"], "nested": {"score": 0.5}, "mixed": 1, "none": None, "empty": []},
        {"text": None, "number": 2.5, "tags": [], "nested": None, "mixed": {"x": 1}, "none": None, "empty": []},
    ]
    sink = TableSink(str(tmp_path))
    for row in rows:
        sink.add("r", encode(row, ""))
    path = str(tmp_path / "table.parquet")
    write_parquet(sink, path, {})
    sink.close()
    expected = [{**row, "mixed": json.dumps(row["mixed"]).replace(" ", "")} for row in rows]
    assert pl.read_parquet(path).to_dicts() == expected
    assert pd.read_parquet(path)["number"].tolist() == [1.0, 2.5]
    with duckdb.connect() as connection:
        assert connection.execute(
            "SELECT text, number, tags, nested.score, mixed FROM read_parquet(?)", [path]
        ).fetchall() == [
            ("é", 1.0, ["a"], 0.5, "1"),
            (None, 2.5, [], None, '{"x":1}'),
        ]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells a process's own peak")
def test_memory_stays_flat(tmp_path: Path):
    program = """
import sys
from starfish_storage.export.table_files import write_parquet
from starfish_storage.export.table_sink import TableSink
sink = TableSink(sys.argv[1])
for number in range(int(sys.argv[2])):
    sink.add("r", b'{"number":%d,"text":"%s"}\\n' % (number, b"x%d" % number * 1000))
write_parquet(sink, sys.argv[1] + "/table.parquet", {})
sink.close()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0])  # ru_maxrss would begin with that of the tests' own process
"""
    used = [
        int(
            subprocess.run([sys.executable, "-c", program, tmp_path, str(rows)], capture_output=True, check=True).stdout
        )
        for rows in (3_000, 24_000)
    ]
    assert used[1] - used[0] < 60_000, used  # KiB; the records are 140 MB more


def test_row_groups_are_bounded_in_memory_too(tmp_path: Path):
    """Where most fields are null, little JSON is much memory."""
    sink = TableSink(str(tmp_path))
    for number in range(12_000):
        sink.add(f"r{number}", encode({f"k{number % 1000}": 1}, ""))
    write_parquet(sink, str(tmp_path / "t.parquet"), {})
    sink.close()
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert file.metadata.num_row_groups > 1
    assert file.metadata.num_rows == 12_000
