"""JSON files become rows: an array, an object of columns, or objects that follow each other."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imports.reading import rows_of
from imports.test_json_lines import refused, written
from starfish_storage import LocalStorage
from starfish_storage.imports import import_file
from starfish_storage.row_files.json_file import JsonTable
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile

ROWS: list[dict[str, Any]] = [
    {"n": n, "text": f'gr\u00f6\u00dfer "{n}"', "in": [{"x": [n, None]}] * (n % 3)} for n in range(60)
]
FRAME = pd.DataFrame(ROWS)
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}

LAYOUTS: dict[str, tuple[str, list[str]]] = {
    "array": (json.dumps(ROWS), []),
    "pandas' records": (FRAME.to_json(orient="records"), []),
    "lines": (FRAME.to_json(orient="records", lines=True), ["one object a line"]),
    "over several lines": ("\n".join(json.dumps(row, indent=2) for row in ROWS), ["one object after another"]),
    "without blanks": ("".join(json.dumps(row) for row in ROWS), ["one object after another"]),
    "columns": (json.dumps(COLUMNS), ["one object of columns"]),
    "columns over several lines": (json.dumps(COLUMNS, ensure_ascii=False, indent=1), ["one object of columns"]),
    "pandas' rows": (FRAME.to_json(orient="index"), ["one object of rows"]),
    "pandas' columns": (FRAME.to_json(), ["one object of columns"]),
}


def read(path: Path) -> tuple[list[Any], list[str]]:
    with SourceFile(str(path)) as file:
        table = JsonTable(file)
        return [row.data if isinstance(row, GoodRow) else row for row in table.rows()], table.notes()


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_rows_of_each_layout(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, notes = LAYOUTS[name]
    assert read(written(tmp_path / "a.json", text.encode("utf-8-sig"))) == (ROWS, notes)
    assert read(written(tmp_path / "a.json", gzip.compress(text.encode()))) == (ROWS, notes)
    assert read(written(tmp_path / "a.json", text.encode("utf-16"))) == (ROWS, [*notes, "UTF-16-LE"])
    monkeypatch.setattr("starfish_storage.row_files.json_cursor.BLOCK", 5)
    monkeypatch.setattr("starfish_storage.row_files.json_file._COLUMN_BLOCK", 7)
    assert read(written(tmp_path / "a.json", text.encode())) == (ROWS, notes)


def test_one_row_is_no_column(tmp_path: Path) -> None:
    for row in ({"a": 1}, {"a": [1], "b": 2}, {"a": {"x": 1}, "b": {"x": 2}}, {"a": {"0": 1}, "b": {}}, {}):
        text = json.dumps(row, indent=1)
        assert read(written(tmp_path / "a.json", text.encode())) == ([row], ["one object, which is a row"])


async def test_frames_without_rows_of_names_are_refused(storage: LocalStorage, tmp_path: Path) -> None:
    frame = FRAME[:3]  # as many rows as columns, so that its lists are as long as each other
    for layout in ("split", "table"):
        text = frame.to_json(orient=layout)
        assert "orient='records'" in await refused(storage, written(tmp_path / "a.json", text.encode()))
        assert read(written(tmp_path / "a.json", f"[{text}]".encode()))[0] == [json.loads(text)]


def test_a_number_that_json_does_not_have_makes_a_bad_row(tmp_path: Path) -> None:
    for text in ('[{"a": 1}, {"a": NaN}, {"a": 3}]', '{"a": [1, NaN, 3]}', '{"a": 1} {"a": -Infinity}\n{"a": 3}'):
        first, bad, last = read(written(tmp_path / "a.json", text.encode()))[0]
        assert (first, last) == ({"a": 1}, {"a": 3})
        assert isinstance(bad, BadRow)
        assert " 2 of " in bad.reason


async def test_how_it_was_read_is_said(storage: LocalStorage, tmp_path: Path) -> None:
    report = await import_file(storage, written(tmp_path / "a.json", json.dumps(COLUMNS).encode()))
    assert (report.form, report.notes) == ("json", ("one object of columns",))
    assert await rows_of(storage, report.master_job_ids[0]) == ROWS


async def test_nothing_is_stored_of_a_file_that_is_cut(storage: LocalStorage, tmp_path: Path) -> None:
    for text, _ in LAYOUTS.values():
        cut = written(tmp_path / "a.json", text.encode()[:-4])
        assert "line " in await refused(storage, cut)
