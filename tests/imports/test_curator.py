"""Working directories of Curator become runs, with all that was asked, answered, used and paid."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imports.foreign import FROZEN, FROZEN_OR_REAL
from imports.reading import config_of, job_of, rows_of
from starfish_storage import LocalStorage, open_storage
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation import retry
from starfish_storage.imports import ImportProgress, import_curator, import_path
from starfish_storage.runs import Worker
from starfish_storage.times import utc_now

COUNTRIES = ("France", "Japan", "refuse", "Peru")


@FROZEN_OR_REAL
async def test_all_runs_of_a_cache(storage: LocalStorage, stores_of: Callable[[str, str], Path], made: str):
    source = stores_of("curator", made)
    report = await import_path(storage, source)
    assert (report.form, report.project_ids, report.records, report.skipped) == ("curator", ("curator",), 10, 0)
    by_records = {
        (await job_of(storage, one)).completed_record_count: await job_of(storage, one) for one in report.master_job_ids
    }
    await check_plain(storage, by_records[3].master_job_id)
    await check_structured(storage, by_records[6].master_job_id)

    again = await import_path(storage, source)
    assert (again.already_imported, again.new_records, again.records) == (True, 0, 10)
    assert again.master_job_ids == report.master_job_ids


async def check_plain(storage: LocalStorage, job_id: str) -> None:
    job = await job_of(storage, job_id)
    assert (job.status, job.target_record_count, job.failed_record_count) == ("completed_with_errors", 4, 1)
    rows = await rows_of(storage, job_id)
    expected = [{"country": one, "capital": f"answer to: capital of {one}?"} for one in COUNTRIES if one != "refuse"]
    assert sorted(rows, key=lambda row: row["country"]) == sorted(expected, key=lambda row: row["country"])
    config = await config_of(storage, job_id)
    assert config["import"]["form"] == "curator"
    assert config["import"]["source"]["name"] == job.name == config["curator"]["run_hash"]
    assert config["curator"]["model_name"] == "gpt-4o-mini"
    assert 'return f"capital of' in config["curator"]["prompt_func"]
    assert "/" not in json.dumps(config["import"])
    state = await storage.ledger.get_run(job_id)
    assert state is not None
    assert (state.attempts, state.failed_attempts, state.input_tokens, state.output_tokens) == (4, 1, 33, 21)
    assert state.cost == pytest.approx(3 * 5.85e-06)
    for execution in await storage.list_execution_jobs(job_id):
        await check_response(storage, execution.job_id, execution.run_config or {})


async def check_response(storage: LocalStorage, job_id: str, request: dict[str, Any]) -> None:
    country = request["original_row"]["country"]
    assert request["messages"] == [{"role": "user", "content": f"capital of {country}?"}]
    assert request["generation_params"] == {"temperature": 0.5}
    job = await storage.get_execution_job(job_id)
    assert job is not None
    (record,) = await storage.list_record_metadata(job.master_job_id, job_id)
    (attempt,) = await storage.ledger.list_attempts(job_id)
    assert attempt.usage[0].model == "gpt-4o-mini"
    assert timedelta(0) <= attempt.end_time - attempt.start_time < timedelta(minutes=5)
    assert record.start_time == attempt.start_time
    if country == "refuse":
        assert (job.status, record.status, record.output_ref) == ("failed", "failed", None)
        assert "refused by the model server" in (record.error_message or "")
        assert "refused by the model server" in (attempt.error_message or "")
    else:
        assert (job.status, record.status) == ("completed", "completed")
        assert (attempt.input_tokens, attempt.output_tokens, attempt.cost) == (11, 7, 5.85e-06)


async def check_structured(storage: LocalStorage, job_id: str) -> None:
    job = await job_of(storage, job_id)
    assert (job.status, job.target_record_count) == ("completed", 3)
    assert job.output_schema["properties"]["capital"]["type"] == "string"
    rows = await rows_of(storage, job_id)
    assert sorted((row["country"], row["number"]) for row in rows) == [
        (country, number) for country in ("France", "Japan", "Peru") for number in range(2)
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The working directory of the run that has a failure, as it was once written."""
    found = next(
        path for path in (FROZEN / "curator").iterdir() if "refuse" in (path / "responses_0.jsonl").read_text()
    )
    return Path(shutil.copytree(found, tmp_path / "run"))


