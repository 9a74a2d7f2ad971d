"""What people say of records in exports of every form."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from starfish_storage import InvalidInputError, LocalStorage, NotExportableError
from starfish_storage.export import ChatMessages, HuggingFace, JsonLines, export, to_arrow
from starfish_storage.filtering import Sample
from starfish_storage.testing.samples import MASTER_JOB, a_record, at, save_run


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    """A store of four records: accepted, accepted and rejected, edited, and without a word."""
    async with LocalStorage(tmp_path / "store") as storage:
        await save_run(storage)
        pairs = [
            (a_record(f"r{number}", start_time=at(number)), {"q": f"what {number}", "a": str(number)})
            for number in range(4)
        ]
        await storage.save_records(pairs)
        notes = storage.annotations
        await notes.add("r0", "verdict", "rejected", author="ann", time=at(0))
        await notes.add("r0", "verdict", "accepted", author="ann", time=at(1))
        await notes.add("r0", "rating", 4, author="bob", time=at(2))
        await notes.add("r0", "label", "=1+1 ☃", author="bob", time=at(3))
        await notes.add("r1", "verdict", "accepted", author="ann", time=at(1))
        await notes.add("r1", "verdict", "rejected", author="bob", time=at(2))
        gone = await notes.add("r2", "verdict", "rejected", author="bob", time=at(2))
        await notes.withdraw(gone.annotation_id, author="bob")
        await notes.add("r2", "verdict", "accepted", author="bob", time=at(3))
        await notes.edit_record("r2", {"q": "edited", "a": "2"}, author="ann")
        yield storage


def time(seconds: int) -> str:
    return f"2026-01-31T12:00:0{seconds}.000000Z"


OF_FIRST = [
    {"kind": "verdict", "verdict": "accepted", "author": "ann", "time": time(1)},
    {"kind": "rating", "rating": 4.0, "author": "bob", "time": time(2)},
    {"kind": "label", "label": "=1+1 ☃", "author": "bob", "time": time(3)},
]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


async def test_only_what_somebody_accepted_and_nobody_rejected(storage: LocalStorage, tmp_path: Path) -> None:
    report = await export(storage, tmp_path / "a.jsonl", master_job_ids=[MASTER_JOB], accepted_only=True)
    assert (report.records, report.accepted_only) == (2, True)
    assert [line["q"] for line in lines(tmp_path / "a.jsonl")] == ["what 0", "edited"]
    table = await to_arrow(storage, master_job_ids=[MASTER_JOB], accepted_only=True)
    assert table.column("q").to_pylist() == ["what 0", "edited"]
    seen = set[str]()
    for seed in range(8):
        name = tmp_path / f"{seed}.jsonl"
        report = await export(storage, name, master_job_ids=[MASTER_JOB], accepted_only=True, sample=Sample(1, seed))
        assert report.records == 1
        seen |= {line["q"] for line in lines(name)}
    assert seen == {"what 0", "edited"}
    fitting = await to_arrow(storage, master_job_ids=[MASTER_JOB], accepted_only=True, where=["a=2"])
    assert fitting.num_rows == 1


async def test_a_part_of_a_run_says_so_everywhere(storage: LocalStorage, tmp_path: Path) -> None:
    which: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}
    part: dict[str, Any] = which | {"accepted_only": True, "where": ["a<=2", "q!=sk-abcdefghijklmnop1234"]}
    part["sample"] = Sample(2, 7)
    told = {"where": ["a<=2", "q!=[redacted]"], "accepted_only": True, "sample": 2, "sample_seed": 7}
    key = b"starfish_storage.chosen"

    report = await export(storage, tmp_path / "a.parquet", **part)
    assert report.where == ["a<=2", "q!=sk-abcdefghijklmnop1234"]
    assert (report.accepted_only, report.sample, report.sample_seed) == (True, 2, 7)
    assert json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[key]) == told
    assert json.loads((await to_arrow(storage, **part)).schema.metadata[key]) == told
    await export(storage, tmp_path / "a", HuggingFace(), **part)
    (file,) = (tmp_path / "a" / "data").iterdir()
    assert json.loads(pq.read_schema(file).metadata[key]) == told
    card = (tmp_path / "a" / "README.md").read_text("utf-8")
    for line in (
        "These are not all records of the runs.",
        "- a\\<=2",
        "- q!=\\[redacted\\]",
        "- somebody has accepted it, and nobody rejected it",
        "- a random sample of 2 of each run, with the seed 7",
    ):
        assert line in card, line

    whole = await export(storage, tmp_path / "b.arrow", **which)
    assert (whole.where, whole.accepted_only, whole.sample, whole.sample_seed) == ((), False, None, None)
    with pa.ipc.open_file(tmp_path / "b.arrow") as opened:
        assert key not in opened.schema.metadata
    await export(storage, tmp_path / "b", HuggingFace(), **which)
    assert "not all records" not in (tmp_path / "b" / "README.md").read_text("utf-8")


async def test_they_stand_beside_the_data_in_every_form(storage: LocalStorage, tmp_path: Path) -> None:
    which: dict[str, Any] = {"master_job_ids": [MASTER_JOB], "with_annotations": True}
    await export(storage, tmp_path / "a.jsonl", **which)
    first, second, edited, bare = lines(tmp_path / "a.jsonl")
    assert (first, bare) == (
        {"q": "what 0", "a": "0", "annotations": OF_FIRST},
        {"q": "what 3", "a": "3", "annotations": []},
    )
    assert [one["verdict"] for one in second["annotations"]] == ["accepted", "rejected"]
    assert [(one["kind"], one.get("version")) for one in edited["annotations"]] == [("verdict", None), ("edit", 1)]
    await export(storage, tmp_path / "a.parquet", **which)
    report = await export(storage, tmp_path / "hf", HuggingFace(), **which)
    assert report.conflicts == []
    for path in (tmp_path / "a.parquet", *(tmp_path / "hf").rglob("*.parquet")):
        column = pq.read_table(path).column("annotations").to_pylist()
        assert [{name: value for name, value in one.items() if value is not None} for one in column[0]] == OF_FIRST
        assert column[3] == []
    card = (tmp_path / "hf" / "README.md").read_text("utf-8")
    assert "2 accepted; 1 conflicting; 1 rated; 1 edited" in card
    about = pq.read_schema(tmp_path / "a.parquet").metadata[b"starfish_storage.annotations"]
    assert json.loads(about)[MASTER_JOB]["accepted"] == 2
    await export(storage, tmp_path / "a.csv", **which)
    with (tmp_path / "a.csv").open(encoding="utf-8-sig") as file:
        assert json.loads(next(csv.DictReader(file))["annotations"]) == OF_FIRST
    chat = ChatMessages(messages=(("user", "q"), ("assistant", "a")), metadata_key="metadata")
    await export(storage, tmp_path / "chat.jsonl", chat, **which)
    told = lines(tmp_path / "chat.jsonl")
    assert (told[0]["annotations"], told[1]["metadata"]["verdict"]) == (OF_FIRST, "conflicting")
    table = await to_arrow(storage, master_job_ids=[MASTER_JOB], with_annotations="said", metadata=True)
    assert table.column("said").to_pylist()[3] == []
    assert [one["annotations"] for one in table.column("metadata").to_pylist()] == [3, 2, 2, 0]


async def test_a_key_that_is_taken_is_refused(storage: LocalStorage, tmp_path: Path) -> None:
    which: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}
    with pytest.raises(NotExportableError, match=r"'r0'.*choose another key for annotations"):
        await export(storage, tmp_path / "a.jsonl", with_annotations="q", **which)
    report = await export(storage, tmp_path / "a.jsonl", with_annotations="q", skip_damaged=True, **which)
    assert (report.records, report.skipped_records) == (0, 4)
    with pytest.raises(NotExportableError):
        await to_arrow(storage, with_annotations="q", **which)
    for key, form in (("about", JsonLines(metadata_key="about")), ("\n", None), ("messages", None)):
        with pytest.raises(InvalidInputError, match="choose another"):
            await export(storage, tmp_path / "b.jsonl", form, with_annotations=key, **which)
    assert not (tmp_path / "b.jsonl").exists()
