"""A run as a folder: what is in it, what is not, and that it appears whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cli.calling import call
from generation.runs import NEVER
from starfish_storage import LocalStorage, Record, open_storage
from starfish_storage.errors import (
    AlreadyExistsError,
    InvalidInputError,
    MissingExtraError,
    NotFoundError,
    StorageIOError,
)
from starfish_storage.filtering import Sample, filter_records
from starfish_storage.generation import generate
from starfish_storage.publishing import bundle, choosing, record_sheet, shards
from starfish_storage.publishing.signature import Signature, _bits_of
from starfish_storage.uri import path_of_file_uri

from .bundles import contents, records, whole
from .viewing import HOSTILE_FIELD, RUN, make

ALWAYS = {"bundle.css", "bundle.js", "bundle.json", "data", "index.html", "theme.js", "viewer.css", "viewer.js"}


class _Tags(HTMLParser):
    """What the page of a folder asks for; complains about what the policy would refuse."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.policy = ""
        self.files: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert tag not in ("style", "base", "iframe", "img"), tag
        assert not any(name.startswith("on") or name == "style" for name in given), given
        assert tag != "script" or given.get("src"), "a script within the page"
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        self.files |= {given[name] for name in ("src", "href") if given.get(name) and not given[name].startswith("#")}


@pytest.fixture
async def storage(made: str) -> Any:
    async with open_storage(made, read_only=True) as storage:
        yield storage


async def test_a_folder_holds_what_it_shows_and_asks_for_nothing_else(storage: LocalStorage, tmp_path: Path):
    out = tmp_path / "out"
    report = await bundle(storage, RUN, out)
    assert set(os.listdir(out)) == {*ALWAYS, "viewer.svg"}
    assert (report.records, report.of, report.damaged) == (6, 6, 0)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert (report.files, report.bytes) == (len(files), sum(path.stat().st_size for path in files))
    html = (out / "index.html").read_text("utf-8")
    tags = _Tags(html)
    assert all((out / name).is_file() for name in tags.files), tags.files
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in tags.policy
    assert "unsafe" not in tags.policy
    for name in ("bundle.js", "viewer.js", "theme.js", "viewer.css", "bundle.css"):
        assert not re.search(r"https?:|//[a-z]+\.", (out / name).read_text("utf-8")), name
    shown = records(out)
    assert [one.uid for one in shown] == [one.record_uid async for one in storage.iter_records(RUN)][::-1]
    by_n = {json.loads(one.data)["n"]: one for one in shown if one.data is not None}
    assert "<strong>1</strong>" in by_n[1].page
    assert "look_up" in by_n[1].page
    assert by_n[1].line[1:2] + by_n[1].line[4:6] == ["completed", 1, "$0.25"]
    (failed,) = [one for one in shown if one.line[1] == "failed"]
    assert "Where attempt 1 failed" in failed.page
    assert failed.data is None
    assert HOSTILE_FIELD in json.loads(by_n[2].data)  # whatever it is: the script takes it for text
    assert "\x1b" not in whole(out)
    assert "\\x1b[31mred" in by_n[2].page


SECRETS = ("sk-planted0123456789", "hunter2planted", "gpu-7.planted", "ann.planted", "planted-host-7", "/home/planted")


async def _leaky(n: int) -> dict[str, Any]:
    if n == 1:
        raise ValueError(
            "401 from http://ann.planted:hunter2planted@gpu-7.planted:8000/v1?api_key=hunter2planted; "
            "see /home/planted/run.log on planted-host-7, key sk-planted0123456789"
        )
    return {
        "text": f"the key sk-planted0123456789 is in the file {os.getcwd()}/notes.txt",
        "api_key": "sk-planted0123456789",
        "token": "tokenise",
        "path": "/usr/bin/env",
    }


