"""What an export writes comes in again as it was, in the same order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imports.reading import rows_of
from starfish_storage import LocalStorage
from starfish_storage.export import ArrowIpc, Csv, Form, JsonLines, Parquet, export
from starfish_storage.imports import import_file

ROWS: list[dict[str, Any]] = [
    {"text": f"größer\n{n}", "number": n, "list": [{"a": n, "b": None}], "half": n + 0.5} for n in range(1203)
]
FORMS: dict[str, Form] = {
    "a.jsonl": JsonLines(),
    "a.jsonl.gz": JsonLines(compression="gzip"),
    "a.jsonl.zst": JsonLines(compression="zstd"),
    "a.parquet": Parquet(),
    "a.arrow": ArrowIpc(),
}


@pytest.fixture
async def first(storage: LocalStorage, tmp_path: Path) -> str:
    path = tmp_path / "first.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return (await import_file(storage, path)).master_job_ids[0]


@pytest.mark.parametrize("name", FORMS)
async def test_everything_is_as_it_was(storage: LocalStorage, first: str, tmp_path: Path, name: str):
    await export(storage, tmp_path / name, FORMS[name], master_job_ids=[first])
    (again,) = (await import_file(storage, tmp_path / name)).master_job_ids
    assert again != first
    assert await rows_of(storage, again) == ROWS
    await export(storage, tmp_path / f"again-{name}", FORMS[name], master_job_ids=[again])
    if name == "a.jsonl":
        assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()


async def test_metadata_is_data(storage: LocalStorage, first: str, tmp_path: Path):
    await export(storage, tmp_path / "a.jsonl", JsonLines(metadata_key="record"), master_job_ids=[first])
    (again,) = (await import_file(storage, tmp_path / "a.jsonl")).master_job_ids
    found = await rows_of(storage, again)
    assert {row["record"].pop("status") for row in found} == {"completed"}
    assert [{name: value for name, value in row.items() if name != "record"} for row in found] == ROWS


async def test_cells_of_csv(storage: LocalStorage, first: str, tmp_path: Path):
    await export(storage, tmp_path / "a.csv", Csv(), master_job_ids=[first])
    (again,) = (await import_file(storage, tmp_path / "a.csv", json_cells=True)).master_job_ids
    expected = [row | {"number": str(row["number"]), "half": str(row["half"])} for row in ROWS]
    assert await rows_of(storage, again) == expected
