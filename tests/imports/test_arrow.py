"""Arrow and Feather files become records as Parquet files do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from pyarrow import feather

from imports.reading import config_of, rows_of
from imports.test_json_lines import refused, written
from imports.test_parquet import COLUMNS, REFUSED
from starfish_storage import LocalStorage
from starfish_storage.generation import read_inputs
from starfish_storage.imports import import_file

TABLE = pa.table({name: array for name, (array, _) in COLUMNS.items()})


def file_of(path: Path, table: Any) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=700)


def stream_of(path: Path, table: Any) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def feather_1(path: Path, table: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        feather.write_feather(table, str(path), version=1)


WRITERS: dict[str, Callable[[Path, Any], None]] = {
    "a.arrow": file_of,
    "a.arrows": stream_of,
    "a.feather": lambda path, table: feather.write_feather(table, str(path)),  # with LZ4
    "b.feather": feather_1,
    "a.ipc": stream_of,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_and_type(tmp_path: Path, name: str):
    many = pa.table({"n": range(2300), "text": ["größer", None] * 1150})
    WRITERS[name](tmp_path / name, many)
    assert list(read_inputs(tmp_path / name)) == many.to_pylist()
    assert list(read_inputs(written(tmp_path / "misnamed", (tmp_path / name).read_bytes()))) == many.to_pylist()
    if WRITERS[name] is feather_1:
        return  # it has no nested types
    WRITERS[name](tmp_path / name, TABLE)
    expected = {column: values for column, (_, values) in COLUMNS.items()}
    rows = list(read_inputs(tmp_path / name))
    assert rows == [{column: values[place] for column, values in expected.items()} for place in (0, 1)]


async def test_what_is_no_arrow(storage: LocalStorage, tmp_path: Path):
    stream_of(tmp_path / "whole.arrow", TABLE)
    whole = (tmp_path / "whole.arrow").read_bytes()
    file_of(tmp_path / "file.arrow", TABLE)
    for content in (b"", b"ARROW1", b"FEA1", b"hello", whole[:-40], (tmp_path / "file.arrow").read_bytes()[:-9]):
        assert "is not an Arrow file, or is damaged" in await refused(storage, written(tmp_path / "a.arrow", content))
    for name, column in REFUSED.items():
        stream_of(tmp_path / "b.arrow", pa.table({"column": column}))
        assert "column 'column' of" in await refused(storage, tmp_path / "b.arrow"), name


async def test_a_batch_that_leads_outside_of_itself(storage: LocalStorage, tmp_path: Path):
    stream_of(tmp_path / "a.arrow", pa.table({"text": ["a" * 100, "b" * 100]}))
    content = (tmp_path / "a.arrow").read_bytes()
    ends = (100).to_bytes(4, "little") + (200).to_bytes(4, "little")
    assert content.count(ends) == 1
    far = content.replace(ends, (100).to_bytes(4, "little") + (2**30).to_bytes(4, "little"))
    assert "is damaged after row 0" in await refused(storage, written(tmp_path / "a.arrow", far))


async def test_a_feather_that_leads_outside_of_itself(storage: LocalStorage, tmp_path: Path):
    with pytest.warns(DeprecationWarning, match="Feather V1"):
        feather.write_feather(pa.table({"text": ["a" * 100, "b" * 100]}), tmp_path / "a.feather", version=1)
    content = (tmp_path / "a.feather").read_bytes()
    ends = (100).to_bytes(4, "little") + (200).to_bytes(4, "little")
    assert content.count(ends) == 1
    back = content.replace(ends, (300).to_bytes(4, "little") + (200).to_bytes(4, "little"))
    assert "is damaged after row 0" in await refused(storage, written(tmp_path / "a.feather", back))


async def test_a_name_that_is_no_text(storage: LocalStorage, tmp_path: Path):
    stream_of(tmp_path / "a.arrow", pa.table({"outer": [{"inner": 1}]}))
    content = (tmp_path / "a.arrow").read_bytes().replace(b"inner", b"inn\xffr")
    assert "is damaged where it says what is in it" in await refused(storage, written(tmp_path / "a.arrow", content))


async def test_what_datasets_knows_of_its_columns(storage: LocalStorage, tmp_path: Path):
    features = datasets.Features(
        {
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "image": datasets.Image(decode=False),
            "arguments": datasets.Json(),
            "calls": datasets.List(datasets.Json()),
        }
    )
    image = {"bytes": b"\x89PNG", "path": "a.png"}  # which `datasets` itself only takes with Pillow
    json = pa.json_(pa.string())
    columns = [
        pa.array([1, 0]),
        pa.array([image, None], features.arrow_schema.field("image").type),
        pa.array(['{"city":"Rome"}', '"a text"'], json),
        pa.ListArray.from_arrays(pa.array([0, 2, 2], pa.int32()), pa.array(['{"q":1}', '"x"'], json)),
    ]
    made = datasets.Dataset(pa.Table.from_arrays(columns, schema=features.arrow_schema))
    made.to_parquet(tmp_path / "a.parquet")
    stream_of(tmp_path / "a.arrow", made.data.table)
    expected = [
        {
            "label": 1,
            "image": {"bytes": "iVBORw==", "path": "a.png"},
            "arguments": {"city": "Rome"},
            "calls": [{"q": 1}, "x"],
        },
        {"label": 0, "image": None, "arguments": "a text", "calls": []},
    ]
    for name in ("a.parquet", "a.arrow"):
        report = await import_file(storage, tmp_path / name)
        assert report.notes == ("in 'label', 0 is 'bad', 1 is 'good'",)
        assert (await config_of(storage, report.master_job_ids[0]))["import"]["notes"] == list(report.notes)
        assert await rows_of(storage, report.master_job_ids[0]) == expected
