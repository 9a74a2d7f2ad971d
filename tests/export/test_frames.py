"""Records as Arrow tables and data frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from maintenance.stores import RECORDS, data_of, file_of, flip_bit, make
from starfish_storage import LocalStorage, Record
from starfish_storage.errors import (
    DataLostError,
    InvalidInputError,
    InvalidStatusError,
    MissingExtraError,
    NotExportableError,
    NotFoundError,
    StorageError,
)
from starfish_storage.export import ExportProgress, export, to_arrow, to_pandas, to_polars

COMPLETED = [number for number in range(RECORDS) if number // 4 % 4 < 2]


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    await make(tmp_path / "store")
    return tmp_path / "store"


def storage_at(root: Path) -> LocalStorage:
    return LocalStorage(root.as_uri())


def in_order(numbers: list[int], *parities: int) -> list[dict[str, Any]]:
    """The data of records: even ones are of the master job `m1`, odd ones of `M2`."""
    return [data_of(number) for parity in parities for number in numbers if number % 2 == parity]


async def test_which_records(root: Path):
    async with storage_at(root) as storage:
        table = await to_arrow(storage, master_job_ids=["M2", "m1"])
        assert table.schema.types == [pa.int64(), pa.string()]
        assert table.to_pylist() == in_order(COMPLETED, 1, 0)
        assert (await to_arrow(storage, project_id="p")).to_pylist() == in_order(COMPLETED, 0, 1)
        some = await to_arrow(storage, master_job_ids=["m1"], statuses=["filtered", "duplicate"])
        assert len(some) == RECORDS // 2 - len(COMPLETED) // 2
        every = await to_arrow(storage, master_job_ids=["m1"], statuses=())
        assert every.to_pylist() == in_order(list(range(RECORDS)), 0)
        few = await to_arrow(storage, master_job_ids=["m1"], columns=["text"])
        assert few.to_pylist() == [{"text": row["text"]} for row in in_order(COMPLETED, 0)]


async def test_tables_take_what_files_take(root: Path, tmp_path: Path):
    """One way out: what `export` can choose and add, a table has too, and its metadata say the same."""
    asked: dict[str, Any] = {
        "master_job_ids": ["m1", "M2"],
        "search": "text:record",
        "with_input": "in",
        "fields": ["text", "in.job"],
        "dedupe": True,
        "limit": 3,
    }
    seen: list[ExportProgress] = []
    async with storage_at(root) as storage:
        for number in range(2):
            record = Record(record_uid=f"s{number}", job_id="m1-a", master_job_id="m1", status="completed")
            await storage.save_record(record, {"text": "the same record"})
        table = await to_arrow(storage, progress=seen.append, **asked)
        report = await export(storage, tmp_path / "same.parquet", **asked)
        assert table.to_pylist() == pq.read_table(tmp_path / "same.parquet").to_pylist()
        assert table.column_names == ["text", "in.job"]
        assert (table.num_rows, report.records, seen[-1]) == (3, 3, ExportProgress(3, 3, "writing"))
        file = pq.read_schema(tmp_path / "same.parquet").metadata
        for key in (b"starfish_storage.chosen", b"starfish_storage.unfinished", b"starfish_storage.division"):
            assert table.schema.metadata.get(key) == file.get(key) is not None
        del asked["limit"]
        frame = await to_pandas(storage, **asked)
        asked["dedupe"] = False
        twice = await to_polars(storage, **asked)
        assert (frame["text"].to_list().count("the same record"), len(twice) - len(frame)) == (1, 1)
        with pytest.raises(InvalidInputError, match=r"the field 'txet': similar ones are 'text'"):
            await to_arrow(storage, master_job_ids=["m1"], fields=["number", "txet"])
        with pytest.raises(InvalidInputError, match=r"the field 'colour': leave it out"):
            await export(storage, tmp_path / "none.parquet", master_job_ids=["m1"], fields=["colour"])
        wrong: Any = {"overwrite": True}
        with pytest.raises(TypeError, match=r"to_arrow\(\) got an unexpected keyword argument 'overwrite'"):
            await to_arrow(storage, master_job_ids=["m1"], **wrong)


async def test_what_cannot_be_read_is_said(root: Path):
    async with storage_at(root) as storage:
        with pytest.raises(NotFoundError, match="'m3'"):
            await to_arrow(storage, master_job_ids=["m3"])
        with pytest.raises(NotFoundError, match="'q'"):
            await to_arrow(storage, project_id="q")
        with pytest.raises(InvalidInputError, match="no records are named"):
            await to_arrow(storage)
        with pytest.raises(InvalidInputError, match="no records are named"):
            await to_arrow(storage, master_job_ids="m1")
        for columns in ("number", []):
            with pytest.raises(InvalidInputError, match="list of names"):
                await to_arrow(storage, master_job_ids=["m1"], columns=columns)
        with pytest.raises(InvalidStatusError):
            await to_arrow(storage, master_job_ids=["m1"], statuses=["done"])
        with pytest.raises(InvalidInputError, match=r"'colour'.*'number', 'text'"):
            await to_arrow(storage, master_job_ids=["m1"], columns=["number", "colour"])


async def test_metadata(root: Path):
    async with storage_at(root) as storage:
        table = await to_arrow(storage, master_job_ids=["m1"], metadata=True)
        assert table.column_names == ["number", "text", "metadata"]
        record = await storage.get_record_metadata("r0000")
        assert record is not None
        assert table.column("metadata").to_pylist()[0] == {
            "uid": "r0000",
            "status": "completed",
            "master_job_id": "m1",
            "job_id": "m1-a",
            "start_time": f"{record.start_time:%Y-%m-%dT%H:%M:%S.%fZ}",
            "end_time": f"{record.end_time:%Y-%m-%dT%H:%M:%S.%fZ}",
            "error_message": None,
            "input": {"job": "a"},
            "attempts": 0,
            "input_tokens": 0,
            "output_tokens": 0,
            "cost": 0.0,
            "segment": None,
            "versions": 1,
            "conversions": 0,
            "annotations": 0,
            "verdict": None,
        }
        with pytest.raises(NotExportableError, match=r"'r0000' cannot be exported as a table: it has a field 'text'"):
            await to_arrow(storage, master_job_ids=["m1"], metadata="text")
        about = await to_polars(storage, master_job_ids=["m1"], metadata="about", columns=["about"])
        assert about["about"].struct.field("uid").to_list() == [f"r{n:04}" for n in COMPLETED if n % 2 == 0]


@pytest.mark.parametrize("damage", ["lost", "flipped"])
async def test_damage_stops_it_or_is_skipped(root: Path, damage: str):
    path = file_of(root, 2)
    if damage == "lost":
        path.unlink()
    else:
        flip_bit(path)
    async with storage_at(root) as storage:
        with pytest.raises(StorageError, match="r0002") as raised:
            await to_arrow(storage, master_job_ids=["m1"])
        assert isinstance(raised.value, DataLostError) == (damage == "lost")
        table = await to_arrow(storage, master_job_ids=["m1"], skip_damaged=True)
        assert table.to_pylist() == in_order([number for number in COMPLETED if number != 2], 0)


async def test_records_that_do_not_fit_each_other(root: Path):
    async with storage_at(root) as storage:
        for number, data in enumerate(
            [{"score": 1, "late": [1]}, {"number": "forty"}, {"score": 0.5, "number": 2**70}]
        ):
            record = Record(record_uid=f"s{number}", job_id="m1-a", master_job_id="m1", status="completed")
            await storage.save_record(record, data)
        table = await to_arrow(storage, master_job_ids=["m1"])
        assert table.column_names == ["number", "text", "score", "late"]
        assert json.loads(table.schema.metadata[b"starfish_storage.json_columns"]) == ["$.number"]
        assert [json.loads(text) for text in table.column("number").to_pylist()[-2:]] == ["forty", 2**70]
        assert table.column("score").to_pylist()[-3:] == [1.0, None, 0.5]


async def test_frames_add_nothing_to_objects(root: Path):
    async with storage_at(root) as storage:
        for number, data in enumerate([{"a": {"city": "Rome"}, "m": {"k": 1}}, {"a": {"q": 1}, "m": {}}, {"m": None}]):
            record = Record(record_uid=f"s{number}", job_id="m1-a", master_job_id="m1", status="filtered")
            await storage.save_record(record, data)
        chosen: dict[str, Any] = {
            "master_job_ids": ["m1"],
            "where": ["m"],
            "statuses": ["filtered"],
            "columns": ["a", "m"],
        }
        frames: list[Any] = [await read(storage, map_fields=["m"], **chosen) for read in (to_pandas, to_polars)]
        assert [[one for one in frame["a"] if isinstance(one, str)] for frame in frames] == [
            ['{"city":"Rome"}', '{"q":1}']
        ] * 2
        assert frames[0]["m"].to_list() == [[("k", 1)], []]
        assert frames[1]["m"].to_list() in ([{"k": 1}, {}], [[{"key": "k", "value": 1}], []])  # before Polars 2
        padded = await to_polars(storage, pad=True, **chosen)
        assert padded["a"].to_list() == [{"city": "Rome", "q": None}, {"city": None, "q": 1}]
        with pytest.raises(InvalidInputError, match="no record has an object in 'late'"):
            await to_arrow(storage, map_fields=["late"], **chosen)
        with pytest.raises(InvalidInputError, match="list of fields"):
            await to_arrow(storage, map_fields="m", **chosen)


async def test_pandas_keeps_integers_that_may_be_null(root: Path):
    async with storage_at(root) as storage:
        record = Record(record_uid="s", job_id="m1-a", master_job_id="m1", status="completed")
        await storage.save_record(record, {"other": 2**62 + 1, "none": None})
        frame = await to_pandas(storage, master_job_ids=["m1"])
    assert isinstance(frame, pd.DataFrame)
    assert frame["number"].tolist()[:-1] == [row["number"] for row in in_order(COMPLETED, 0)]
    assert frame["number"].isna().tolist()[-1]
    assert frame["other"].tolist()[-1] == 2**62 + 1


async def test_polars(root: Path):
    async with storage_at(root) as storage:
        frame = await to_polars(storage, master_job_ids=["m1"])
    assert isinstance(frame, pl.DataFrame)
    assert frame.to_dicts() == in_order(COMPLETED, 0)


async def test_duckdb_reads_the_table(root: Path):
    async with storage_at(root) as storage:
        records = await to_arrow(storage, project_id="p")
    with duckdb.connect() as connection:
        connection.register("records", records)
        found = connection.execute("SELECT count(*), max(number) FROM records").fetchall()
    assert found == [(len(COMPLETED), max(COMPLETED))]


async def test_no_records_are_an_empty_table(root: Path):
    async with storage_at(root) as storage:
        table = await to_arrow(storage, master_job_ids=["m1"], statuses=["failed"])
        assert (table.num_rows, table.num_columns) == (0, 0)
        assert (await to_polars(storage, master_job_ids=["m1"], statuses=["failed"])).shape == (0, 0)
        assert (await to_pandas(storage, master_job_ids=["m1"], statuses=["failed"])).shape == (0, 0)


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [
        ("pyarrow", "parquet", to_arrow),
        ("pyarrow", "parquet", to_pandas),
        ("pandas", "pandas", to_pandas),
        ("polars", "polars", to_polars),
    ],
)
async def test_what_is_not_installed_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str, call: Any
):
    monkeypatch.setitem(sys.modules, module, None)
    async with storage_at(root) as storage:
        with pytest.raises(MissingExtraError, match=rf"starfish-storage\[{extra}\]"):
            await call(storage, master_job_ids=["m1"])


def test_importing_the_package_imports_none_of_them():
    program = "import sys, starfish_storage.export; print({'pyarrow', 'pandas', 'polars', 'datasets'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
