"""What other tools have stored becomes runs, from what each of them writes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imports.foreign import FROZEN_OR_REAL
from imports.reading import config_of, job_of, rows_of
from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation import retry
from starfish_storage.imports import import_llm, import_path
from starfish_storage.imports.recognising import recognise

Stores = Callable[[str, str], Path]
COUNTRIES = ("France", "Japan", "Peru")


async def inputs_of(storage: Storage, job_id: str) -> list[dict[str, Any]]:
    jobs = await storage.list_execution_jobs(job_id)
    return [job.run_config or {} for job in sorted(jobs, key=lambda one: one.job_id)]


async def used(storage: Storage, job_id: str) -> tuple[int, int, int, float]:
    state = await storage.ledger.get_run(job_id)
    assert state is not None
    return state.attempts, state.input_tokens, state.output_tokens, state.cost


async def assert_again_adds_nothing(storage: Storage, source: Path, job_ids: tuple[str, ...]) -> None:
    again = await import_path(storage, source)
    assert (again.already_imported, again.new_records, again.master_job_ids) == (True, 0, job_ids)


@FROZEN_OR_REAL
async def test_datasets_of_data_designer(storage: LocalStorage, stores_of: Stores, made: str):
    source = stores_of("data-designer", made)
    report = await import_path(storage, source)
    assert (report.form, report.project_ids, report.records) == ("data-designer", ("capitals",), 4)
    (job_id,) = report.master_job_ids
    rows = await rows_of(storage, job_id)
    assert all(f"capital of {row['country']}?" in row["capital"] for row in rows)
    kept = (await config_of(storage, job_id))["data_designer"]
    assert [one["name"] for one in kept["config"]["data_designer"]["columns"]] == ["country", "capital"]
    assert kept["metadata"]["target_num_records"] == 4
    await assert_again_adds_nothing(storage, source / "capitals", report.master_job_ids)


@FROZEN_OR_REAL
async def test_checkpoints_of_sdg_hub(storage: LocalStorage, stores_of: Stores, made: str):
    source = stores_of("sdg-hub", made)
    report = await import_path(storage, source)
    assert (report.form, report.records) == ("sdg-hub", 3)
    (job_id,) = report.master_job_ids
    rows = await rows_of(storage, job_id)
    assert [row["country"] for row in rows] == list(COUNTRIES), "in the order of the checkpoints"
    assert rows[0]["answer"][0]["content"] == "answer to: capital of France?"
    assert (await config_of(storage, job_id))["sdg_hub"]["samples_processed"] == 3
    await assert_again_adds_nothing(storage, source, report.master_job_ids)


@FROZEN_OR_REAL
async def test_logs_of_inspect(storage: LocalStorage, stores_of: Stores, made: str):
    source = stores_of("inspect", made)
    report = await import_path(storage, source)
    assert (report.form, report.project_ids, report.records, report.skipped) == ("inspect", ("inspect",), 12, 0)
    for job_id in report.master_job_ids:  # of .eval and of .json
        job = await job_of(storage, job_id)
        assert (job.status, job.failed_record_count) == ("completed_with_errors", 2)
        inputs = await inputs_of(storage, job_id)
        assert {one["id"] for one in inputs} == {f"s-{country}" for country in COUNTRIES}
        assert {json.dumps(one["metadata"]) for one in inputs} == {json.dumps({"country": one}) for one in COUNTRIES}
        rows = await rows_of(storage, job_id)
        scores = {
            (row["id"], row["epoch"]): {name: one["value"] for name, one in row["scores"].items()} for row in rows
        }
        assert scores == {
            (f"s-{country}", epoch): {"match": "C" if country == "Japan" else "I", "unscored": None}
            for country in ("France", "Japan")
            for epoch in (1, 2)
        }
        assert rows[0]["messages"][-1]["content"].startswith("answer to: capital of ")
        attempts, sent, received, cost = await used(storage, job_id)
        assert (attempts, sent, received) == (6, 44, 28)
        assert cost == pytest.approx((44 * 0.15 + 28 * 0.6) / 1e6)
        (group,) = await storage.ledger.list_errors(job_id)
        assert (group.kind, group.inputs, group.example) == ("ValueError", 2, "ValueError('Peru is not answered')")
        (attempt,) = await storage.ledger.list_attempts(group.job_id)
        assert "raise ValueError" in (attempt.error_traceback or "")
        assert (await storage.ledger.count_conversions(job_id))["nan"] >= 4, "a score that is NaN became null"
        kept = (await config_of(storage, job_id))["inspect"]
        assert (kept["eval"]["task"], kept["eval"]["model"]) == ("capitals", "openai/gpt-4o-mini")
        assert {one["name"] for one in kept["results"]["scores"]} >= {"match"}
    await assert_again_adds_nothing(storage, source, report.master_job_ids)

    def ask(input: str, **_: object) -> dict[str, str]:
        return {"answer": input}

    again = await retry(storage, report.master_job_ids[0], ask, progress="quiet")
    assert (again.status, again.records) == ("completed", {"completed": 6})


@FROZEN_OR_REAL
async def test_samples_of_lm_evaluation_harness(storage: LocalStorage, stores_of: Stores, made: str):
    source = stores_of("lm-eval", made)
    report = await import_path(storage, source)
    assert (report.form, report.project_ids, report.records, report.notes) == ("lm-eval", ("lm-eval",), 6, ())
    (job_id,) = report.master_job_ids
    (file,) = source.rglob("samples_*.jsonl")
    assert await rows_of(storage, job_id) == [json.loads(line) for line in file.read_text().splitlines()]
    inputs = await inputs_of(storage, job_id)
    assert [one["doc"]["country"] for one in inputs] == [*COUNTRIES, *COUNTRIES]
    assert inputs[:3] == inputs[3:], "what two filters make of one answer has one input"
    attempt = (await storage.ledger.list_attempts((await storage.list_execution_jobs(job_id))[0].job_id))[0]
    assert [one.model for one in attempt.usage] == ["gpt-4o-mini"]
    kept = (await config_of(storage, job_id))["lm_eval"]
    assert (kept["task"], kept["results"]["exact_match,none"]) == ("capitals", 0.0)
    await assert_again_adds_nothing(storage, file, report.master_job_ids)


@pytest.mark.parametrize(
    ("made", "name"), [("frozen", "llm"), ("frozen", "llm-0.27"), pytest.param("real", "llm", marks=pytest.mark.slow)]
)
async def test_logs_of_llm(storage: LocalStorage, stores_of: Stores, made: str, name: str):
    source = stores_of(name, made) / "logs.db"
    before = source.read_bytes()
    report = await import_path(storage, source)
    assert (report.form, report.project_ids, report.records) == ("llm", ("llm",), 3)
    assert source.read_bytes() == before
    assert [one.name for one in source.parent.iterdir() if one.name.startswith("logs.db")] == ["logs.db"]
    (job_id,) = report.master_job_ids
    rows = await rows_of(storage, job_id)
    talk = [
        {"role": "system", "content": "Answer."},
        {"role": "user", "content": "capital of France?"},
        {"role": "assistant", "content": "answer to: capital of France?"},
        {"role": "user", "content": "and of Japan?"},
        {"role": "assistant", "content": "answer to: and of Japan?"},
    ]
    assert [row["messages"] for row in rows[:2]] == [talk[:3], talk]
    assert [row["response"] for row in rows[:2]] == [talk[2]["content"], talk[4]["content"]]
    assert rows[0]["conversation_id"] == rows[1]["conversation_id"] != rows[2]["conversation_id"]
    if name == "llm":
        text, picture = rows[2]["messages"][0]["content"]
        assert text == {"type": "text", "text": "A fragment that several prompts share.\nwhat is this?"}
        assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    inputs = await inputs_of(storage, job_id)
    assert [one["messages"] for one in inputs[:2]] == [talk[:2], talk[:4]]
    assert (inputs[2]["model"], inputs[2]["options"]) == ("local", {"temperature": 0.5})
    attempts, sent, received, cost = await used(storage, job_id)
    assert (attempts, sent, received) == (3, 33, 21)
    assert cost == pytest.approx((33 * 0.15 + 21 * 0.6) / 1e6)
    (attempt,) = await storage.ledger.list_attempts((await storage.list_execution_jobs(job_id))[0].job_id)
    assert attempt.usage[0].model == "gpt-4o-mini"
    await assert_again_adds_nothing(storage, source, report.master_job_ids)


def test_each_is_recognised_by_what_is_in_it(stores_of: Stores):
    for tool in ("data-designer", "inspect", "llm", "lm-eval", "sdg-hub"):
        source = stores_of(tool, "frozen")
        assert recognise(str(source / "logs.db" if tool == "llm" else source)) == tool
        if tool == "inspect":
            assert {recognise(str(log)) for log in source.iterdir()} == {"inspect"}
        if tool == "lm-eval":
            assert {recognise(str(file)) for file in source.rglob("samples_*.jsonl")} == {"lm-eval"}


async def test_tool_calls_and_thinking_of_llm(storage: LocalStorage, stores_of: Stores):
    source = stores_of("llm", "frozen") / "logs.db"
    with sqlite3.connect(source) as database:  # of no store, and this process has it open nowhere else
        (tip,) = database.execute("SELECT tip_message_hash FROM turns ORDER BY id LIMIT 1").fetchone()
        parts = (
            ("reasoning", "I look it up. ", None),
            ("tool_call", None, {"name": "look_up", "arguments": {"city": "Rome"}, "tool_call_id": "c1"}),
            ("tool_result", None, {"name": "look_up", "output": "3 million", "tool_call_id": "c1"}),
        )
        for number, (kind, text, payload) in enumerate(parts, 1):
            database.execute(
                "INSERT INTO parts (message_hash, position, type, text, payload) VALUES (?, ?, ?, ?, ?)",
                (tip, number, kind, text, payload and json.dumps(payload)),
            )
    database.close()
    (job_id,) = (await import_llm(storage, str(source))).master_job_ids
    *_, said, result = (await rows_of(storage, job_id))[0]["messages"]
    assert said["thinking"] == "I look it up. "
    assert said["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"city":"Rome"}'}}
    ]
    assert result == {"role": "tool", "content": "3 million", "name": "look_up", "tool_call_id": "c1"}


async def test_what_is_damaged_or_something_else(storage: LocalStorage, stores_of: Stores, tmp_path: Path):
    inspect = stores_of("inspect", "frozen")
    whole, cut = next(inspect.glob("*.eval")), tmp_path / "cut.eval"
    cut.write_bytes(whole.read_bytes()[:5000])
    no_log, text, empty = tmp_path / "no.eval", tmp_path / "no.json", tmp_path / "empty.db"
    with zipfile.ZipFile(no_log, "w") as archive:
        archive.writestr("a.txt", "a")
    text.write_text('{"eval": 1}')
    sqlite3.connect(empty).executescript("CREATE TABLE a (b); INSERT INTO a VALUES (1)").connection.close()
    bad = shutil.copytree(stores_of("lm-eval", "frozen") / "gpt-4o-mini", tmp_path / "bad")
    (samples,) = bad.glob("samples_*.jsonl")
    samples.write_text(samples.read_text() + '{"doc_id": 1}\n{"doc_id"')
    for path, form, reason in (
        (cut, "inspect", r"cut\.eval' is damaged or not whole"),
        (no_log, "inspect", r"no\.eval' is no log of Inspect"),
        (text, "inspect", r"no\.json' is no log of Inspect"),
        (tmp_path / "empty", "inspect", "contains no log of Inspect|cannot be read"),
        (empty, "llm", r"empty\.db' is no database of llm: give what 'llm logs path' prints"),
        (text, "llm", r"no\.json' is no database of SQLite"),
        (samples, "lm-eval", r"line 7 of .*jsonl' is no sample of lm-evaluation-harness: it needs doc_id"),
        (inspect, "lm-eval", r"contains no samples_<task>_<time>\.jsonl"),
        (inspect, "data-designer", "contains no dataset of DataDesigner"),
        (inspect, "sdg-hub", "contains no checkpoints of sdg_hub"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            await import_path(storage, path, form)
    assert await storage.list_master_jobs() == []
    report = await import_path(storage, bad, skip_bad=True)
    assert (report.records, report.skipped) == (6, 2)
    assert "line 8 of" in report.bad_rows[1]
    assert "at column 10" in report.bad_rows[1]
    for results in bad.glob("results_*.json"):
        results.unlink()
    samples.write_text(samples.read_text().splitlines()[0])
    report = await import_path(storage, samples)
    assert report.notes == ("the results of the samples were not found beside them",)
