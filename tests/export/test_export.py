"""What every export keeps: what it is of, its order, that it is whole or not there, and what it says of damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.errors import (
    DataLostError,
    InvalidInputError,
    InvalidStatusError,
    NotExportableError,
    NotFoundError,
    StoreDamagedError,
)
from starfish_storage.export import ExportProgress, ExportReport, JsonLines, UnfinishedRun, export, form_of
from starfish_storage.testing.samples import (
    MASTER_JOB,
    PROJECT,
    a_master_job,
    a_project,
    a_record,
    an_execution_job,
    at,
)
from starfish_storage.testing.suites.suite import refused

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def left_beside(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != "store")


async def a_second_job(storage: LocalStorage, master_job_id: str, second: int, **fields: Any) -> None:
    """Save a master job that was created so many seconds after noon, with a record."""
    await storage.log_master_job_start(a_master_job(storage, master_job_id, creation_time=at(second), **fields))
    await storage.log_execution_job_start(an_execution_job(f"job-of-{master_job_id}", master_job_id))
    record = a_record(f"of-{master_job_id}", f"job-of-{master_job_id}", master_job_id=master_job_id, status="completed")
    await storage.save_record(record, {"of": master_job_id})


async def test_records_are_written_oldest_first(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ({"n": number} for number in range(1205)))
    target = tmp_path / "out.jsonl"
    report = await export(storage, target, **ONE)
    assert [line["n"] for line in lines(target)] == list(range(1205))
    size = target.stat().st_size
    left = [UnfinishedRun(MASTER_JOB, "running", 1, 1)]
    assert report == ExportReport(str(target), "jsonl", [MASTER_JOB], records=1205, bytes=size, unfinished=left)
    assert left_beside(tmp_path) == ["out.jsonl"]


async def test_the_same_records_give_the_same_bytes(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ({"n": number, "é": "\u2028"} for number in range(20)), start_time=at(0))
    names = ("a.jsonl", "b.jsonl", "a.jsonl.gz", "b.jsonl.gz", "a.jsonl.zst", "b.jsonl.zst", "a.csv", "b.csv")
    names += ("a.parquet", "b.parquet", "a.arrow", "b.arrow")
    for name in names:
        await export(storage, tmp_path / name, **ONE)
    contents = [(tmp_path / name).read_bytes() for name in names]
    assert contents[::2] == contents[1::2]


async def test_only_what_is_asked_for_is_exported(storage: LocalStorage, tmp_path: Path) -> None:
    for number, status in enumerate(("completed", "failed", "filtered", "duplicate")):
        await storage.save_record(a_record(status, status=status, start_time=at(number)), {"was": status})
    await storage.log_record_metadata(a_record("no-data", status="failed", output_ref=None))
    wanted = {
        ("completed",): ["completed"],
        ("filtered", "failed"): ["failed", "filtered"],
        None: ["completed", "failed", "filtered", "duplicate"],
    }
    for statuses, expected in wanted.items():
        report = await export(storage, tmp_path / "out.jsonl", statuses=statuses, overwrite=True, **ONE)
        assert [line["was"] for line in lines(tmp_path / "out.jsonl")] == expected
        assert report.without_data == (0 if statuses == ("completed",) else 1)
    with refused(InvalidStatusError, "done"):
        await export(storage, tmp_path / "other.jsonl", statuses=["done"], **ONE)
    assert left_beside(tmp_path) == ["out.jsonl"]


async def test_jobs_come_as_given_and_those_of_a_project_oldest_first(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"of": MASTER_JOB}])  # created at 10
    await a_second_job(storage, "newest", 30)
    await a_second_job(storage, "older", 5)
    await storage.save_project(a_project("another"))
    await a_second_job(storage, "elsewhere", 1, project_id="another")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"project_id": PROJECT}, ["older", MASTER_JOB, "newest"]),
        ({"master_job_ids": ["newest", "elsewhere", "newest"]}, ["newest", "elsewhere"]),
        (
            {"master_job_ids": ["elsewhere", "newest"], "project_id": PROJECT},
            ["elsewhere", "newest", "older", MASTER_JOB],
        ),
    ]
    for number, (chosen, expected) in enumerate(cases):
        target = tmp_path / f"{number}.jsonl"
        report = await export(storage, target, **chosen)
        assert [line["of"] for line in lines(target)] == expected == report.master_job_ids


async def test_what_does_not_exist_is_refused(storage: LocalStorage, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    with refused(NotFoundError, "nobody"):
        await export(storage, target, master_job_ids=[MASTER_JOB, "nobody"])
    with refused(NotFoundError, "nothing"):
        await export(storage, target, project_id="nothing")
    with refused(InvalidInputError, "master_job_ids"):
        await export(storage, target)
    with refused(InvalidInputError, "master_job_ids"):
        await export(storage, target, master_job_ids=MASTER_JOB)
    with refused(InvalidInputError, "out.txt"):
        await export(storage, tmp_path / "out.txt", **ONE)
    with refused(InvalidInputError, "does not exist"):
        await export(storage, tmp_path / "nowhere" / "out.jsonl", **ONE)
    (tmp_path / "other").mkdir()
    with refused(InvalidInputError, "is a directory"):
        await export(storage, tmp_path / "other", JsonLines(), **ONE)
    (tmp_path / "other").rmdir()
    assert left_beside(tmp_path) == []


async def test_nothing_records_make_an_empty_file(storage: LocalStorage, tmp_path: Path) -> None:
    assert (await export(storage, tmp_path / "out.jsonl", **ONE)).records == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


async def test_lost_and_damaged_data_ends_it_or_is_left_out(storage: LocalStorage, tmp_path: Path) -> None:
    uids = await save(storage, ({"n": number} for number in range(6)))
    await storage.close()  # everything is in its file then
    await storage.setup()
    files = {path.stem: path for path in (tmp_path / "store" / "data").rglob("*.json")}
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    files[uids[1]].unlink()
    with refused(DataLostError, uids[1]):
        await export(storage, target, overwrite=True, **ONE)
    files[uids[1]].write_text('{"n": 1}')
    files[uids[4]].write_text('{"n": 4')
    with refused(StoreDamagedError, uids[1]):
        await export(storage, target, overwrite=True, **ONE)
    assert target.read_text() == "mine"
    assert left_beside(tmp_path) == ["out.jsonl"]
    report = await export(storage, target, overwrite=True, skip_damaged=True, **ONE)
    assert [line["n"] for line in lines(target)] == [0, 2, 3, 5]
    assert (report.records, report.skipped_records) == (4, 2)
    assert [skipped.record_uid for skipped in report.skipped] == [uids[1], uids[4]]
    assert all("is damaged" in skipped.reason for skipped in report.skipped)
    assert report.to_json()["skipped"][0]["record_uid"] == uids[1]


async def test_data_that_another_program_wrote_is_exported_as_one_line(storage: LocalStorage, tmp_path: Path) -> None:
    foreign = {"a.json": '{\n  "n": 1,\r\n  "é": [1, 2]\n}', "b.json": "[1]", "c.json": '{"n": NaN}'}
    for number, (name, text) in enumerate(foreign.items()):
        path = tmp_path / "store" / "data" / "00" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        record = a_record(f"r{number}", status="completed", start_time=at(number), output_ref=str(path))
        await storage.log_record_metadata(record)
    report = await export(storage, tmp_path / "out.jsonl", skip_damaged=True, **ONE)
    assert (tmp_path / "out.jsonl").read_text("utf-8") == '{"n":1,"é":[1,2]}\n'
    assert [skipped.record_uid for skipped in report.skipped] == ["r1", "r2"]


async def test_progress_counts_to_the_end(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ({"n": number} for number in range(1100)))
    await storage.log_record_metadata(a_record("no-data", status="failed", output_ref=None))
    told: list[ExportProgress] = []
    await export(storage, tmp_path / "out.jsonl", statuses=None, progress=told.append, **ONE)
    assert [progress.done for progress in told] == [500, 1000, 1101]
    assert {progress.total for progress in told} == {1101}


async def test_metadata_stands_under_one_key(storage: LocalStorage, tmp_path: Path) -> None:
    await storage.log_execution_job_start(an_execution_job("job-2", run_config={"q": [1, "é"]}, run_config_hash=None))
    await storage.save_record(a_record("r1", "job-2", status="completed", start_time=at(1.5)), {"n": 1})
    await storage.save_record(a_record("r2", "job-2", status="completed", start_time=at(2)), {})
    await export(storage, tmp_path / "out.jsonl", JsonLines(metadata_key="meta"), **ONE)
    first, second = lines(tmp_path / "out.jsonl")
    assert first["n"] == 1
    end = a_record("r1").end_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert first["meta"] == {
        "uid": "r1",
        "job_id": "job-2",
        "master_job_id": MASTER_JOB,
        "status": "completed",
        "start_time": "2026-01-31T12:00:01.500000Z",
        "end_time": end,
        "error_message": a_record("r1").error_message,
        "input": {"q": [1, "é"]},
        "attempts": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost": 0.0,
        "segment": None,
        "versions": 1,
        "conversions": 0,
        "annotations": 0,
        "verdict": None,
    }
    assert list(second) == ["meta"]


@pytest.mark.parametrize("key", ["metadata", "é", 'a"b', "a\\b"])
async def test_data_that_has_the_key_of_its_metadata_is_refused(
    storage: LocalStorage, tmp_path: Path, key: str
) -> None:
    await save(storage, [{"n": {key: 1}, "text": json.dumps({key: 1})}, {key: 1, "n": "\ud800"}, {"n": 3}])
    form = JsonLines(metadata_key=key)
    with refused(NotExportableError, "r0001"):
        await export(storage, tmp_path / "out.jsonl", form, **ONE)
    report = await export(storage, tmp_path / "out.jsonl", form, skip_damaged=True, **ONE)
    assert [line[key]["uid"] for line in lines(tmp_path / "out.jsonl")] == ["r0000", "r0002"]
    assert [skipped.record_uid for skipped in report.skipped] == ["r0001"]


def test_the_form_is_told_by_the_ending() -> None:
    assert form_of("A.JSONL.GZ") == JsonLines("gzip")
    for name in ("jsonl", "a.gz", "a.json", "", ".jsonl"):
        with refused(InvalidInputError):
            form_of(name)


@pytest.mark.parametrize("key", ["", "\ud800", "a\0b"])
async def test_metadata_needs_a_name(storage: LocalStorage, tmp_path: Path, key: str) -> None:
    await save(storage, [{"n": 1}])
    with refused(InvalidInputError):
        await export(storage, tmp_path / "out.jsonl", JsonLines(metadata_key=key), **ONE)
    assert left_beside(tmp_path) == []
