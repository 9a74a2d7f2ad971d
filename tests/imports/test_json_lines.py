"""JSON Lines files become records, row by row, whatever their lines end with and however they are compressed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from imports.reading import config_of, job_of, rows_of
from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidIdError, InvalidInputError
from starfish_storage.imports import ImportProgress, import_file
from starfish_storage.row_files import rows

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS: list[dict[str, Any]] = [{"n": n, "text": f"größer {n}", "deep": {"a": [1.5, None, True]}} for n in range(1203)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def refused(storage: LocalStorage, path: Path, **options: Any) -> str:
    """Return the message with which an import is refused, which has left nothing."""
    with pytest.raises(InvalidInputError) as caught:
        await import_file(storage, path, **options)
    assert await storage.list_master_jobs() == []
    assert await storage.list_projects() == []
    return str(caught.value)


async def test_each_row_is_a_record(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "my answers.v2.jsonl", LINES)
    report = await import_file(storage, path)
    (job_id,) = report.master_job_ids
    assert await rows_of(storage, job_id) == ROWS
    assert (report.records, report.new_records, report.skipped, report.already_imported) == (1203, 1203, 0, False)
    assert (report.source, report.form, report.project_ids) == ("my answers.v2.jsonl", "jsonl", ("my-answers",))
    job = await job_of(storage, job_id)
    assert (job.status, job.name, job.target_record_count) == ("completed", "my answers.v2.jsonl", 1203)
    assert job.completed_record_count == 1203
    assert await storage.count_records_for_master_job(job_id) == {"completed": 1203}
    assert job.summary == {"completed": 1203, "skipped": 0}
    starts = {record.start_time async for record in storage.iter_records(job_id)}
    assert starts == {job.start_time}, "lists and scans go by time, and then by the number in the uid"
    jobs = await storage.list_execution_jobs(job_id)
    assert [(one.status, one.completed_record_count, one.run_config) for one in reversed(jobs)] == [
        ("completed", 500, {"first_row": 1, "last_row": 500}),
        ("completed", 500, {"first_row": 501, "last_row": 1000}),
        ("completed", 203, {"first_row": 1001, "last_row": 1203}),
    ]


async def test_the_configuration_says_where_it_came_from(storage: LocalStorage, tmp_path: Path):
    report = await import_file(storage, written(tmp_path / "a.jsonl", LINES))
    source = {"name": "a.jsonl", "bytes": len(LINES), "sha256": hashlib.sha256(LINES).hexdigest()}
    expected = {"form": "jsonl", "source": source, "rows": 1203, "skipped": 0, "bad_rows": []}
    assert await config_of(storage, report.master_job_ids[0]) == {"import": expected}


async def test_importing_again_adds_nothing(storage: LocalStorage, tmp_path: Path):
    first = await import_file(storage, written(tmp_path / "a.jsonl", LINES))
    for project in (None, "a"):
        again = await import_file(storage, written(tmp_path / "renamed.jsonl", LINES), project_id=project)
        assert (again.already_imported, again.new_records, again.records) == (True, 0, 1203)
        assert again.master_job_ids == first.master_job_ids
        assert again.project_ids == ("a",)
    assert len(await storage.list_projects()) == 1
    changed = await import_file(storage, written(tmp_path / "a.jsonl", LINES + b'{"n":0}\n'))
    assert changed.master_job_ids != first.master_job_ids
    assert (changed.new_records, changed.project_ids) == (1204, ("a",))


async def test_another_project_gets_the_rows_too(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.jsonl", b'{"a":1}\n')
    first = await import_file(storage, path)
    other = await import_file(storage, path, project_id="other")
    assert (other.new_records, other.project_ids) == (1, ("other",))
    assert await rows_of(storage, other.master_job_ids[0]) == [{"a": 1}]
    for project, report in (("other", other), (None, first), ("a", first)):
        again = await import_file(storage, path, project_id=project)
        assert (again.already_imported, again.master_job_ids) == (True, report.master_job_ids)
    await storage.delete_master_job(first.master_job_ids[0])
    assert (await import_file(storage, path, project_id="other")).already_imported
    assert (await import_file(storage, path)).master_job_ids == first.master_job_ids, "as in a store made before"


async def test_two_projects_at_once(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.jsonl", LINES)
    reports = await asyncio.gather(*(import_file(storage, path, project_id=f"p{n}") for n in range(4)))
    assert [report.project_ids for report in reports] == [(f"p{n}",) for n in range(4)]
    for report in reports:
        assert await rows_of(storage, report.master_job_ids[0]) == ROWS


CONVERSATIONS: dict[str, dict[str, Any]] = {
    "openai": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    "alpaca": {"instruction": "Say hi.", "input": "", "output": "Hi"},
    "preferences": {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
}


async def test_conversations_are_recognised_and_kept(storage: LocalStorage, tmp_path: Path):
    for name, row in CONVERSATIONS.items():
        path = written(tmp_path / "a.jsonl", json.dumps(row).encode())
        report = await import_file(storage, path)
        assert [report.conversations, (await import_file(storage, path)).conversations] == [name, name]
        assert (await config_of(storage, report.master_job_ids[0]))["import"]["conversations"] == name
        assert await rows_of(storage, report.master_job_ids[0]) == [row]


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1}\n{"a":2}',
        b'\xef\xbb\xbf{"a":1}\r\n{"a":2}\r\n',
        b'\n  \n{"a": 1}\n\t\n\r\n{"a" :2 }\n\n',
        '\ufeff{"a":1}\n{"a":2}\n'.encode("utf-16-be"),
        gzip.compress('{"a":1}\n{"a":2}\n'.encode("utf-16")),
        gzip.compress(b'{"a":1}\n{"a":2}\n'),
        gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n'),
        zstd.compress(b'{"a":1}\n{"a":2}\n'),
        zstd.compress(b'{"a":1}\n') + zstd.compress(b'{"a":2}\n'),
    ],
    ids=[
        "no line end",
        "mark and CRLF",
        "blank lines",
        "UTF-16",
        "UTF-16 and gzip",
        "gzip",
        "two gzips",
        "zstd",
        "two zstds",
    ],
)
async def test_lines_in_every_form(storage: LocalStorage, tmp_path: Path, content: bytes):
    report = await import_file(storage, written(tmp_path / "a.jsonl", content))
    assert await rows_of(storage, report.master_job_ids[0]) == [{"a": 1}, {"a": 2}]


async def test_values_stay_what_they_are(storage: LocalStorage, tmp_path: Path):
    row = '{"long": 123456789012345678901234567890, "e": 1e400, "lone": "\\ud800", "nul": "\\u0000", "f": 1.0, "": {}}'
    report = await import_file(storage, written(tmp_path / "a.jsonl", row.replace("1e400", "1e40").encode()))
    (found,) = await rows_of(storage, report.master_job_ids[0])
    assert found == json.loads(row.replace("1e400", "1e40"))
    assert isinstance(found["f"], float)


async def test_an_export_with_metadata_is_plain_data(storage: LocalStorage, tmp_path: Path):
    row = {"a": 1, "_record": {"uid": "r1", "status": "failed", "job": {"id": "j"}}}
    report = await import_file(storage, written(tmp_path / "a.jsonl", json.dumps(row).encode()))
    assert await rows_of(storage, report.master_job_ids[0]) == [row]
    assert await storage.count_records_for_master_job(report.master_job_ids[0]) == {"completed": 1}


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b'{"a": qz}', "is not JSON, at column 7"),
    "half a line": (b'{"a": "q', "is not JSON, at column 9"),
    "a line that ends too early": (b'{"a": ', "is not JSON, at column 6"),
    "a list": (b"[1]", "is not a JSON object, but a list"),
    "a number": (b"1", "is not a JSON object, but a number"),
    "null": (b"null", "is not a JSON object, but null"),
    "NaN": (b'{"qz": [NaN]}', "nan is not a JSON number"),
    "infinity": (b'{"a": 1e400}', "inf is not a JSON number"),
    "not UTF-8": (b'{"a": "qz\xff"}', "not UTF-8 at byte 9"),
    "too deep": (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "nested more than 250 levels deep"),
    "far too deep": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deep"),
    "digits": (b'{"a": ' + b"1" * 5000 + b"}", "4300"),
    "too long": (b'{"a": "' + b"x" * 3000 + b'"}', "is longer than"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_row(storage: LocalStorage, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    line, reason = BAD[name]
    if name == "too long":
        monkeypatch.setattr("starfish_storage.row_files.json_lines.MAX_ROW_BYTES", 2000)
    path = written(tmp_path / "a.jsonl", b'{"a": 1}\n\n' + line + b'\n{"a": 2}\n')
    said = await refused(storage, path)
    assert "line 3 of" in said
    assert reason in said
    assert "Nothing was imported: correct it, or skip bad rows (skip_bad=True, --skip-bad)." in said
    assert "qz" not in said.replace("$.qz", "")

    report = await import_file(storage, path, skip_bad=True)
    assert (report.records, report.skipped) == (2, 1)
    assert reason in report.bad_rows[0]
    assert await rows_of(storage, report.master_job_ids[0]) == [{"a": 1}, {"a": 2}]
    again = await import_file(storage, path)
    assert (again.already_imported, again.skipped, again.bad_rows) == (True, 1, report.bad_rows)


@pytest.mark.parametrize("content", [b'{\n "a": 1\n}\n', b'[\n{"a": 1},\n{"a": 2}\n]\n', b'[{"a": 1}]\n'])
async def test_json_over_several_lines_is_no_json_lines(storage: LocalStorage, tmp_path: Path, content: bytes):
    for skip_bad in (False, True):  # a row of one of its lines would be half of it
        said = await refused(storage, written(tmp_path / "a.jsonl", content), skip_bad=skip_bad)
        assert "line 1 of" in said
        assert 'Name the file .json, or read it with form="json" (--from json).' in said


async def test_many_bad_rows_are_counted(storage: LocalStorage, tmp_path: Path):
    content = b"".join(b"x\n" if n % 2 else b'{"a":%d}\n' % n for n in range(1400))
    report = await import_file(storage, written(tmp_path / "a.jsonl", content), skip_bad=True)
    assert (report.records, report.skipped, len(report.bad_rows)) == (700, 700, 10)
    records = [one.record_uid async for one in storage.iter_records(report.master_job_ids[0])]
    assert records[0].endswith("-row-0000001399"), "the uid says which row it was"
    assert await rows_of(storage, report.master_job_ids[0]) == [{"a": n} for n in range(0, 1400, 2)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"], ids=["empty", "blank", "mark"])
async def test_nothing_to_import(storage: LocalStorage, tmp_path: Path, content: bytes):
    assert "has no row" in await refused(storage, written(tmp_path / "a.jsonl", content))


async def test_files_that_cannot_be_read(storage: LocalStorage, tmp_path: Path):
    assert "No such file" in await refused(storage, tmp_path / "none.jsonl")
    (tmp_path / "d.jsonl").mkdir()
    assert "is a directory" in await refused(storage, tmp_path / "d.jsonl")
    os.mkfifo(tmp_path / "p.jsonl")
    assert "not a regular file" in await refused(storage, tmp_path / "p.jsonl")
    assert "cannot infer the form of" in await refused(storage, written(tmp_path / "a.xml", b"{}"))
    assert "cannot infer the form of" in await refused(storage, written(tmp_path / "gz", b"{}"))
    odd: Any = "xml"
    assert "form 'xml'" in await refused(storage, tmp_path / "a.xml", form=odd)
    report = await import_file(storage, tmp_path / "a.xml", "jsonl")
    assert report.records == 1


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
async def test_compressed_files_that_are_damaged(storage: LocalStorage, tmp_path: Path, pack: Any):
    whole = pack(LINES)
    said = await refused(storage, written(tmp_path / "cut.jsonl", whole[: len(whole) // 2]))
    assert "ends in the middle of its compressed data" in said
    half = len(whole) // 2
    said = await refused(storage, written(tmp_path / "bad.jsonl", whole[:half] + b"\xff" * 40 + whole[half:]))
    assert "damaged" in said or "is not" in said
    await refused(storage, written(tmp_path / "bad.jsonl", whole[:half]), skip_bad=True)


async def test_a_file_that_is_changed_meanwhile(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.jsonl", LINES)

    def change(progress: ImportProgress) -> None:
        if progress == ImportProgress("a.jsonl", "checking", len(ROWS), None):
            path.write_bytes(LINES.replace(b'{"n": 0', b'{"n": 7'))

    with pytest.raises(InvalidInputError, match="changed while it was imported"):
        await import_file(storage, path, progress=change)
    (job,) = await storage.list_master_jobs()
    assert job.status == "failed"
    assert (await rows_of(storage, job.master_job_id))[0]["n"] == 7, "the test changes nothing"

    report = await import_file(storage, written(path, LINES))  # as it was in the beginning
    assert report.master_job_ids == (job.master_job_id,)
    assert await rows_of(storage, job.master_job_id) == ROWS
    assert (await job_of(storage, job.master_job_id)).status == "completed"


async def test_a_file_that_is_replaced_meanwhile_is_read_to_its_end(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.jsonl", LINES)

    def replace(progress: ImportProgress) -> None:
        if progress.stage == "importing":
            written(tmp_path / "new", b'{"n": 7}').replace(path)

    report = await import_file(storage, path, progress=replace)
    assert await rows_of(storage, report.master_job_ids[0]) == ROWS


async def test_a_master_job_of_that_id_that_is_no_import(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.jsonl", LINES)
    (job_id,) = (await import_file(storage, path)).master_job_ids
    await storage.save_request_config(storage.generate_request_config_path(job_id), {"model": "m"})
    with pytest.raises(InvalidInputError, match="already exists but was not made by this import"):
        await import_file(storage, path)


async def test_project_name_and_progress(storage: LocalStorage, tmp_path: Path):
    path = written(tmp_path / "a.jsonl", LINES)
    with pytest.raises(InvalidIdError):
        await import_file(storage, path, project_id="a/b")
    assert await storage.list_projects() == []
    seen: list[tuple[str, int, int | None]] = []
    report = await import_file(
        storage, path, project_id="p1", name="mine", progress=lambda one: seen.append((one.stage, one.rows, one.total))
    )
    job = await job_of(storage, report.master_job_ids[0])
    assert (job.project_id, job.name) == ("p1", "mine")
    assert seen[:3] == [("checking", 500, None), ("checking", 1000, None), ("checking", 1203, None)]
    assert seen[-1] == ("importing", 1203, 1203)


def test_the_limit_of_a_row_is_generous():
    assert rows.MAX_ROW_BYTES == 64 * 2**20
