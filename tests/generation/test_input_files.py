"""Inputs from files of every form, plain and compressed, and from directories of text files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.calling import call
from generation.runs import RUN, start
from starfish_storage import InvalidInputError
from starfish_storage.extras import zstd
from starfish_storage.generation import load_function, read_inputs, resume
from starfish_storage.generation.sources import BadInput
from starfish_storage.interface import Storage

ROWS: list[dict[str, Any]] = [{"n": 1, "q": 'é, "x"'}, {"n": 2, "q": "b\nc"}]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
PACKS: dict[str, Any] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd().compress}


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(path: Path) -> list[Any]:
    return list(read_inputs(path))


def test_every_form_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    csv = b'n,q\r\n1,"\xc3\xa9, ""x"""\r\n2,"b\nc"\r\n'
    array = json.dumps(ROWS, indent=1).encode()
    assert found(tmp_path / "a.parquet") == ROWS
    assert found(written(tmp_path / "a.csv", csv)) == [{"n": str(row["n"]), "q": row["q"]} for row in ROWS]
    for name, content in {"a.json": array, "b.json": LINES, "a.jsonl": LINES, "inputs": LINES, "list": array}.items():
        assert found(written(tmp_path / name, content)) == ROWS, name
        for ending, pack in PACKS.items():
            assert found(written(tmp_path / f"{name}{ending}", pack(content))) == ROWS, name + ending
            assert found(written(tmp_path / f"misnamed {name}", pack(content))) == ROWS, name + ending
    assert read_inputs(tmp_path / "a.parquet").count == 2


def test_a_directory_gives_the_name_and_text_of_each_file(tmp_path: Path) -> None:
    written(tmp_path / "texts/b.txt", "\ufeffé".encode())
    written(tmp_path / "texts/a/z.md", b"")
    written(tmp_path / "texts/.hidden", b"\xff")
    written(tmp_path / "texts/.git/config", b"\xff")
    assert found(tmp_path / "texts") == [{"name": "a/z.md", "text": ""}, {"name": "b.txt", "text": "é"}]
    assert read_inputs(tmp_path / "texts").count == 2
    written(tmp_path / "texts/c.txt", b"\xff")
    with pytest.raises(InvalidInputError, match=r"c.txt' is not text in UTF-8.*Nothing was started"):
        read_inputs(tmp_path / "texts")
    assert isinstance(list(read_inputs(tmp_path / "texts", "skip"))[2], BadInput)


