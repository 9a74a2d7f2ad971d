"""What was asked and answered for an input, and why models were asked, as people and programs read it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call, call_json, in_a_terminal, rows
from cli.stores import ENDED, at
from starfish_storage import LocalStorage
from starfish_storage.runs import CallNote, Step, StepSource, Usage
from starfish_storage.runs.calls import notes_text
from starfish_storage.runs.exchanges import CallRequest, CallResponse

URL = "https://api.example.com/v1/chat/completions"
NAME = "POST api.example.com/v1/chat/completions"
QUESTION = {"role": "user", "content": "What is the capital of France? " + "Please explain at length. " * 6}
CALLS_TOOL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
FOUND = {"role": "tool", "content": "Paris\x1b[2J, since 987."}
SOURCE = StepSource("run-0", "job-0", 1, 1, 0.5)
ANSWER = {"role": "assistant", "content": "It is Paris." + " Very much so." * 200}


def request_of(second: float, messages: list[dict[str, Any]], answer: object, job_id: str, **fields: Any) -> Step:
    request = CallRequest("POST", URL, {"model": "small-1", "temperature": 0.3, "messages": messages})
    body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    media_type = "text/plain" if isinstance(answer, str) else "application/json"
    known: dict[str, Any] = {"attempt": 1, "usage": (Usage("small-1", 12, 5, 0.25),), "request": request.packed()}
    return Step(
        job_id,
        NAME,
        CallResponse(200, media_type, body).to_result(),
        saved_when=at(second + 1.5),
        asked_when=at(second),
        request_key=request.key,
        **(known | fields),
    )


async def _ask(root: Path) -> str:
    async with LocalStorage(root.as_uri()) as storage:
        jobs = await storage.list_execution_jobs(ENDED)
        job_id = next(job.job_id for job in jobs if job.run_config == {"country": "Peru"})
        for step in (
            request_of(3, [QUESTION, CALLS_TOOL, FOUND], {"choices": [{"message": ANSWER}]}, job_id),
            request_of(1, [QUESTION], {"choices": [{"message": CALLS_TOOL}]}, job_id),
            request_of(5, [QUESTION], "no JSON", job_id, attempt=2, status="rejected", reason="ValueError after it"),
            request_of(6, [FOUND], "no JSON", job_id, attempt=2, request=None, reused_from=SOURCE),
        ):
            await storage.ledger.save_step(step)
        return job_id


@pytest.fixture
def job_id(here: Path) -> str:
    return asyncio.run(_ask(here / "store"))


def test_the_conversation_of_an_input_in_order(job_id: str):
    text = call("calls", job_id).out
    titles = [line for line in text.splitlines() if line.startswith("# ")]
    assert titles == [f"# {n}. {name}" for n, name in enumerate([NAME] * 4, 1)]
    first, second, third, last = text.split(NAME)[1:]
    assert "seconds\t1.5\n" in first
    assert "tokens\t12 in, 5 out\n" in first
    assert "model\tsmall-1\n" in first
    assert "\nuser:\n  What is the capital of France? Please explain" in first
    assert "\nassistant:\n  calls look({})\n" in first
    assert "What is the capital" not in second  # it stands above
    assert "… 2 messages as above (--full shows all)\n\ntool:\n  Paris\\x1b[2J, since 987.\n" in second
    assert "more characters; --full shows all)" in " ".join(second.split())
    assert "status\trejected: ValueError after it\n" in third
    assert '\nresponse:\n"no JSON"\n' in third
    assert "reused from\tinput job-0 of run run-0\nsaved\t$0.50\n" in last
    assert max(map(len, first.splitlines())) <= 80
    full = call("calls", job_id, "--full").out
    assert full.count("What is the capital") == 3
    assert "--full" not in full


def test_the_calls_of_a_record_are_those_of_its_input(job_id: str, here: Path):
    uid = next(one["record_uid"] for one in call_json("records", ENDED) if one["job_id"] == job_id)
    assert call("calls", uid) == call("calls", job_id)
    status, shown = in_a_terminal("calls", uid, directory=here, COLUMNS="80")
    assert status == 0
    assert "What is the capital of France?" in shown


def test_calls_for_programs(job_id: str):
    first, second, third, last = call_json("calls", job_id)
    assert first["request"]["messages"] == [QUESTION]
    assert first["response"] == {"choices": [{"message": CALLS_TOOL}]}
    assert (first["http_status"], first["media_type"], first["url"]) == (200, "application/json", URL)
    assert (first["seconds"], first["asked_when"]) == (1.5, "2026-01-31T12:00:01.000000Z")
    assert second["request"]["messages"] == [QUESTION, CALLS_TOOL, FOUND]
    assert (third["status"], third["response"]) == ("rejected", "no JSON")
    assert (last["request"], last["seconds"]) == (None, None)
    assert last["reused_from"] == {"master_job_id": "run-0", "job_id": "job-0", "call": 1, "reply": 1, "cost": 0.5}
    assert {"result", "request_key"} - set(first) == {"result"}


@pytest.mark.usefixtures("here")
def test_steps_that_were_named_are_calls_too():
    uid = call_json("records", ENDED, "--status", "completed")[-1]["record_uid"]
    (step,) = call_json("calls", uid)
    assert (step["name"], step["response"], step["http_status"]) == ("ask", "Paris", None)
    assert '\nresponse:\n"Paris"\n' in call("calls", uid).out


@pytest.mark.usefixtures("here")
def test_nothing_to_show():
    record = call_json("records", "sums-1")[0]["record_uid"]
    assert call("calls", record).err == "No recorded calls or paid steps.\n"
    missing = call("calls", "none")
    assert (missing.status, missing.out) == (2, "")
    assert "record or input 'none'" in missing.err


def test_replies_are_shown_unpacked(job_id: str):
    for words in (("show", job_id), ("steps", ENDED, "--input", job_id)):
        shown = call(*words).out
        assert '"content": "It is Paris.' in shown
        assert '"body"' not in shown


def test_why_models_were_asked(job_id: str):
    text = call("explain", ENDED).out
    assert "asked\t3\n" in text
    (title, *table) = text.split("\n# ")[1].splitlines()
    assert title == "Why models were asked"
    found = {one["differs in"]: one for one in rows("\n".join(table))}
    assert found["no request like it is stored"]["requests"] == "2"
    assert found["the same request, whose answer an earlier attempt has"]["input"] == job_id
    explained = call_json("explain", ENDED)
    assert (explained["asked"], explained["cost"], len(explained["reasons"])) == (3, 0.75, 2)
    assert call("explain", "none").status == 2


def test_what_was_not_kept_is_counted_by_what_came_of_it():
    notes = [CallNote(NAME, "a", "429", "slow down"), *(CallNote(NAME, "", "left", f"{n} bytes", n) for n in (1, 2))]
    assert notes_text(notes, 3) == f"3 x left: {NAME}; 1 x 429: {NAME}"
    assert notes_text(notes, 1) == f"3 x left: {NAME}"
    assert notes_text([], 3) is None
