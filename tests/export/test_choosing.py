"""What of the records is exported: with their inputs, some fields, the first ones; and runs that have not ended."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.cli.export_report import TerminalOutput
from starfish_storage.errors import InvalidInputError, NotExportableError
from starfish_storage.export import (
    Csv,
    ExportedRecord,
    HuggingFace,
    JsonLines,
    Parquet,
    RecordSource,
    Refusal,
    UnfinishedRun,
    export,
)
from starfish_storage.export.fields import OnlyFields, parse_fields
from starfish_storage.export.inputs import WithInput
from starfish_storage.export.unfinished import unfinished
from starfish_storage.testing.samples import MASTER_JOB, a_master_job, a_record, an_execution_job, at
from starfish_storage.testing.suites.suite import refused

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def a_row(payload: bytes, given: dict[str, Any] | None = None, annotations: str | None = None) -> ExportedRecord:
    return ExportedRecord("r1", payload, None, annotations, RecordSource("j", "m", "d", given))


@pytest.mark.parametrize(
    ("key", "data", "given", "expected"),
    [
        (None, b'{"a":1}\n', {"q": "x", "n": 2**70}, b'{"q":"x","n":1180591620717411303424,"a":1}\n'),
        (None, b"{}\n", {"q": "\ud800"}, b'{"q":"\\ud800"}\n'),
        (None, b'{"a":1}\n', {}, b'{"a":1}\n'),
        (None, b'{"a":1}\n', None, b'{"a":1}\n'),
        (None, b'{"q":"x","a":1}\n', {"q": "x", "p": None}, b'{"p":null,"q":"x","a":1}\n'),
        (None, b'{"q":"x"}\n', {"q": "x"}, b'{"q":"x"}\n'),
        ("input", b'{"q":"y"}\n', {"q": "x"}, b'{"input":{"q":"x"},"q":"y"}\n'),
        ("input", b"{}\n", {}, b'{"input":{}}\n'),
    ],
)
def test_an_input_stands_before_the_data(key: str | None, data: bytes, given: dict[str, Any] | None, expected: bytes):
    (found,) = WithInput(key, "jsonl").reshape([a_row(data, given)])
    assert isinstance(found, ExportedRecord)
    assert found.payload == expected


@pytest.mark.parametrize(
    ("key", "data", "given", "remedy"),
    [
        (None, b'{"q":1}\n', {"q": 1.0}, "--input-key input"),
        (None, b'{"q":1}\n', {"q": True}, "different values of 'q'"),
        ("q", b'{"q":1}\n', {"q": 1}, "name another with --input-key"),
    ],
)
def test_a_name_that_is_taken_is_refused(key: str | None, data: bytes, given: dict[str, Any], remedy: str):
    (found,) = WithInput(key, "jsonl").reshape([a_row(data, given)])
    assert isinstance(found, Refusal)
    assert remedy in str(found.error)


def test_fields_come_in_the_order_in_which_they_are_named():
    step = OnlyFields(["b.c", "list.1.x", "a", "a.b", "none", "null"])
    found = [
        one.payload
        for one in step.reshape(
            [
                a_row(b'{"a":1,"a.b":2,"b":{"c":-0.0},"list":[0,{"x":[1]}],"null":null}\n'),
                a_row(b'{"a":{"b":3},"list":[],"said":[]}\n', annotations="said"),
            ]
        )
        if isinstance(one, ExportedRecord)
    ]
    assert found == [
        b'{"b.c":-0.0,"list.1.x":[1],"a":1,"a.b":2,"null":null}\n',
        b'{"a":{"b":3},"a.b":3,"said":[]}\n',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "has no name"), ("a,,b", "field 2 has no name"), ("a,b,a", "named twice"), ('"a', "cannot be read")],
)
def test_fields_that_are_none(text: str, said: str):
    with pytest.raises(InvalidInputError, match=said):
        parse_fields(text)


async def test_inputs_fields_and_a_limit_go_together(storage: LocalStorage, tmp_path: Path) -> None:
    await storage.log_execution_job_start(an_execution_job("job-2", run_config={"q": "x"}, run_config_hash=None))
    for number in range(4):
        record = a_record(f"r{number}", "job-2", status="completed", start_time=at(number))
        await storage.save_record(record, {"n": number, "answer": {"text": "y"}})
    target = tmp_path / "out.jsonl"
    wanted = ["answer.text", "in.q", "anser"]
    report = await export(storage, target, with_input="in", fields=wanted, limit=3, **ONE)
    assert target.read_text() == '{"answer.text":"y","in.q":"x"}\n' * 3
    assert (report.records, report.limit, report.fields) == (3, 3, wanted)
    assert report.unknown_fields == {"anser": ["answer"]}
    assert report.unfinished == [UnfinishedRun(MASTER_JOB, "running", 2, 2)]
    for name in ("out.parquet", "out.csv"):
        report = await export(storage, tmp_path / name, with_input=True, fields=["q", "n"], limit=1, **ONE)
        assert report.records == 1
    assert (tmp_path / "out.csv").read_bytes().endswith(b'"q","n"\r\n"x",0\r\n')
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "out.parquet")
    assert table.to_pylist() == [{"q": "x", "n": 0}]
    told = table.schema.metadata
    assert json.loads(told[b"starfish_storage.chosen"]) == {"limit": 1, "fields": ["q", "n"]}
    assert json.loads(told[b"starfish_storage.unfinished"])[0]["inputs_left"] == 2
    await export(storage, tmp_path / "dataset", HuggingFace(), limit=2, **ONE)
    card = (tmp_path / "dataset" / "README.md").read_text()
    assert "run master-1 is not complete: it is running, with 2 of 2 inputs left." in card
    assert "- the first 2" in card
    no_input = await export(storage, tmp_path / "in.jsonl", with_input=True, **ONE)
    assert no_input.without_input == 0


async def test_the_limit_counts_what_is_written(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ({"n": n} | ({"metadata": 1} if n % 3 == 0 else {}) for n in range(600)))
    for limit in (1, 333, 390, 5):
        target = tmp_path / f"{limit}.jsonl"
        report = await export(
            storage, target, JsonLines(metadata_key="metadata"), limit=limit, skip_damaged=True, **ONE
        )
        found = [line["n"] for line in lines(target)]
        assert found == [n for n in range(600) if n % 3][:limit]
        assert report.records == len(found)
    for wrong in (0, -1, True, "5", 1.5):
        with pytest.raises(InvalidInputError, match="number of records, from 1"):
            await export(storage, tmp_path / "wrong.jsonl", limit=wrong, **ONE)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["", "a\nb", "meta", "said"])
async def test_keys_that_an_input_cannot_have(storage: LocalStorage, tmp_path: Path, wrong: str) -> None:
    with refused(InvalidInputError, "choose another"):
        await export(
            storage,
            tmp_path / "x.jsonl",
            JsonLines(metadata_key="meta"),
            with_annotations="said",
            with_input=wrong,
            **ONE,
        )


async def test_what_is_left_of_a_run(storage: LocalStorage):
    cases: list[tuple[str, dict[str, int], str | None]] = [
        ("completed", {"completed": 3, "failed": 2, "cancelled": 1}, None),
        ("failed", {}, None),
        ("pending", {}, "it is pending"),
        (
            "running",
            {"failed": 3, "running": 1, "pending": 2, "cancelled": 7},
            "it is running, with 3 of 6 inputs left",
        ),
        ("cancelled", {"completed": 1, "pending": 1}, "it is cancelled, with 1 of 2 inputs left"),
        ("cancelled", {"completed": 1, "cancelled": 1}, None),
    ]
    for status, inputs, expected in cases:
        found = unfinished(a_master_job(storage, status=status), inputs)
        assert (found and str(found)) == (expected and f"run {MASTER_JOB} is not complete: {expected}")


def test_a_terminal_is_not_steered_by_records(capsys: pytest.CaptureFixture[str]):
    output = TerminalOutput()
    for byte in '{"é":"\x9b2J\u202e"}\n"a\x1b[2J\rb"\r\n'.encode():
        output.write(bytes([byte]))
    output.flush()
    assert capsys.readouterr().out == '{"é":"\\u009b2J\\u202e"}\n"a\\u001b[2J\nb"\n'


async def test_an_option_that_there_is_not_is_told(storage: LocalStorage, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'sampel'"):
        await export(storage, tmp_path / "x.jsonl", sampel=3, **ONE)  # type: ignore[call-arg]


class Reader(io.BytesIO):
    """Leaves after so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: Any) -> int:
        if self.tell() > self._most:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(data)