def responses(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "responses_0.jsonl").read_text().splitlines()]


def write(run: Path, number: int, found: list[dict[str, Any]]) -> None:
    (run / f"responses_{number}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))


async def test_times_are_those_of_the_clock_on_the_wall(
    storage: LocalStorage, run: Path, monkeypatch: pytest.MonkeyPatch
):
    (first, *_) = responses(run)
    write(run, 0, [first | {"created_at": "2026-01-31 12:00:00.5", "finished_at": "2026-01-31 12:00:00+00:00"}])
    with monkeypatch.context() as context:
        context.setenv("TZ", "Europe/Berlin")
        time.tzset()
        report = await import_curator(storage, str(run))
    time.tzset()
    (record,) = await storage.get_records_for_master_job(report.master_job_ids[0])
    assert record.start_time == datetime(2026, 1, 31, 11, 0, 0, 500_000, tzinfo=UTC)


async def test_several_files_and_several_responses_to_one_request(storage: LocalStorage, run: Path):
    found = {one["generic_request"]["original_row"]["country"]: one for one in responses(run)}
    failed = found["refuse"]
    answered = {
        **failed,
        "response_errors": None,
        "response_message": "at last",
        "parsed_response_message": [{"country": "refuse", "capital": "at last"}],
    }
    write(run, 0, [failed, found["Japan"]])
    write(run, 2, [answered])
    write(run, 10, [failed, {**found["Japan"], "parsed_response_message": None}])
    report = await import_curator(storage, str(run), project_id="p", name="n")
    (job_id,) = report.master_job_ids
    job = await job_of(storage, job_id)
    assert (job.status, job.project_id, job.name, job.target_record_count) == ("completed", "p", "n", 2)
    assert sorted(await rows_of(storage, job_id), key=str) == [
        {"country": "refuse", "capital": "at last"},
        {"response": "answer to: capital of Japan?"},
    ]
    names = [file["name"] for file in (await config_of(storage, job_id))["import"]["source"]["files"]]
    assert names == ["responses_0.jsonl", "responses_2.jsonl", "responses_10.jsonl"]


async def test_responses_that_were_filtered_or_all_failed(storage: LocalStorage, run: Path):
    found = responses(run)
    write(run, 0, [{**found[0], "parsed_response_message": []}])
    report = await import_curator(storage, str(run))
    assert (report.records, (await job_of(storage, report.master_job_ids[0])).status) == (0, "completed")
    write(run, 0, [one for one in found if one["response_errors"]])
    report = await import_curator(storage, str(run))
    assert (report.records, (await job_of(storage, report.master_job_ids[0])).status) == (1, "failed")
    assert (await import_curator(storage, str(run))).already_imported


async def test_what_failed_is_run_again_by_a_function_of_ours(storage: LocalStorage, run: Path):
    (job_id,) = (await import_curator(storage, str(run))).master_job_ids

    def ask(original_row: dict[str, str], messages: list[dict[str, str]], **_: object) -> dict[str, str]:
        return {"country": original_row["country"], "capital": messages[0]["content"]}

    again = await retry(storage, job_id, ask, progress="quiet")
    assert (again.status, again.records, again.attempts) == ("completed", {"completed": 4}, 5)
    assert {"country": "refuse", "capital": "capital of refuse?"} in await rows_of(storage, job_id)
    report = await import_curator(storage, str(run))
    assert (report.already_imported, report.new_records) == (True, 0)


async def test_secrets_in_requests_do_not_reach_the_disk(storage: LocalStorage, root: Path, run: Path):
    found = responses(run)[0]
    found["generic_request"]["original_row"]["api_key"] = "sk-qzSECRETqz"
    write(run, 0, [found])
    report = await import_curator(storage, str(run))
    (execution,) = await storage.list_execution_jobs(report.master_job_ids[0])
    assert (execution.run_config or {})["original_row"]["api_key"] == "[redacted]"
    assert all(b"qzSECRETqz" not in path.read_bytes() for path in root.rglob("*") if path.is_file())


async def test_the_store_decides_what_is_a_secret_in_a_request(tmp_path: Path, run: Path):
    found = responses(run)[0]
    found["generic_request"]["original_row"]["api_key"] = "no secret"
    write(run, 0, [found])
    async with open_storage(tmp_path / "open", redact_secrets=False) as storage:
        report = await import_curator(storage, str(run))
        (execution,) = await storage.list_execution_jobs(report.master_job_ids[0])
        assert (execution.run_config or {})["original_row"]["api_key"] == "no secret"


BAD: dict[str, Any] = {
    "cut": '{"response_message": "a',
    "no object": "[]",
    "no request": '{"response_message": "a"}',
    "position": {"generic_request": {"model": "m", "original_row_idx": -1}},
    "huge position": {"generic_request": {"model": "m", "original_row_idx": 10**12}},
    "time": {"created_at": "yesterday"},
    "tokens": {"token_usage": {"input": -1, "output": 0}},
    "NaN": {"parsed_response_message": [{"qz": float("nan")}]},
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_responses(storage: LocalStorage, run: Path, name: str):
    good, other, *_ = responses(run)
    bad = BAD[name] if isinstance(BAD[name], str) else json.dumps(other | BAD[name])
    (run / "responses_0.jsonl").write_text(f"{json.dumps(good)}\n{bad}\n")
    with pytest.raises(InvalidInputError, match="line 2 of") as caught:
        await import_curator(storage, str(run))
    assert "Nothing was imported" in str(caught.value)
    assert await storage.list_master_jobs() == []
    report = await import_curator(storage, str(run), skip_bad=True)
    assert (report.records, report.skipped, len(report.bad_rows)) == (1, 1, 1)
    assert ("is not JSON, at column " in report.bad_rows[0]) == (name == "cut")


async def test_a_killed_import_goes_on(storage: LocalStorage, run: Path):
    """What a killed import leaves: inputs that are registered in part, claims, and a worker whose lease expires."""
    found = responses(run)
    many = [
        {**found[0], "generic_request": {**found[0]["generic_request"], "original_row_idx": number}}
        for number in range(450)
    ]
    write(run, 0, many)

    class Killed(BaseException):
        pass

    def kill(progress: ImportProgress) -> None:
        if progress.stage == "importing":
            raise Killed

    with pytest.raises(Killed):
        await import_curator(storage, str(run), progress=kill)
    (job,) = await storage.list_master_jobs()
    assert (job.status, await storage.count_records_for_master_job(job.master_job_id)) == (
        "running",
        {"completed": 200},
    )
    dead = Worker("dead", job.master_job_id, "gone", utc_now() - timedelta(hours=1), utc_now() - timedelta(minutes=1))
    await storage.ledger.save_worker(dead)
    await storage.ledger.claim_inputs(job.master_job_id, "dead", 100, utc_now())

    report = await import_curator(storage, str(run))
    assert (report.records, report.new_records) == (450, 250)
    state = await storage.ledger.get_run(job.master_job_id)
    assert state is not None
    assert state.attempts == 450, "none is paid for twice"
    assert (await job_of(storage, job.master_job_id)).status == "completed"
    assert await storage.ledger.list_workers(job.master_job_id) == []


async def test_responses_that_are_changed_meanwhile(storage: LocalStorage, run: Path):
    whole = (run / "responses_0.jsonl").read_text()

    def change(progress: ImportProgress) -> None:
        if progress.stage == "importing":
            with (run / "responses_0.jsonl").open("a") as file:
                file.write("\n")

    with pytest.raises(InvalidInputError, match="changed while it was imported"):
        await import_curator(storage, str(run), progress=change)
    (job,) = await storage.list_master_jobs()
    assert job.status == "failed"
    (run / "responses_0.jsonl").write_text(whole)
    report = await import_curator(storage, str(run))
    assert report.master_job_ids == (job.master_job_id,)
    assert (report.new_records, (await job_of(storage, job.master_job_id)).status) == (4, "completed_with_errors")


async def test_what_is_no_working_directory(storage: LocalStorage, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for path in ("empty", "none"):
        with pytest.raises(InvalidInputError):
            await import_curator(storage, str(tmp_path / path))
    with pytest.raises(InvalidInputError, match="from what is in it"):
        await import_path(storage, tmp_path / "empty")
    (tmp_path / "empty" / "responses_0.jsonl").write_text("")
    with pytest.raises(InvalidInputError, match="has no answer of a model"):
        await import_path(storage, tmp_path / "empty")
