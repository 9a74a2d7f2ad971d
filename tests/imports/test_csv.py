"""CSV files become records of texts."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from imports.reading import config_of, rows_of
from imports.test_json_lines import refused, written
from starfish_storage import LocalStorage
from starfish_storage.imports import import_file
from starfish_storage.row_files.csv_rows import CsvTable
from starfish_storage.row_files.rows import GoodRow
from starfish_storage.row_files.source_file import SourceFile

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


SEPARATED: dict[str, tuple[str, str]] = {
    "one column": ('text\n"Hello, world; how are you"\nWell | fine\n', "commas"),
    "decimal commas": ("name;price\nA;1,5\nB;2,5\n", "semicolons"),
    "commas in prose": ("q;a\nWhat, then, is it;It is, so\nb, c;d, e\n", "semicolons"),
    "bars in prose": ("q\ta\nx | y\tz, w\na | b\tc, d\n", "tabs"),
    "a comma in a name": ("name, unit|price|x\n1|2|3\n4|5|6\n", "vertical bars"),
    "lines in cells": ('id;text\n1;"one\nline; two, three"\n2;"x\ny"\n', "semicolons"),
    "JSON in cells": ('id,data\n1,"{""a"": 1, ""b"": [1;2]}"\n2,"{""a"": 2, ""b"": [3;4]}"\n', "commas"),
    "quoted semicolons": ('"a;x","b"\n"1;1","2"\n"3;1","4"\n', "commas"),
    "Markdown": ('id,table\n1,"| a | b |\n|---|---|"\n2,"| a | b |\n|---|---|"\n', "commas"),
    "code": ('id;code\n1;"for (i = 0; i < n; i++) { f(a, b); }"\n2;"g(a, b);"\n', "semicolons"),
    "quotes in cells": ('q;a\n5" pipe;x, y\n6" pipe;z, w\n', "semicolons"),
    "a name alone": ("a;b;c\n" + ";;\n", "semicolons"),
    "carriage returns": ("a;b\r1;2\r3;4\r", "semicolons"),
    "long cells": ("a;b\n" + f"{'x, y ' * 20_000};{'z, ' * 1000}\n" * 3, "semicolons"),
    "Excel's line": ("sep=|\r\na,b|c,d\r\n1,2|3,4\r\n", "vertical bars"),
}


@pytest.mark.parametrize("name", SEPARATED)
def test_what_separates_cells_is_recognised(tmp_path: Path, name: str):
    text, expected = SEPARATED[name]
    delimiter = {"commas": ",", "semicolons": ";", "tabs": "\t", "vertical bars": "|"}[expected]
    names, *rows = csv.reader(io.StringIO(text.removeprefix("sep=|\r\n"), newline=""), delimiter=delimiter)
    # Excel writes UTF-16, others a mark before UTF-8.
    for encoding, said in (("utf-8", []), ("utf-8-sig", []), ("utf-16", ["UTF-16-LE"])):
        with SourceFile(str(written(tmp_path / "a.csv", text.encode(encoding)))) as file:
            table = CsvTable(file)
            assert table.notes() == [f"cells separated by {expected}", *said]
            found = [row.data for row in table.rows() if isinstance(row, GoodRow)]
        assert found == [dict(zip(names, row, strict=True)) for row in rows]


async def test_how_it_was_read_is_said_and_kept(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.csv", "a;b\n1;é\n".encode("utf-16"))
    report = await import_file(storage, path)
    assert report.notes == ("cells separated by semicolons", "UTF-16-LE")
    source: dict[str, Any] = (await config_of(storage, report.master_job_ids[0]))["import"]["source"]
    assert (source["delimiter"], source["encoding"]) == (";", "utf-16-le")
    assert await rows_of(storage, report.master_job_ids[0]) == [{"a": "1", "b": "é"}]


async def test_a_delimiter_that_is_given_counts(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.csv", b'"a;b"\n1\n')
    report = await import_file(storage, path, delimiter=",")
    assert await rows_of(storage, report.master_job_ids[0]) == [{"a;b": "1"}]


async def said_of(storage: LocalStorage, path: Path, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:
        await import_file(storage, path, **options)
    return str(caught.value)


async def test_rows_of_another_width(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.csv", b'a,b\n"1\n",2\n3\n4,5,6\n7,8\n')
    assert "the row at line 4 of" in (said := await refused(storage, path))
    assert "has 1 cell, but the file has 2 columns: it ends before 'b'" in said
    report = await import_file(storage, path, skip_bad=True)
    assert (report.records, report.skipped) == (2, 2)
    assert "line 5 of" in report.bad_rows[1]


BROKEN = {
    "quote": (b'a,b\n"1"x,2\n', "a.csv' is not CSV in column 'a'"),
    "open": (b'a,b\n1,2\n3,"4\n5,6\n', "a.csv' is not CSV in column 'b'"),
    "place": (b'a,b\n1,2\n3,"4\n5,6\n', "the row at line 3 of"),
    "header": (b'a,"b"x\n1,2\n', "line 1 of"),
    "UTF-16 without a mark": ("a,b\n1,2\n".encode("utf-16-le"), "is not UTF-8, nor UTF-16 with a mark"),
    "half UTF-16": ("a,b\n1,2\n".encode("utf-16")[:-1], "begins with the mark of UTF-16, but is not UTF-16"),
    "Latin": (b"a,b\n1,\xe9\n", "is not UTF-8"),
    "Latin behind Excel's line": (b"sep=,\na,b\n1,\xe9\n", "is not UTF-8"),
    "Latin behind a torn row": (b'a,b\n1,"x"y\n' + b"1,2\n" * 2500 + b"\xe9,1\n", "is not CSV in column 'b'"),
    "one column, perhaps": (b"a;b,c|d\n1\n2\n", "has 1 cell"),
    "one column": (b'"a;b"\n1\n', "Pass delimiter= (--delimiter of import), or write sep= and"),
    "two that fit": (b"name;price,EUR\nA;1,5\nB;2,5\n", "with commas, the first column would be 'name;price'"),
    "unknown separator": (b"a^b\n1^2,3,4\n", "has 3 cells, but the file has 1 column in line 1: if that is a comment"),
    "another separator": (b"a^b\n1^2,3,4\n", "pass delimiter= (--delimiter of import). Nothing was imported"),
    "a comment": (b"# made, by me\na,b,c\n1,2,3\n", "2 columns in line 1: if that is a comment, remove it"),
    "Excel's line alone": (b"sep=;\n", "no column names in line 2"),
    "unnamed": (b"a,,c\n1,2,3\n", "column 2 of"),
    "twice": (b"a,b,a\n1,2,3\n", "two columns of"),
    "header alone": (b"a,b\n", "has no row"),
    "an index of pandas": (b",a\n0,x\n", "or leave it out if it is an index, as pandas does with index=False"),
    "empty": (b"", "no column names"),
    "blank": (b"\n\n", "no column names"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_csv(storage: LocalStorage, tmp_path: Path, name: str):
    content, reason = BROKEN[name]
    is_one_row = any(part in reason for part in ("has 1 cell", "Nothing was imported", "if that is a comment"))
    for skip_bad in (False,) if is_one_row else (False, True):
        assert reason in await refused(storage, written(tmp_path / "a.csv", content), skip_bad=skip_bad)
