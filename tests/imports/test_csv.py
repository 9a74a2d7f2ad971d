"""CSV files become records of texts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from imports.reading import config_of, rows_of
from imports.test_json_lines import refused, written
from starfish_storage import LocalStorage
from starfish_storage.imports import import_file

CSV = b'name,note\r\nAda,"a, b"\r\n\r\n"O""Hara","two\r\nlines"\r\n0012,\r\n'
ROWS = [{"name": "Ada", "note": "a, b"}, {"name": 'O"Hara', "note": "two\r\nlines"}, {"name": "0012", "note": ""}]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("a.csv", CSV),
        ("a.csv", b"\xef\xbb\xbf" + CSV.rstrip()),
        ("a.csv.gz", gzip.compress(CSV)),
        (
            "a.tsv",
            CSV.replace(b"name,note", b"name\tnote")
            .replace(b'Ada,"', b'Ada\t"')
            .replace(b'",', b'"\t')
            .replace(b"2,", b"2\t"),
        ),
    ],
    ids=["CSV", "with a mark and no end", "gzip", "tabs"],
)
async def test_cells_are_text(storage: LocalStorage, tmp_path: Path, file: str, content: bytes):
    report = await import_file(storage, written(tmp_path / file, content))
    assert await rows_of(storage, report.master_job_ids[0]) == ROWS
    assert (report.form, report.records) == ("csv", 3)


async def test_cells_that_hold_json(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.csv", b'a,b,c\n"{""x"": [1, null]}",[1],[sic]\n1,true,{\n')
    plain = await import_file(storage, path)
    parsed = await import_file(storage, path, json_cells=True)
    assert plain.master_job_ids != parsed.master_job_ids, "the same file, read otherwise"
    assert (await rows_of(storage, plain.master_job_ids[0]))[0]["b"] == "[1]"
    assert await rows_of(storage, parsed.master_job_ids[0]) == [
        {"a": {"x": [1, None]}, "b": [1], "c": "[sic]"},
        {"a": "1", "b": "true", "c": "{"},
    ]
    source: dict[str, Any] = (await config_of(storage, parsed.master_job_ids[0]))["import"]["source"]
    assert (source["delimiter"], source["json_cells"]) == (",", True)


async def test_another_delimiter(storage: LocalStorage, tmp_path: Path):
    report = await import_file(storage, written(tmp_path / "a.csv", b"a;b\n1,5;2\n"), delimiter=";")
    assert await rows_of(storage, report.master_job_ids[0]) == [{"a": "1,5", "b": "2"}]
    for odd in ("", ";;", '"', "\n"):
        if odd:
            assert "delimiter" in await said_of(storage, tmp_path / "a.csv", delimiter=odd)


async def said_of(storage: LocalStorage, path: Path, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:
        await import_file(storage, path, **options)
    return str(caught.value)


async def test_rows_of_another_width(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.csv", b'a,b\n"1\n",2\n3\n4,5,6\n7,8\n')
    assert "the row at line 4 of" in (said := await refused(storage, path))
    assert "has 1 cells, but the file has 2 columns" in said
    report = await import_file(storage, path, skip_bad=True)
    assert (report.records, report.skipped) == (2, 2)
    assert "line 5 of" in report.bad_rows[1]


BROKEN = {
    "quote": (b'a,b\n"1"x,2\n', "the row at line 2 of"),
    "open": (b'a,b\n1,2\n"3,4\n', "the row at line 3 of"),
    "header": (b'a,"b"x\n1,2\n', "line 1 of"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8"),
    "Latin": (b"a,b\n1,\xe9\n", "is not UTF-8"),
    "unnamed": (b"a,,c\n1,2,3\n", "column 2 of"),
    "twice": (b"a,b,a\n1,2,3\n", "two columns of"),
    "header alone": (b"a,b\n", "has no row"),
    "empty": (b"", "no column names"),
    "blank": (b"\n\n", "no column names"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_csv(storage: LocalStorage, tmp_path: Path, name: str):
    content, reason = BROKEN[name]
    for skip_bad in (False, True):
        assert reason in await refused(storage, written(tmp_path / "a.csv", content), skip_bad=skip_bad)
