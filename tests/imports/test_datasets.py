"""Datasets of several files become runs, a split each: as `datasets` saves them, as the hub has them, or by names."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from cli.calling import call
from imports.reading import config_of, job_of, rows_of
from starfish_storage import InvalidInputError, LocalStorage
from starfish_storage.export import HuggingFace, export, parse_splits
from starfish_storage.imports import ImportReport, import_path

TRAIN = [{"q": f"größer {n}", "a": n, "tags": [{"t": str(n)}] * (n % 2)} for n in range(7)]
TEST = [{"q": "x", "a": 100, "tags": []}]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def laid_out(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


async def found(storage: LocalStorage, report: ImportReport) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each run by the name of its split."""
    splits: dict[str, list[dict[str, Any]]] = {}
    for job_id in report.master_job_ids:
        source: dict[str, Any] = (await config_of(storage, job_id))["import"]["source"]
        splits[source.get("split", "")] = await rows_of(storage, job_id)
    return splits


async def refused(storage: LocalStorage, path: Path, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        await import_path(storage, path, **options)
    assert await storage.list_master_jobs() == []
    return str(caught.value)


def saved(path: Path) -> Path:
    train, test = datasets.Dataset.from_list(TRAIN), datasets.Dataset.from_list(TEST)
    made = datasets.DatasetDict({"train": train, "test": test})
    made.save_to_disk(path, num_shards={"train": 3, "test": 1})
    return path


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"below/{file.relative_to(folder)}")
    return path


