"""CSV for spreadsheets: every column, exact cells, and no formula."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.export import Csv, export
from starfish_storage.export.spreadsheet import _cell
from starfish_storage.testing.samples import MASTER_JOB

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}


def table(content: bytes) -> list[list[str]]:
    text = content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


async def test_columns_are_those_of_all_records(storage: LocalStorage, tmp_path: Path) -> None:
    await save(
        storage,
        [
            {"b": 'say "hi",\nor\r\nnot', "a": 1},
            {"a": 2**70, "late": {"x": [1, "é"]}},
            {},
            {"a": None, "b": True, "late": -0.5},
        ],
    )
    await export(storage, tmp_path / "out.csv", **ONE)
    content = (tmp_path / "out.csv").read_bytes()
    assert content.startswith(b'\xef\xbb\xbf"b","a","late"\r\n')
    assert table(content) == [
        ["b", "a", "late"],
        ['say "hi",\nor\r\nnot', "1", ""],
        ["", str(2**70), '{"x":[1,"é"]}'],
        ["", "", ""],
        ["true", "", "-0.5"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1+1", "-1-1", "-1e", "--1", "-\uff11", "-1\n", " -1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"),
        *("\uff1d1", "=cmd|' /C calc'!A0", "\0=1", "-2+3+cmd|' /C calc'!A0"),
    ],
)
async def test_cells_that_begin_a_formula_are_made_harmless(storage: LocalStorage, tmp_path: Path, text: str) -> None:
    await save(storage, [{"n": text, text: "x"}])
    await export(storage, tmp_path / "out.csv", **ONE)
    assert table((tmp_path / "out.csv").read_bytes()) == [["n", f"'{text}"], [f"'{text}", "x"]]


@given(st.one_of(st.text(), st.integers(), st.lists(st.text())))
def test_no_cell_begins_a_formula(value: Any) -> None:
    cell = _cell(value)
    if isinstance(value, str):
        assert cell in (value, f"'{value}")
        assert _is_number(cell) or not str(cell).strip().startswith(("=", "+", "-", "@"))
    else:
        assert json.loads(str(cell)) == value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


async def test_numbers_stay_as_they_are(storage: LocalStorage, tmp_path: Path) -> None:
    numbers = ["-5", "-5e3", "+1", "-.5", "-1.", "+1.5E-7", "-" + "9" * 400]
    await save(storage, [{"n": number, "m": -5 * 10**place} for place, number in enumerate(numbers)])
    await export(storage, tmp_path / "out.csv", **ONE)
    rows = table((tmp_path / "out.csv").read_bytes())[1:]
    assert rows == [[number, str(-5 * 10**place)] for place, number in enumerate(numbers)]


async def test_raw_cells_are_what_was_stored(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"=n": "=1+1", "m": ["@a"]}])
    await export(storage, tmp_path / "out.csv", Csv(raw_cells=True), **ONE)
    assert table((tmp_path / "out.csv").read_bytes()) == [["=n", "m"], ["=1+1", '["@a"]']]


async def test_text_is_quoted_and_numbers_are_not(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"text": "x;=1+1", "number": 1.5}])  # some spreadsheets part cells at semicolons
    await export(storage, tmp_path / "out.csv", Csv(byte_order_mark=False), **ONE)
    assert (tmp_path / "out.csv").read_text() == '"text","number"\n"x;=1+1",1.5\n'


async def test_what_is_no_row_is_refused(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}, {"meta.uid": "mine"}, {f"k{n}": n for n in range(10_001)}, {"n": 1, "": 2}])
    report = await export(storage, tmp_path / "out.csv", Csv(metadata_key="meta"), skip_damaged=True, **ONE)
    assert [skipped.record_uid for skipped in report.skipped] == ["r0001", "r0002", "r0003"]
    assert "'meta.uid'" in report.skipped[0].reason
    assert "10,000" in report.skipped[1].reason
    assert "has the key '', which names no column; use JSON Lines" in report.skipped[2].reason
    assert len(table((tmp_path / "out.csv").read_bytes())) == 2


async def test_metadata_gets_columns_of_its_own(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}, {"n": 2, "late": 1}])
    form = Csv("gzip", metadata_key="meta", byte_order_mark=False)
    await export(storage, tmp_path / "out.csv.gz", form, **ONE)
    head, *rows = table(gzip.decompress((tmp_path / "out.csv.gz").read_bytes()))
    assert head[:3] == ["n", "meta.uid", "meta.job_id"]
    assert head[-1] == "late"
    assert [row[1] for row in rows] == ["r0000", "r0001"]


async def test_no_records_are_a_file_without_columns(storage: LocalStorage, tmp_path: Path) -> None:
    await export(storage, tmp_path / "out.csv", **ONE)
    assert table((tmp_path / "out.csv").read_bytes()) == [[]]


async def test_chosen_fields_are_the_columns_whatever_records_there_are(storage: LocalStorage, tmp_path: Path) -> None:
    fields = ["a", "b.c", "=d"]
    await export(storage, tmp_path / "none.csv", fields=fields, **ONE)
    assert table((tmp_path / "none.csv").read_bytes()) == [["a", "b.c", "'=d"]]
    await save(storage, [{"b": {"c": 1}}, {"a": 2, "n": 3}])
    await export(storage, tmp_path / "some.csv", fields=fields, **ONE)
    assert table((tmp_path / "some.csv").read_bytes()) == [["a", "b.c", "'=d"], ["", "1", ""], ["2", "", ""]]