def test_datasets_give_the_rows_of_their_one_split(tmp_path: Path) -> None:
    for name in ("one/data/train-00000-of-00002.parquet", "one/data/train-00001-of-00002.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
    written(tmp_path / "one/README.md", b"# A card")
    assert found(tmp_path / "one") == [*ROWS, *ROWS]
    shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path / "one")
    assert found(tmp_path / "packed.tar.gz") == [*ROWS, *ROWS]
    with zipfile.ZipFile(tmp_path / "lines.zip", "w") as archive:
        archive.writestr("a.jsonl", LINES)
    assert found(tmp_path / "lines.zip") == ROWS
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "one/data/test-00000-of-00001.parquet")
    with pytest.raises(
        InvalidInputError, match="has the splits 'train', 'test': give the directory or the file of one"
    ):
        read_inputs(tmp_path / "one")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[{}, 5]", "item 2 of .* is not a JSON object, but a number"),
        (b'[{"n": NaN}]', "item 1 of .* contains NaN"),
        (b"[{} {}]", "item 1 of .* is followed by neither a comma nor the end"),
        (b"[{}, {]", "item 2 of .* is not JSON, or ends in the middle"),
        (b"[{}, ", "item 2 of .* is not JSON, or ends in the middle"),
        (b"[{}", "item 1 of .* is followed by neither"),
        (b"[{}] {}", "goes on after the end of its JSON array"),
        (b'[{"n": "\xff"}]', "is not UTF-8"),
        (b"[" + b"[" * 100_000, "nested too deeply"),
        (b'[{},\n {"n": 1,\n  oops}]', "item 2 of .*, at line 3, column 3"),
        (b'{"n":\n 1} {"n" 2}', "object 2 of .* is not JSON, or ends in the middle, at line 2, column 10"),
        (b'{"n":\n 1', "object 1 of .* is followed by neither a comma nor the end of the object, at line 2, column 3"),
        (b"hello", "neither a JSON array nor JSON objects"),
        (b'{"a": [1, 2], "b": [1]}', "no columns, as 'b' has 1 item and 'a' 2"),
        (b'{"data": [{"n": 1}]}', "one object with one list of objects, 'data': write the list alone"),
        (b'{"a": [1], "a": [2]}', "two columns of one name"),
        (b'{"a": {"0": 1, "1": 2}, "b": {"0": 1, "2": 2}}', "the columns differ in the key of row 2 of"),
    ],
)
def test_a_broken_array_says_where(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        read_inputs(written(tmp_path / "a.json", content))


def test_an_array_is_read_item_by_item_wherever_its_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Any] = [{"n": n, "text": "é" * (n % 7), "in": [{"x": [n]}] * (n % 3)} for n in range(50)] + [
        12345,
        "text",
    ]
    path = written(
        tmp_path / "a.json", b"\xef\xbb\xbf \n" + json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n "
    )
    for size in (5, 7, 64):
        monkeypatch.setattr("starfish_storage.row_files.json_cursor.BLOCK", size)
        got = list(read_inputs(path, "skip"))
        assert got[:50] == rows[:50]
        assert isinstance(got[50], BadInput)
        assert got[51:] == [{"text": "text"}]
    monkeypatch.setattr("starfish_storage.row_files.json_cursor.MAX_ROW_BYTES", 1000)
    with pytest.raises(InvalidInputError, match=r"item 2 of .* is longer than"):
        read_inputs(written(tmp_path / "long.json", json.dumps([{}, {"n": "x" * 5000}, {}]).encode()))
    assert found(written(tmp_path / "none.json", b" [ ] ")) == []


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    refused = {
        "none.jsonl": (None, "No such file"),
        "a.txt": (b"hello", "cannot infer the form of"),
        "a.csv": (b"", "has no column names"),
        "a.parquet": (b"PAR1", "is not a Parquet file"),
        "a.jsonl.gz": (gzip.compress(LINES)[:-9], "ends in the middle of its compressed data"),
        "a.jsonl.xz": (lzma.compress(LINES)[:-9], "incomplete|damaged"),
        "b.jsonl.xz": (b"\xfd7zXZ\x00" + b"x" * 50, "damaged"),
        "a.jsonl.bz2": (b"BZh9" + b"x" * 50, "damaged|cannot be read"),
    }
    for name, (content, reason) in refused.items():
        if content is not None:
            written(tmp_path / name, content)
        with pytest.raises(InvalidInputError, match=reason):
            read_inputs(tmp_path / name)


async def test_resume_reads_any_of_them_again(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.json.gz", gzip.compress(json.dumps(ROWS).encode()))
    written(tmp_path / "texts/a.txt", b"A")
    for number, name in enumerate(("a.json.gz", "texts")):
        with monkeypatch.context() as patched:

            async def killed(_id: str) -> int:
                raise SystemExit

            patched.setattr(storage.ledger, "complete_inputs", killed)
            with pytest.raises(SystemExit):
                await start(storage, lambda row: row, read_inputs(name), master_job_id=f"r{number}")
        monkeypatch.chdir("/")
        run = await resume(storage, f"r{number}", lambda row: row, progress="quiet")
        assert run.status == "completed"
        monkeypatch.chdir(tmp_path)


def echo(row: dict[str, Any]) -> dict[str, Any]:
    return row


def test_the_command_line_takes_them(tmp_path: Path) -> None:
    store, function = str(tmp_path / "store"), f"{__file__}:echo"
    assert load_function(function) is not None
    written(tmp_path / "a.json", json.dumps(ROWS).encode())
    written(tmp_path / "texts/a.txt", b"A")
    written(tmp_path / "key.jsonl", json.dumps({"token": "sk-0123456789"}).encode())
    for name in ("a.json", "texts"):
        done = call("generate", function, str(tmp_path / name), "--store", store, "--json", "--id", RUN + name[0])
        assert (done.status, json.loads(done.out)["status"]) == (0, "completed")
    refused = call("generate", function, str(tmp_path / "key.jsonl"), "--store", store)
    assert (refused.status, "--allow-secrets" in refused.err) == (2, True)
    done = call("generate", function, str(tmp_path / "key.jsonl"), "--store", store, "-q", "--allow-secrets")
    assert done.status == 0
