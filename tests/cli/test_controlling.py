"""Stopping workers, priorities, and who did what, from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cli import stores
from cli.calling import call, call_json, rows
from starfish_storage import LocalStorage
from starfish_storage.generation import lease
from starfish_storage.runs import Actor, Worker, this_actor
from starfish_storage.times import utc_now


@pytest.fixture(autouse=True)
def filled(empty: Path) -> Path:
    asyncio.run(stores.make(empty / "store"))
    return empty / "store"


def with_workers(root: Path) -> None:
    """Note a worker of another machine, and one of this that is gone, at a run that has not ended."""

    async def note() -> None:
        async with LocalStorage(root.as_uri()) as storage:
            await storage.update_master_job_status("capitals-1", "running", utc_now())
            who, now = Actor("gen-7f", "ada", "gen-7f", "0.1.0"), utc_now()
            await storage.ledger.save_worker(Worker("alive", "capitals-1", "elsewhere", now, now, who=who), 600)
            gone = lease.process_identity().rpartition("/")[0] + "/0"
            await storage.ledger.save_worker(Worker("gone", "capitals-1", gone, now, now, who=who), 600)

    asyncio.run(note())


def test_a_worker_is_stopped_and_shown(filled: Path) -> None:
    with_workers(filled)
    unknown = call("stop", "nobody")
    assert (unknown.status, unknown.out) == (2, "")
    assert unknown.err == (
        "error: worker 'nobody' does not exist in this store: it has ended, or there never was one; 'show RUN' lists "
        "those at work.\n"
    )
    assert "it has died; other workers and 'resume' take over its inputs" in call("stop", "gone").err
    stopped = call_json("stop", "ali", "--reason", "a new image")
    assert (stopped["worker_id"], stopped["stop_reason"]) == ("alive", "a new image")
    assert stopped["who"] == {"host": "gen-7f", "user": "ada", "pod": "gen-7f", "release": "0.1.0"}
    asked = call("stop", "alive")
    assert asked.err.startswith("Asked worker alive of run capitals-1 to stop. See it stop: starfish-storage ")
    shown = call("show", "capitals-1").out
    assert "ada@gen-7f\t0.1.0\t" in shown
    assert "stops: a new image" in shown
    assert "died" in shown
    (noted,) = call_json("log", "alive")
    assert (noted["action"], noted["kind"], noted["detail"]) == ("stop", "worker", "of run capitals-1: a new image")


def test_a_priority_is_set_and_shown(filled: Path) -> None:
    assert call("priority", "capitals-1", "3").err == "Run capitals-1 has priority 3; it was 1.\n"
    assert call_json("priority", "capitals-1", "3") == {"master_job_id": "capitals-1", "priority": 3, "before": 3}
    assert call_json("show", "capitals-1")["run"]["priority"] == 3
    assert "priority\t3\n" in call("show", "capitals-1").out
    for bad in ("0", "1001", "many"):
        assert call("priority", "capitals-1", bad).status == 2
    assert call("priority", "nowhere", "2").status == 2
    (noted,) = call_json("log", "capitals-1")
    assert (noted["action"], noted["detail"]) == ("priority", "3; it was 1")


def test_a_run_is_given_a_priority(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text("def answer(n):\n    return {'n': n}\n", encoding="utf-8")
    (tmp_path / "asked.jsonl").write_text('{"n": 1}\n', encoding="utf-8")
    words = ["generate", f"{tmp_path}/asked.py:answer", str(tmp_path / "asked.jsonl"), "-q", "--id", "one"]
    assert call(*words, "--limit", "openai", "--rpm", "6000", "--priority", "5").status == 0
    assert call_json("show", "one")["run"]["priority"] == 5
    (limit,) = call_json("limits")
    assert limit["shares"]["one"]["priority"] == 5
    assert rows(call("limits").out)[0]["used by"] == "one 100%"


def test_the_log_says_who_did_what(filled: Path) -> None:
    assert call("log").err == "No actions.\n"
    assert call_json("log") == []
    call("limits", "openai", "--rpm", "600")
    call("drain")
    call("drain", "--end")
    call("delete", "capitals-1", "--yes")
    lines = rows(call("log").out)
    assert [(one["did"], one["to"], one["id"]) for one in lines] == [
        ("delete", "run", "capitals-1"),
        ("end drain", "store", ""),
        ("drain", "store", ""),
        ("limit", "limit", "openai"),
    ]
    assert {one["who"] for one in lines} == {str(this_actor())}
    assert [json.dumps(one["target"]) for one in call_json("log", "--limit", "2")] == ['"capitals-1"', "null"]
