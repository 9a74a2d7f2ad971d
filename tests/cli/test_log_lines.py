"""``--log-format json``: what commands say on stderr, an object a line; and the attributes of the library's records."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli import stores
from cli.calling import Ended, call
from starfish_storage import open_storage, telemetry
from starfish_storage.generation import generate

PROGRAM = """\
import warnings


def answer(n, context):
    context.log_usage(model="small", input_tokens=3, output_tokens=2, cost=0.25)
    if n == 2:
        raise ValueError("no")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("theirs\\nof two lines")
    return {"n": n}
"""
FIELDS = ["time", "level", "event", "run", "worker", "text"]


@pytest.fixture
def program(empty: Path) -> Path:
    (empty / "program.py").write_text(PROGRAM, encoding="utf-8")
    (empty / "inputs.jsonl").write_text('{"n": 1}\n{"n": 2}\n', encoding="utf-8")
    return empty


def lines(ended: Ended) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in ended.err.splitlines()]
    for one in found:
        assert list(one)[: len(FIELDS)] == FIELDS
        assert datetime.fromisoformat(one["time"]).tzinfo == UTC
        assert one["level"] in ("info", "warning", "error")
    return found


def test_a_run_says_everything_as_objects(program: Path) -> None:
    words = ("generate", "program:answer", "inputs.jsonl", "--id", "r", "--retries", "0", "--json")
    ended = call("--log-format", "json", *words)
    assert (ended.status, json.loads(ended.out)["cost"]) == (1, 0.5)
    said = lines(ended)
    assert {one["run"] for one in said} == {"r"}
    first, *_, last = [one for one in said if one["event"] == "progress"]
    assert (first["progress"]["done"], last["progress"]["done"], last["progress"]["cost"]) == (0, 2, 0.5)
    assert first["worker"] == last["worker"] is not None
    assert last["text"].startswith("r: 2/2 inputs")
    (warning,) = [one for one in said if one["event"] == "warning"]
    assert (warning["level"], warning["category"]) == ("warning", "UserWarning")
    assert warning["text"] == "theirs\nof two lines"
    assert "What failed: starfish-storage errors r" in [one["text"] for one in said if one["event"] == "notice"]
    # Changed code is warned of, once.
    (program / "program.py").write_text(PROGRAM.replace("{", "{'m': 0, "), encoding="utf-8")
    again = call("retry", "r", "--log-format", "json", "--retries", "0", "-q")
    (warned,) = [one for one in lines(again) if one["level"] == "warning" and "changed code" in one["text"]]
    assert warned["logger"] == "starfish_storage.generation.changes"


def test_errors_and_logs_are_objects(program: Path) -> None:
    refused = call("runs", environment={"STARFISH_STORAGE_LOG_FORMAT": "json"})
    (error,) = lines(refused)
    assert (refused.status, error["level"], error["event"], error["code"]) == (2, "error", "error", "store_open")
    (usage,) = lines(call("--log-format", "json", "runs", "--limit", "many"))
    assert "'many' is not a valid" in usage["text"]
    assert call("runs").err.startswith("error: "), "the next command writes for people again"
    assert "'xml' is not one of" in call("--log-format", "xml", "runs").err


def test_a_report_beside_records_is_one_object(here: Path) -> None:
    ended = call("--log-format", "json", "export", stores.ENDED, "-", "--json")
    assert [json.loads(line) for line in ended.out.splitlines()]
    (report,) = [one for one in lines(ended) if one["event"] == "report"]
    assert report["report"]["records"] == len(ended.out.splitlines())


async def test_records_of_the_library_say_what_they_are_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "starfish_storage"):
        async with open_storage(tmp_path / "store") as storage:
            ended = await generate(storage, lambda n: {"n": n}, [{"n": 1}], project="p", progress="log")
    records = [record for record in caplog.records if record.name.startswith("starfish_storage")]
    formatter = logging.Formatter("%(event)s %(run)s %(worker)s")
    assert {formatter.format(one).split()[:2][-1] for one in records if vars(one)["event"] == "progress"} == {
        ended.master_job_id
    }
    *_, last = [vars(record)["progress"] for record in records if vars(record)["event"] == "progress"]
    assert (last.done, last.total) == (1, 1)


def test_every_logger_adds_what_its_records_are_about() -> None:
    sources = Path(telemetry.__file__).parents[1]
    made = {str(path.relative_to(sources)) for path in sources.rglob("*.py") if "getLogger(" in path.read_text("utf-8")}
    assert made == {"__init__.py", "cli/log_lines.py", "telemetry/logs.py"}