@pytest.mark.parametrize("form", [JsonLines(), JsonLines("gzip"), Csv(), Parquet()], ids=lambda form: form.name)
async def test_a_stream_gets_what_a_file_gets(storage: LocalStorage, tmp_path: Path, form: JsonLines) -> None:
    await save(storage, ({"n": n, "text": "x" * 600} for n in range(600)))
    stream = io.BytesIO()
    report = await export(storage, stream, form, **ONE)
    await export(storage, tmp_path / "out", form, **ONE)
    assert stream.getvalue() == (tmp_path / "out").read_bytes()
    assert (report.path, report.bytes, report.records) == ("-", len(stream.getvalue()), 600)
    with pytest.raises(BrokenPipeError):
        await export(storage, Reader(-1), form, **ONE)


async def test_a_stream_takes_no_directory_and_no_name(storage: LocalStorage) -> None:
    with refused(InvalidInputError, "name a directory"):
        await export(storage, io.BytesIO(), HuggingFace(), **ONE)
    with refused(InvalidInputError, "sys.stdout.buffer"):
        await export(storage, "-", **ONE)


async def test_a_refusal_keeps_what_the_stream_has(storage: LocalStorage) -> None:
    await save(storage, ({"n": n, "text": "x" * 300} | ({"m": 1} if n == 550 else {}) for n in range(600)))
    stream = io.BytesIO()
    with refused(NotExportableError, "r0550"):
        await export(storage, stream, JsonLines(metadata_key="m"), **ONE)
    assert all(json.loads(line) for line in stream.getvalue().splitlines())
