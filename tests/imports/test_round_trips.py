"""What an export writes comes in again as it was, in the same order."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imports.reading import rows_of
from starfish_storage import LocalStorage
from starfish_storage.copying import archive, unarchive
from starfish_storage.export import ArrowIpc, Csv, Form, HuggingFace, JsonLines, Parquet, export
from starfish_storage.imports import import_file, import_path

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


NOTHING = object()
"""In place of a value: the record does not have that key."""

KEYS = st.sampled_from(["a", "b", "c.d", "", "é", "x\0", "🐟"])
ALIKE = [
    st.sampled_from([1, 2.5, -0.0, 0, 3]),
    st.sampled_from([1.0, 2.5, 1e300, None]),
    st.sampled_from([2**53 + 1, 2**63, 2**70, -(2**63), 7]),
    st.sampled_from(["2026-01-31", "2026-01-31T12:00:00Z", "1", "null", "", "\0", None]),
    st.booleans() | st.none(),
    st.lists(st.sampled_from([1, 2.5, None, "x", [], [None], [[1]], {}]), max_size=3),
    st.lists(st.sampled_from([1, 2.5, None]), max_size=3),
    st.dictionaries(KEYS, st.integers(0, 3) | st.none(), max_size=3),
    st.fixed_dictionaries({"a": st.none() | st.integers(0, 3), "b": st.lists(st.fixed_dictionaries({"k": st.text()}))}),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
]
"""What one key holds in all records: kinds of values that meet each other."""


@st.composite
def some_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records, each key of which holds one kind of values, or nothing; keys in any order."""
    kinds = draw(st.lists(st.sampled_from(ALIKE), min_size=1, max_size=6))
    names = [f"k{number}" for number in range(len(kinds))]
    rows: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 5))):
        found = {name: draw(st.just(NOTHING) | kind) for name, kind in zip(names, kinds, strict=True)}
        order = draw(st.permutations(names))
        rows.append({name: found[name] for name in order if found[name] is not NOTHING})
    return [*rows, {"always": 1}]


TRICKY: list[dict[str, Any]] = [
    {"n": 1, "big": 2**70, "kinds": 1, "map": {}, "date": "2026-01-31", "lists": [], "nulls": [{"x": [None]}]},
    {"n": 2.5, "big": 1, "kinds": "x", "map": {"k": 1}, "date": None, "lists": [1, "x"], "nulls": None, "late": None},
    {"hollow": [{"j": 1, "n": [None] * 9}, {"j": "x", "n": None}], "none": [None] * 9},
    {"lists": [[]], "nulls": [{"x": None}, None], "date": "", "arguments": {"city": "Rome"}, "zero": -0.0},
    {"zero": 0.0, "n": -3, "arguments": {"q": 1, "k": 2}, "deep": [[[{"a": {"b": [{"c": None}]}}]]], "only": None},
    {},
]


@settings(max_examples=8)
@given(rows=some_rows())
@example(rows=TRICKY)
def test_every_form_that_promises_it_gives_equal_records(rows: list[dict[str, Any]]):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(assert_equal_again(Path(directory), rows))


async def assert_equal_again(here: Path, rows: list[dict[str, Any]]) -> None:
    (here / "first.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with LocalStorage((here / "store").as_uri(), durability="process") as storage:
        (run,) = (await import_file(storage, here / "first.jsonl")).master_job_ids
        assert texts(await rows_of(storage, run)) == texts(rows)
        forms: list[Form] = [JsonLines(), Parquet(), ArrowIpc(), HuggingFace()]
        for name, form in zip(("a.jsonl", "a.parquet", "a.arrow", "set"), forms, strict=True):
            report = await export(storage, here / name, form, master_job_ids=[run])
            again = await import_path(storage, here / name, project_id=name)
            found = await rows_of(storage, again.master_job_ids[0])
            assert found == rows, name
            if not any(conflict.written_as == "numbers with a fraction" for conflict in report.conflicts):
                assert texts(found) == texts(rows), name
        await archive(storage, run, here / "a.zip")
    async with LocalStorage((here / "other").as_uri(), durability="process") as other:
        await unarchive(here / "a.zip", other)
        assert texts(await rows_of(other, run)) == texts(rows)


def texts(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows as texts, in which 1 and 1.0, and 0.0 and -0.0, are not the same; the order of keys means nothing."""
    return [json.dumps(row, sort_keys=True) for row in rows]