async def test_secrets_and_paths_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "planted-host-7")
    config = {
        "base_url": "http://ann.planted:hunter2planted@gpu-7.planted:8000/v1",
        "headers": {"Authorization": "Bearer hunter2planted"},
        "command": ["python", "/home/planted/ask.py", "--api-key", "hunter2planted"],
        "model": "small-1",
        "out": "/data/planted/out.jsonl on planted-host-7",
    }
    async with open_storage(tmp_path / "store", durability="process", redact_secrets=False) as storage:
        await generate(
            storage, _leaky, [{"n": 0}, {"n": 1}], project="p", master_job_id=RUN, config=config, progress="quiet",
            retry=NEVER,
        )  # fmt: skip
        report = await bundle(storage, RUN, tmp_path / "out", where=["text!=/home/planted/x"])
    found = whole(tmp_path / "out")
    for planted in (*SECRETS, "/data/planted", os.getcwd(), str(tmp_path), "Bearer hunter2", os.path.expanduser("~/")):
        assert planted not in found, planted
    assert report.replaced >= 5
    assert "small-1" in found  # what is no secret stays
    (kept,) = [json.loads(one.data) for one in records(tmp_path / "out") if one.data is not None]
    assert kept == {
        "text": "the key [redacted] is in the file notes.txt",
        "api_key": "[redacted]",
        "token": "tokenise",
        "path": "/usr/bin/env",
    }
    assert "File &#34;test_bundle.py&#34;, line" in found


async def test_records_are_chosen(storage: LocalStorage, tmp_path: Path):
    await bundle(storage, RUN, tmp_path / "failed", statuses=["failed"])
    assert [one.line[1] for one in records(tmp_path / "failed")] == ["failed"]
    assert contents(tmp_path / "failed")["counts"] == [{"failed": 1}]
    await bundle(storage, RUN, tmp_path / "fitting", where=["score>=0.2", "n!=4"])
    assert {json.loads(one.data)["n"] for one in records(tmp_path / "fitting")} == {2, 5}
    assert "that fit score&gt;=0.2 and n!=4" in (tmp_path / "fitting" / "index.html").read_text("utf-8")
    sample = Sample(3, 7)
    drawn = [one.record_uid async for batch in filter_records(storage, RUN, sample=sample) for one in batch]
    for name in ("once", "again"):
        report = await bundle(storage, RUN, tmp_path / name, sample=sample)
        assert (report.records, report.of) == (3, 6)
        assert sorted(one.uid for one in records(tmp_path / name)) == sorted(drawn)
    report = await bundle(storage, RUN, tmp_path / "none", where=["n=77"])
    assert (report.records, records(tmp_path / "none")) == (0, [])


async def test_what_reviewers_say_is_shown_without_their_names(tmp_path: Path):
    store = (tmp_path / "store").as_uri()
    await make(store, 2)
    async with open_storage(store, durability="process") as storage:
        (first, second) = [one.record_uid for one in await storage.get_records_for_master_job(RUN)]
        await storage.annotations.add(first, "verdict", "accepted", author="Planted Name")
        await storage.annotations.add(first, "rating", 4, author="Planted Name")
        await storage.annotations.add(first, "comment", "see <b>/home/planted/x.txt</b>", author="Planted Name")
        await bundle(storage, RUN, tmp_path / "out")
        await bundle(storage, RUN, tmp_path / "accepted", where=["@verdict=accepted"])
    pages = {one.uid: one.page for one in records(tmp_path / "out")}
    assert "accepted" in pages[first]
    assert "see &lt;b&gt;~/x.txt&lt;/b&gt;" in pages[first]
    assert "reviewers" not in pages[second]
    assert "Planted" not in whole(tmp_path / "out")
    assert [one.uid for one in records(tmp_path / "accepted")] == [first]


