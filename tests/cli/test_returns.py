"""What functions return, seen from the command line: options about it, what was converted, and checks run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.calling import call, call_json, rows

FUNCTIONS = """
import datetime

def answer(n, context):
    context.log_usage({"input_tokens": 9, "cache_read_input_tokens": 7}, model="small-1", cost=0.25)
    return None if n == 0 else {"n": n, "when": datetime.date(2026, 1, 31), "score": float("nan")}

def broken(data):
    return data["nowhere"]

def mended(data):
    return data["n"] > 1
"""


@pytest.fixture
def work(empty: Path) -> Path:
    """The working directory, with functions and inputs."""
    (empty / "functions.py").write_text(FUNCTIONS, "utf-8")
    (empty / "numbers.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(4)), "utf-8")
    (empty / "schema.json").write_text('{"properties": {"n": {"maximum": 2}}}', "utf-8")
    return empty


def test_checks_are_run_again_over_what_is_stored(work: Path) -> None:
    words = ("--id", "run-1", "--on-empty", "skip", "--accept", "functions.py:broken", "-q")
    ended = call("generate", "functions.py:answer", "numbers.jsonl", *words)
    assert ended.status == 1
    again = "A check itself failed. When it is mended, run it over what is stored, which costs nothing"
    assert f"{again}: starfish-storage retry run-1 --recheck\nRun failed inputs again: " in ended.err
    shown = call_json("show", "run-1")
    assert (shown["records"], shown["conversions"]) == ({"failed": 3}, {"date": 3, "nan": 3})
    assert "conversions" in call("show", "run-1").out
    (group,) = call_json("errors", "run-1")
    assert (group["kind"], group["inputs"]) == ("refused output", 3)

    ended = call("retry", "run-1", "--recheck", "--accept", "functions.py:mended", "--json")
    assert ended.status == 0, ended
    run = json.loads(ended.out)
    assert (run["status"], run["attempts"], run["cost"]) == ("completed", 4, 1.0)
    assert run["records"] == {"completed": 2, "filtered": 1}
    assert run["rechecked"] == {"failed to completed": 2, "failed to filtered": 1}
    ended = call("retry", "run-1", "--recheck", "--accept", "functions.py:mended", "--schema", "schema.json")
    assert ended.status == 1, ended
    assert "1 completed to failed, 2 unchanged" in ended.out
    assert again not in ended.err
    for wrong in (("functions.py:answer",), ("--status", "failed"), ("--error", "x"), ("--forget", "ask")):
        ended = call("retry", "run-1", *wrong, "--recheck")
        assert ended.status == 2
        assert "--recheck calls no function and looks at all outputs" in ended.err


def test_what_an_attempt_used_and_converted_is_shown(work: Path) -> None:
    assert call("generate", "functions.py:answer", "numbers.jsonl", "--id", "run-1", "-q").status == 1
    uid = rows(call("records", "run-1", "--status", "completed").out)[0]["record"]
    (attempt,) = call_json("record", uid)["attempts"]
    assert attempt["usage"][0]["counts"] == {"cached_tokens": 7}
    assert attempt["conversions"] == [
        {"kind": "date", "count": 1, "paths": ["$.when"]},
        {"kind": "nan", "count": 1, "paths": ["$.score"]},
    ]
    text = call("record", uid).out
    assert "cached_tokens 7" in text
    assert "date 1, nan 1" in text
    assert "conversions" in text
    assert call("retry", "run-1", "--status", "completed", "--replace", "always", "-q").status == 1
    ended = call("export", "run-1", "out.jsonl", "--metadata")
    assert ended.status == 0, ended
    about = [json.loads(line)["metadata"] for line in (work / "out.jsonl").read_text().splitlines()]
    found = {one["uid"]: (one["versions"], one["conversions"]) for one in about}
    assert found[uid] == (2, 2)


def test_a_misfit_is_retried_if_the_command_says_so(work: Path) -> None:
    how = ("--schema", "schema.json", "--retries", "1", "-q", "--json")
    given = ("generate", "functions.py:answer", "numbers.jsonl", *how)
    for words, attempts in (((), 4), (("--retry-on-misfit",), 5), (("--no-retry-on-misfit",), 4)):
        run = json.loads(call(*given, *words).out)
        assert (run["attempts"], run["records"]) == (attempts, {"completed": 2, "failed": 2})
