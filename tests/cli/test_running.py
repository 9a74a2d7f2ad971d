"""Starting, resuming, retrying and cancelling runs: what reaches the functions, and how the commands end."""

from __future__ import annotations

import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from cli.calling import Ended, call, call_json
from starfish_storage import StatusMasterJob, generation
from starfish_storage.generation import Run, Where

ANSWERS = """
import os
from pydantic import BaseModel

class Answer(BaseModel):
    capital: str

def answer(country: str, context):
    context.log_usage(model="small-1", input_tokens=10, output_tokens=5, cost=0.25)
    print("asked about", country)
    if country in os.environ.get("UNKNOWN", "Atlantis"):
        raise LookupError(f"no {country}")
    return {"capital": country[::-1]}

def accept(data):
    return data["capital"] != "ureP" or "too short"
"""


@pytest.fixture
def work(empty: Path) -> Path:
    """The working directory, with a function and its inputs."""
    (empty / "answers.py").write_text(ANSWERS, "utf-8")
    lines = [json.dumps({"country": country}) for country in ("France", "Japan", "Peru", "Atlantis", "Japan")]
    (empty / "capitals.2026.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (empty / "schema.json").write_text('{"type": "object", "required": ["capital"]}', "utf-8")
    (empty / "config.json").write_text('{"model": "small-1"}', "utf-8")
    return empty


def start(*words: str) -> Ended:
    return call("generate", "answers.py:answer", "capitals.2026.jsonl", "--id", "run-1", "--retries", "0", *words)


class Recorder:
    """Stands in for a function that carries out a run."""

    def __init__(self, status: StatusMasterJob = "completed", error: BaseException | None = None) -> None:
        self.status: StatusMasterJob = status
        self.error = error
        self.given: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    async def __call__(self, storage: object, *given: Any, **options: Any) -> Run:
        self.given, self.options = given, options
        if self.error is not None:
            raise self.error
        return Run(
            master_job_id=options.get("master_job_id") or given[0],
            project_id="p",
            status=self.status,
            records={"completed": 1},
            inputs={"completed": 1},
            attempts=1,
            failed_attempts=0,
            input_tokens=10,
            output_tokens=5,
            cost=0.25,
            stop_reason=None if self.status != "cancelled" else "max_cost",
            store=("--store", "elsewhere"),
        )


HOW = (
    *("--max-concurrency", "7", "--retries", "4", "--timeout", "1.5", "--max-cost", "2", "--schema", "schema.json"),
    *("--accept", "answers.py:accept", "--unique-by", "a", "--unique-by", "b", "--on-bad-input", "skip"),
    *("--progress", "lines", "--reask", "last", "--on-empty", "skip", "--retry-on-misfit"),
    *("--reuse", "project", "--replay", "only", "--on-change", "match", "--strict-code"),
    *("--max-failures", "inf", "--rpm", "60", "--tpm", "9000", "--longest-limit-wait", "30"),
)


def check_how(options: dict[str, Any]) -> None:
    assert options.pop("accept").__name__ == "accept"
    assert options == {
        "max_concurrency": 7,
        "retry": 5,
        "timeout": 1.5,
        "max_cost": 2.0,
        "max_failures": math.inf,
        "rpm": 60.0,
        "tpm": 9000.0,
        "longest_limit_wait": 30.0,
        "output_schema": {"type": "object", "required": ["capital"]},
        "unique_by": ["a", "b"],
        "on_bad_input": "skip",
        "reask": "last",
        "on_change": "match",
        "strict_code": True,
        "reuse": "project",
        "replay": "only",
        "on_empty": "skip",
        "retry_on_misfit": True,
        "progress": "lines",
    }


def test_what_generate_is_given(work: Path, monkeypatch: pytest.MonkeyPatch):
    called = Recorder()
    monkeypatch.setattr(generation, "generate", called)
    words = ("--project", "p", "--name", "n", "--id", "run-1", "--config", "config.json")
    ended = call("generate", "answers.py:answer", "capitals.2026.jsonl", *words, *HOW)
    assert ended.status == 0, ended
    function, inputs = called.given
    assert function.__name__ == "answer"
    assert [one["country"] for one in inputs] == ["France", "Japan", "Peru", "Atlantis", "Japan"]
    given = {name: called.options.pop(name) for name in ("project", "name", "master_job_id", "config", "source")}
    assert given == {
        "project": "p",
        "name": "n",
        "master_job_id": "run-1",
        "config": {"model": "small-1"},
        "source": str(work / "capitals.2026.jsonl"),
    }
    check_how(called.options)


def test_what_generate_is_given_by_default(work: Path, monkeypatch: pytest.MonkeyPatch):
    called = Recorder()
    monkeypatch.setattr(generation, "generate", called)
    assert call("generate", "answers.py:answer", "capitals.2026.jsonl", "-q") == (0, "", "")
    options = called.options
    assert len(options.pop("master_job_id")) == 32
    assert options == {
        "project": "capitals",
        "name": None,
        "config": None,
        "source": str(work / "capitals.2026.jsonl"),
        "progress": "quiet",
    }


def test_a_model_may_be_the_schema(work: Path, monkeypatch: pytest.MonkeyPatch):
    called = Recorder()
    monkeypatch.setattr(generation, "generate", called)
    assert call("generate", "answers.py:answer", "capitals.2026.jsonl", "--schema", "answers.py:Answer").status == 0
    assert called.options["output_schema"].__name__ == "Answer"


def test_what_resume_and_retry_are_given(work: Path, monkeypatch: pytest.MonkeyPatch):
    assert start("-q").status == 1
    resume, retry = Recorder(), Recorder()
    monkeypatch.setattr(generation, "resume", resume)
    monkeypatch.setattr(generation, "retry", retry)
    assert call("resume", "last", "answers.py:answer", "--inputs", "capitals.2026.jsonl", *HOW).status == 0
    run_id, function = resume.given
    assert (run_id, function.__name__) == ("run-1", "answer")
    assert len(list(resume.options.pop("inputs"))) == 5
    check_how(resume.options)
    assert call("resume", "run", "-q").status == 0
    assert (resume.given, resume.options) == (("run-1", None), {"inputs": None, "progress": "quiet"})

    assert call("retry", "last").status == 0
    run_id, function = retry.given
    assert (run_id, function.__name__) == ("run-1", "answer"), "that of the run, as stored"
    assert retry.options == {"where": Where(), "forget": (), "replace": "better", "progress": "auto"}
    job = call_json("errors", "last")[0]["job_id"]
    filters = ("--status", "failed", "--status", "filtered", "--error", "no", "--error-type", "LookupError")
    filters = (*filters, "--forget", "judge", "--forget", "ask", "--replace", "always")
    assert call("retry", "last", *filters, "--input", job, *HOW).status == 0
    assert (retry.options.pop("forget"), retry.options.pop("replace")) == (("judge", "ask"), "always")
    where = retry.options.pop("where")
    assert where == Where(statuses=("failed", "filtered"), error_text="no", error_type="LookupError", job_ids=(job,))
    check_how(retry.options)
    assert call("retry", "last", "--input", "j", "--job", job).status == 0  # the former name, until 1.0
    assert retry.options["where"].job_ids == ("j", job)
    assert "--job" not in call("retry", "--help").out


@pytest.mark.parametrize(
    ("status", "expected", "told"),
    [
        ("completed", 0, ""),
        (
            "completed_with_errors",
            1,
            """What failed: starfish-storage errors run-1 --store {store}
Run failed inputs again: starfish-storage retry run-1 --store {store}
""",
        ),
        (
            "cancelled",
            3,
            "Stopped before the end (max_cost). Continue with: starfish-storage resume run-1 --store {store}\n",
        ),
    ],
)
def test_how_a_run_ends(status: StatusMasterJob, expected: int, told: str, work: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generation, "generate", Recorder(status))
    ended = start("--store", "elsewhere")
    assert ended.status == expected
    assert ended.err == "Run run-1\n" + told.format(store=(work / "elsewhere").as_uri())
    assert ended.out.splitlines()[:4] == ["run\trun-1", "project\tp", f"status\t{status}", "records\t1 completed"]
    assert "elsewhere" not in ended.out


@pytest.mark.parametrize(
    ("error", "expected", "told"), [(KeyboardInterrupt(), 130, "Interrupted"), (SystemExit(143), 143, "Terminated")]
)
def test_how_to_go_on_after_an_interruption(
    error: BaseException, expected: int, told: str, work: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(generation, "generate", Recorder(error=error))
    ended = start("-q")
    assert ended == (expected, "", f"{told}. Continue with: starfish-storage resume run-1\n")


def test_a_run_from_beginning_to_end(work: Path, monkeypatch: pytest.MonkeyPatch):
    ended = start("--unique-by", "capital", "--accept", "answers.py:accept", "--schema", "answers.py:Answer", "--json")
    assert ended.status == 1
    run = json.loads(ended.out)  # what the function prints is not among it
    assert "asked about France\n" in ended.err
    assert (run["master_job_id"], run["project_id"], run["status"]) == ("run-1", "capitals", "completed_with_errors")
    assert run["records"] == {"completed": 2, "filtered": 1, "duplicate": 1, "failed": 1}
    assert (run["attempts"], run["cost"]) == (5, 1.25)
    (group,) = call_json("errors", "last")
    assert (group["kind"], group["inputs"]) == ("LookupError", 1)
    config = call_json("config", "last")
    assert config["inputs"] == str(work / "capitals.2026.jsonl")

    monkeypatch.setenv("UNKNOWN", "-")
    ended = call("retry", "last", "--error-type", "LookupError", "-q")
    assert (ended.status, ended.err) == (0, "")
    assert call_json("runs")[0]["records"] == {"completed": 3, "filtered": 1, "duplicate": 1}
    monkeypatch.delenv("UNKNOWN")
    ended = call("retry", "last", "--status", "completed", "-q", "--json")
    assert (ended.status, json.loads(ended.out)["kept_before"]) == (0, 1)
    assert ended.err.endswith("Run run-1: 1 input failed again; what there was of it before stands\n")
    ended = call("resume", "last")
    assert ended.status == 2
    assert "error: run 'run-1' has already finished as 'completed'" in ended.err
    assert call("cancel", "last").status == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--error-type", "Nope"),
        ("--error", "timeout"),
        ("--input", "nope"),
        ("--status", "filtered", "--error-type", "LookupError"),
    ],
)
def test_a_retry_that_matches_nothing_is_refused(words: tuple[str, ...], work: Path):
    assert start("-q", "--unique-by", "capital").status == 1
    before = call_json("show", "last")
    ended = call("retry", "last", *words, "-q")
    assert (ended.status, ended.out) == (2, "")
    status = "filtered" if "filtered" in words else "failed"
    assert ended.err == (
        f"error: no {status} input of run 'run-1' matches; the errors are: LookupError 1. Nothing was changed.\n"
    )
    now = call_json("show", "last")
    assert now | {"time": before["time"]} == before
    assert call("retry", "last", "--error", "NO atlantis", "--error-type", "LookupError", "-q").status == 1
    assert call_json("show", "last")["run"]["attempts"] == 6