async def test_only_a_bundle_is_replaced(storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    await bundle(storage, RUN, out, statuses=["failed"])
    with pytest.raises(AlreadyExistsError, match="--overwrite"):
        await bundle(storage, RUN, out)
    (out / "mine.txt").touch()
    with pytest.raises(InvalidInputError, match="contains files that"):
        await bundle(storage, RUN, out, overwrite=True)
    (out / "mine.txt").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(record_sheet, "_data_item", _fails)
        with pytest.raises(StorageIOError):
            await bundle(storage, RUN, out, overwrite=True)
        with pytest.raises(StorageIOError):
            await bundle(storage, RUN, tmp_path / "other")
    assert os.listdir(tmp_path) == ["out"]
    assert len(records(out)) == 1
    await bundle(storage, RUN, out, overwrite=True)
    assert len(records(out)) == 6
    with pytest.raises(NotFoundError):
        await bundle(storage, "none", tmp_path / "none")
    with pytest.raises(InvalidInputError, match="belongs to the store"):
        await bundle(storage, RUN, Path(path_of_file_uri(storage.storage_uri)) / "out")
    with pytest.raises(InvalidInputError, match="no condition"):
        await bundle(storage, RUN, tmp_path / "none", where=["=="])
    assert os.listdir(tmp_path) == ["out"]


def _fails(_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_shards_are_bounded_whatever_a_record_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = (tmp_path / "store").as_uri()
    await make(store, 1)
    async with open_storage(store, durability="process") as storage:
        (job,) = await storage.list_execution_jobs(RUN)
        data = {"long": "x" * 400_000, "huge": "x" * 1_100_000, "lone": "\ud800", "wide": "<" * 300_000}
        for name, value in data.items():
            one = Record(record_uid=name, job_id=job.job_id, master_job_id=RUN, status="filtered")
            await storage.save_record(one, {name: value})
        monkeypatch.setattr(shards, "MOST_BYTES", 300_000)
        monkeypatch.setattr(choosing, "LARGEST", 1_000_000)
        await bundle(storage, RUN, tmp_path / "out")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out" / "data").iterdir()}
    assert max(sizes.values()) < 1 << 20, sizes
    assert len([name for name in sizes if name.startswith("data-")]) > 1
    shown = {one.uid: one for one in records(tmp_path / "out")}
    assert shown["long"].data["beginning"].startswith('{"long":"xxx')
    assert "more characters" in shown["long"].page
    assert shown["huge"].data is None
    assert "1,100,0" in shown["huge"].page
    assert json.loads(shown["lone"].data) == {"lone": "\ud800"}


def test_data_that_is_gone_is_said(tmp_path: Path):
    store = (tmp_path / "store").as_uri()

    async def lose() -> None:
        await make(store, 2, layout="files")
        async with open_storage(store, read_only=True) as storage:
            os.remove(str((await storage.get_records_for_master_job(RUN))[0].output_ref))

    asyncio.run(lose())
    ended = call("view", "--bundle", RUN, str(tmp_path / "out"), "--store", store)
    assert ended.status == 1
    assert "Without their data, which is lost or damaged: 1 record." in ended.out
    (page,) = [one.page for one in records(tmp_path / "out") if "problem" in one.page]
    assert "is lost" in page
    assert str(tmp_path) not in page


async def test_what_it_needs_is_named(storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'starfish-storage\[viewer\]'"):
        await bundle(storage, RUN, tmp_path / "out")


def test_the_command(made: str, tmp_path: Path):
    out = str(tmp_path / "out")
    ended = call("view", "--bundle", "last", out, "--store", made, "--status", "completed", "--sample", "2")
    assert (ended.status, ended.err) == (0, "")
    assert re.fullmatch(rf"{out}: 2 records of 6 in \d+ files, [\d.]+ KB\. Open index\.html in it\.\n", ended.out)
    ended = call("view", "--bundle", RUN, out, "--store", made, "--overwrite", "--json")
    told = json.loads(ended.out)
    assert (told["records"], told["of"], told["master_job_id"], told["path"]) == (6, 6, RUN, out)
    assert "--overwrite" in call("view", "--bundle", RUN, out, "--store", made).err
    for words in (["--sample", "2"], ["--status", "failed"], ["--where", "n=1"], ["--overwrite"], ["--json"]):
        ended = call("view", "--no-open", "--store", made, *words)
        assert ended.status == 2
        assert f"{words[0]} is for --bundle" in ended.err
    file = str(tmp_path / "run.zip")
    assert call("archive", RUN, file, "--store", made).status == 0
    assert call("view", file, "--bundle", RUN, str(tmp_path / "of-archive")).status == 0
    assert len(records(tmp_path / "of-archive")) == 6


def test_a_signature_knows_what_a_shard_holds():
    """Never no for what is there, and seldom yes for what is not."""
    random, one = Random(1), Signature()
    letters = "abcdefgäßñжш北京市😀 "
    texts = ["".join(random.choices(letters, k=40)) for _ in range(50)]
    for text in texts:
        one.add(text.upper())
    packed = b64decode(one.packed() or "")

    def may_hold(piece: str) -> bool:
        return all(
            packed[bit >> 3] >> (bit & 7) & 1 for bit in _bits_of((piece[0], piece[1], piece[2]), len(packed) * 8)
        )

    held = {text.upper().lower()[at : at + 3] for text in texts for at in range(38)}
    assert all(map(may_hold, held))
    others = {"".join(random.choices("xyz123", k=3)) for _ in range(500)}
    assert sum(map(may_hold, others)) < len(others) / 5
    one.add('"\\u001b"')
    assert one.packed() is None