def tarred(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


async def test_what_datasets_has_saved(storage: LocalStorage, tmp_path: Path):
    report = await import_path(storage, saved(tmp_path / "pairs"))
    assert (report.form, report.source, report.records) == ("dataset", "pairs", 8)
    assert report.project_ids == ("pairs",)
    assert await found(storage, report) == {"train": TRAIN, "test": TEST}
    assert [(await job_of(storage, one)).name for one in report.master_job_ids] == ["pairs: train", "pairs: test"]
    assert (await import_path(storage, tmp_path / "pairs")).already_imported
    for packed in (zipped(tmp_path / "pairs", tmp_path / "a.zip"), tarred(tmp_path / "pairs", tmp_path / "a.tar.gz")):
        again = await import_path(storage, packed)
        assert (again.already_imported, again.master_job_ids) == (True, report.master_job_ids), "the same files"
    assert "saved without configurations" in await said(storage, tmp_path / "pairs", config="x")
    one = await import_path(storage, tmp_path / "pairs" / "test")
    assert await found(storage, one) == {"": TEST}
    (tmp_path / "pairs" / "train" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(InvalidInputError, match=r"'train/data-00001-of-00003.arrow' is not there: copy it again"):
        await import_path(storage, tmp_path / "pairs")


async def test_our_own_come_back(storage: LocalStorage, tmp_path: Path):
    rows: list[dict[str, Any]] = [
        *TRAIN,
        {"q": 1, "calls": [{"arguments": {"city": "Rome"}}, {"arguments": {"q": 2**70, "k": {}}}]},
        {"q": 2.5, "calls": []},
        {"q": None},
    ]
    first = await import_path(storage, laid_out(tmp_path, {"a.jsonl": lines(rows)}) / "a.jsonl")
    whole, split = HuggingFace(), HuggingFace(splits=parse_splits("train=0.6,test=0.4"))
    for name, form in (("whole", whole), ("split", split)):
        await export(storage, tmp_path / name, form, master_job_ids=list(first.master_job_ids))
        report = await import_path(storage, tmp_path / name)
        splits = await found(storage, report)
        key: Callable[[dict[str, Any]], str] = lambda row: json.dumps(row, sort_keys=True)
        assert sorted((row for part in splits.values() for row in part), key=key) == sorted(rows, key=key)
        assert set(splits) <= {"train", "test"}


BY_NAMES: dict[str, list[str]] = {
    "beside each other": ["train.jsonl", "test.jsonl"],
    "other words": ["my-training-data.jsonl", "eval_set.jsonl"],
    "directories": ["train/a.jsonl", "test/a.jsonl"],
    "shards": ["data/train-00000-of-00001.jsonl", "data/test-00000-of-00001.jsonl"],
    "below a directory": ["pairs/train.jsonl", "pairs/test.jsonl"],
}


@pytest.mark.parametrize("name", BY_NAMES)
async def test_splits_by_the_names_of_files(storage: LocalStorage, tmp_path: Path, name: str):
    train, test = BY_NAMES[name]
    files = {train: lines(TRAIN), test: lines(TEST), ".hidden/train.jsonl": b"x"}
    report = await import_path(storage, laid_out(tmp_path / "d", files), "dataset")
    assert await found(storage, report) == {"train": TRAIN, "test": TEST}
    only = await import_path(storage, tmp_path / "d", "dataset", split="test")
    assert only.master_job_ids == report.master_job_ids[1:]
    assert "no split 'dev': choose one of 'train', 'test'" in await said(storage, tmp_path / "d", split="dev")


async def test_a_directory_above_names_the_split(storage: LocalStorage, tmp_path: Path):
    report = await import_path(storage, laid_out(tmp_path / "d", {"validation/a.jsonl": lines(TEST)}), "dataset")
    assert await found(storage, report) == {"validation": TEST}


async def said(storage: LocalStorage, path: Path, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        await import_path(storage, path, "dataset", **options)
    return str(caught.value)


async def test_a_shard_that_is_missing_is_named(storage: LocalStorage, tmp_path: Path):
    half = {"data/train-00000-of-00002.jsonl": lines(TRAIN), "data/test-00000-of-00001.jsonl": lines(TEST)}
    place = laid_out(tmp_path / "d", half)
    assert "not complete, as 'data/train-00001-of-00002.jsonl' is not there" in await said(storage, place)


CARD = """---
configs:
- config_name: de
  data_files:
  - split: train
    path: "german/*.jsonl"
- config_name: fr
  data_dir: french
---
# A card
"""


async def test_configurations_are_asked_for(storage: LocalStorage, tmp_path: Path):
    files = {"README.md": CARD.encode(), "german/a.jsonl": lines(TRAIN), "french/a.csv": b"q;a\nx;1\n"}
    path = laid_out(tmp_path / "d", files)
    assert "2 configurations: choose one with config= (--config), of 'de', 'fr'" in await refused(storage, path)
    assert "no configuration 'it': choose one of 'de', 'fr'" in await refused(storage, path, config="it")
    report = await import_path(storage, path, config="de")
    assert await found(storage, report) == {"train": TRAIN}
    french = await import_path(storage, path, config="fr")
    assert await found(storage, french) == {"": [{"q": "x", "a": "1"}]}
    assert french.notes == ("cells separated by semicolons",)
    assert (await job_of(storage, french.master_job_ids[0])).name == "d: fr"


async def test_what_is_no_dataset(storage: LocalStorage, tmp_path: Path):
    odd: dict[str, dict[str, bytes]] = {
        "it is not clear to which split 'a.jsonl'": {"a.jsonl": b"{}\n", "train.jsonl": b"{}\n"},
        "files of different forms": {"a.jsonl": b"{}\n", "b.csv": b"a\n1\n"},
        "no file of rows fits 'x/.*.jsonl', which its card": {
            "README.md": CARD.replace("german", "x").encode(),
            "a.jsonl": b"{}\n",
        },
        "correct the YAML": {"README.md": b"---\nconfigs: [\n---\n", "a.jsonl": b"{}\n"},
        "does not list splits": {"dataset_dict.json": b"{}"},
        "'train/state.json' is not there": {"dataset_dict.json": b'{"splits": ["train"]}'},
        "line 1 of .*test.jsonl": {"train.jsonl": lines(TRAIN), "test.jsonl": b"x\n"},  # and nothing of train is stored
        "no file of rows in it": {"a.txt": b"x"},
        "saved one by one, such as 'one': give one": {"one/state.json": b"{}", "two/state.json": b"{}"},
    }
    for number, (reason, files) in enumerate(odd.items()):
        path = laid_out(tmp_path / str(number), files)
        config = "de" if b"configs:\n" in files.get("README.md", b"") else None
        with pytest.raises(InvalidInputError, match=reason):
            await import_path(storage, path, "dataset", config=config)
        assert await storage.list_master_jobs() == []


def zip_of(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


def tar_of(kind: bytes, name: str, link: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, 0 if link else 3
        archive.addfile(info, io.BytesIO(b"{}\n"))
    return packed.getvalue()


def lying(content: bytes) -> bytes:
    """Return a zip file whose directory says that a member is smaller than it is."""
    at = content.index(b"PK\x01\x02") + 24
    return content[:at] + (5).to_bytes(4, "little") + content[at + 4 :]


def damaged_lzma() -> bytes:
    """Return a zip file whose member begins as LZMA data does, and goes on otherwise."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.jsonl", b"{}\n" * 1000)
    content = bytearray(packed.getvalue())
    begins = 30 + len("a.jsonl") + 9  # behind the properties
    content[begins : begins + 8] = b"\xff" * 8
    return bytes(content)


GOOD = zip_of(**{"a.jsonl": lines(TRAIN)})
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a way out": (zip_of(**{"..__a.jsonl": b"{}\n"}), "leads out of the file"),
    "a way out of a tar": (tar_of(tarfile.REGTYPE, "../../a.jsonl"), "leads out of the file"),
    "an absolute name": (zip_of(**{"__etc__a.jsonl": b"{}\n"}), "leads out of the file"),
    "a way out of Windows": (zip_of(**{"..\\..\\a.jsonl": b"{}\n"}), "leads out of the file"),
    "twice": (zip_of(**{"d__a.jsonl": b"{}\n", "d\\a.jsonl": b"{}\n"}), "it is there twice"),
    "a link": (tar_of(tarfile.SYMTYPE, "a.jsonl", "/etc/passwd"), "it is a link or a device"),
    "a hard link": (tar_of(tarfile.LNKTYPE, "a.jsonl", "b.jsonl"), "it is a link or a device"),
    "a device": (tar_of(tarfile.CHRTYPE, "a.jsonl", "x"), "it is a link or a device"),
    "a bomb": (zip_of(**{"a.jsonl": b" " * (2 << 20)}), "unpack it yourself"),
    "a lie": (lying(GOOD), "is damaged"),
    "no zip": (b"hello", "is damaged"),
    "nothing": (b"", "is damaged"),
    "half a zip": (GOOD[: len(GOOD) // 2], "is damaged"),
    "half a tar": (tar_of(tarfile.REGTYPE, "a.jsonl")[:515], "is damaged"),
    "damaged LZMA": (damaged_lzma(), "it is damaged \\(LZMAError\\)"),
    "a name that is no UTF-8": (
        zip_of(**{"\xe9.jsonl": b"{}\n"}).replace(b"\xc3\xa9.j", b"\xc3\xff.j"),
        "it is damaged",
    ),
    "a run": (zip_of(**{"archive.json": b"{}", "metadata.db": b""}), "'starfish-storage unarchive' takes it out"),
    "a workbook": (zip_of(**{"xl__workbook.xml": b"<a/>"}), "a workbook of a spreadsheet: save it as CSV in UTF-8"),
    "pictures": (zip_of(**{"a.png": b"x"}), "no file of rows in it"),
    "a bad line": (zip_of(**{"a.jsonl": b"{}\nx\n"}), "line 2 of 'a.jsonl' in '.*' is not JSON, at column 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_packed_files_are_distrusted(
    storage: LocalStorage, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    content, reason = HOSTILE[name]
    monkeypatch.setattr("starfish_storage.row_files.packed._ALLOWANCE", 1 << 20)
    before = set(os.listdir(tmp_path))
    path = laid_out(tmp_path, {"d/a.zip": content}) / "d" / "a.zip"
    with pytest.raises(InvalidInputError, match=reason):
        await import_path(storage, path)
    assert await storage.list_master_jobs() == []
    assert set(os.listdir(tmp_path)) - before == {"d"}
    assert os.listdir(tmp_path / "d") == ["a.zip"]


async def test_a_packed_file_alone_is_the_file(storage: LocalStorage, tmp_path: Path):
    plain = await import_path(storage, laid_out(tmp_path, {"a.jsonl": lines(TRAIN)}) / "a.jsonl")
    again = await import_path(storage, laid_out(tmp_path, {"b.zip": GOOD}) / "b.zip")
    assert (again.source, again.form, again.already_imported) == ("b.zip", "jsonl", True)
    assert again.master_job_ids == plain.master_job_ids


def test_the_command_line_takes_them(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    path = laid_out(tmp_path / "d", {"train.csv": b"a|b\n1|2\n", "test.csv": b"a|b\n3|4\n"})
    done = call("import", str(path), "--store", store, "--json", "--split", "test")
    assert json.loads(done.out)["notes"] == ["cells separated by vertical bars"]
    assert json.loads(done.out)["records"] == 1
    shutil.rmtree(path)
    refused = call(
        "import", str(laid_out(tmp_path, {"a.jsonl": b"{}\n"}) / "a.jsonl"), "--store", store, "--config", "x"
    )
    assert (refused.status, "--config is for --from" in refused.err) == (2, True)