def test_a_run_that_has_failures_tells_how_to_go_on_even_if_quiet(work: Path):
    assert start("-q").err == (
        "What failed: starfish-storage errors run-1\nRun failed inputs again: starfish-storage retry run-1\n"
    )


def test_a_run_that_is_stopped_and_gone_on_with(work: Path):
    ended = start("--max-cost", "0.5", "--max-concurrency", "1", "-q")
    assert ended.status == 3
    assert "Continue with: starfish-storage resume run-1\n" in ended.err
    assert call("watch", "last").status == 3
    ended = call("cancel", "last", "--reason", "wrong prompt")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err == "Run run-1 was cancelled already, and no worker is at it.\n"
    assert call_json("show", "last")["run"]["stop_reason"] == "wrong prompt"
    assert call("resume", "last", "--max-cost", "10", "-q").status == 1
    assert call_json("show", "last")["inputs"] == {"completed": 4, "failed": 1}


def test_a_run_that_stops_for_a_refused_key(work: Path):
    refused = "\nclass AuthenticationError(Exception):\n    status_code = 401\n"
    refused += "\ndef refused(country: str):\n    raise AuthenticationError('wrong key')\n"
    (work / "answers.py").write_text(ANSWERS + refused, "utf-8")
    reason = "failing: AuthenticationError: wrong key"
    words = ("answers.py:refused", "capitals.2026.jsonl", "--id", "run-1", "--max-concurrency", "1", "-q")
    ended = call("generate", *words)
    assert ended.status == 3
    assert ended.err.startswith(f"Stopped before the end ({reason}). Continue with: starfish-storage resume run-1")
    assert call_json("show", "last")["inputs"] == {"pending": 5}
    assert reason in next(line for line in call("show", "last").out.splitlines() if line.startswith("stopped"))
    assert call("resume", "last", "answers.py:answer", "-q").status == 1
    assert call_json("show", "last")["inputs"] == {"completed": 4, "failed": 1}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("nothing:answer", "capitals.2026.jsonl"), "there is no module 'nothing'"),
        (("answers.py:nothing", "capitals.2026.jsonl"), "has no 'nothing'; it has "),
        (("answers.py:answer", "nothing.jsonl"), "Path 'nothing.jsonl' does not exist."),
        (("answers.py:answer", "bad.jsonl"), "line 2 of 'bad.jsonl' is not JSON"),
        (("answers.py:answer", "other.jsonl"), "no field for its parameter 'country'"),
        (("answers.py:answer", "capitals.2026.jsonl", "--config", "bad.json"), "'bad.json' is not JSON, at line 1"),
        (
            ("answers.py:answer", "capitals.2026.jsonl", "--config", "list.json"),
            "must hold a JSON object, not",
        ),
        (("answers.py:answer", "capitals.2026.jsonl", "--schema", "no.json"), "'no.json' does not exist."),
        (("answers.py:answer", "capitals.2026.jsonl", "--schema", "latin.json"), "as JSON: it is not UTF-8."),
        (("answers.py:answer", "empty.jsonl"), "'empty.jsonl' holds no inputs. Nothing was started."),
        (("answers.py:answer", "packed.jsonl"), "'packed.jsonl' ends in the middle of its compressed data"),
        (("answers.py:answer", "pipe"), "'pipe' is not a regular file: give a regular file, since it is read twice."),
        (("answers.py:answer", "capitals.2026.jsonl", "--accept", "answers.py:no"), "has no 'no'"),
        (("answers.py:answer", "capitals.2026.jsonl", "--max-concurrency", "0"), "0 is not in the range"),
        (("answers.py:answer", "capitals.2026.jsonl", "--id", "a/b"), "master_job_id 'a/b' cannot be used"),
    ],
)
def test_nothing_is_started(words: tuple[str, ...], reason: str, work: Path):
    (work / "bad.jsonl").write_text('{"country": "France"}\n{"country": \n', "utf-8")
    (work / "other.jsonl").write_text('{"land": "France"}\n', "utf-8")
    (work / "bad.json").write_text("{", "utf-8")
    (work / "list.json").write_text("[]", "utf-8")
    (work / "latin.json").write_bytes(b'"\xe9"')
    (work / "empty.jsonl").write_text("\n", "utf-8")
    (work / "packed.jsonl").write_bytes(gzip.compress(b'{"country": "Peru"}\n')[:-9])
    os.mkfifo(work / "pipe")
    ended = call("generate", *words, "-q")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert reason in ended.err
    assert "asked about" not in ended.err
    if (work / "store").exists():
        assert call_json("runs") == []


def test_bad_lines_are_skipped_if_that_is_asked_for(work: Path):
    (work / "bad.jsonl").write_text('{"country": "France"}\n{"country": \n{"country": "Peru"}\n', "utf-8")
    ended = call("generate", "answers.py:answer", "bad.jsonl", "--on-bad-input", "skip", "-q")
    assert ended.status == 0
    assert call_json("show", "last")["records"] == {"completed": 2}
