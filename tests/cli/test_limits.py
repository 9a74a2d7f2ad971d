"""Limits that runs share, from the command line: shown, set, deleted, and shared by a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli import stores
from cli.calling import call, call_json, rows
from starfish_storage import LocalStorage


@pytest.fixture(autouse=True)
def filled(empty: Path) -> Path:
    asyncio.run(stores.make(empty / "store"))
    return empty / "store"


def test_limits_are_set_shown_and_deleted(filled: Path) -> None:
    assert call("limits").err == "No limits.\n"
    assert call_json("limits") == []
    assert call("limits", "openai", "--rpm", "600").status == 0
    (made,) = call_json("limits", "openai", "--tpm", "90000")
    assert (made["name"], made["rpm"], made["tpm"], made["part"]) == ("openai", 600, 90000, 1)
    [line] = rows(call("limits").out)
    assert list(line.values())[:4] == ["openai", "600", "90000", "100%"]

    async def refuse() -> None:
        async with LocalStorage(filled.as_uri()) as storage:
            await storage.ledger.slow_down("openai", "capitals-1", 60, "429: slow down")

    asyncio.run(refuse())
    [line] = rows(call("limits").out)
    assert (line["rate now"], line["paused for"]) == ("85%", "429: slow down")
    assert call("limits", "openai", "--remove").out == ""
    assert call_json("limits") == []


def test_bad_limits_are_refused_and_change_nothing(filled: Path) -> None:
    for rate in ("0", "-1", "nan", "inf", "many"):
        refused = call("limits", "openai", "--rpm", rate)
        assert refused.status == 2
        assert "rpm" in refused.err
    assert "Name the limit" in call("limits", "--rpm", "5").err
    assert "not both" in call("limits", "openai", "--rpm", "5", "--remove").err
    assert "limit 'nobody' does not exist" in call("limits", "nobody").err
    assert "begins with 'run '" in call("limits", "run x", "--rpm", "5").err
    assert call_json("limits") == []


def test_a_run_shows_the_limit_that_it_has(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text("def answer(n):\n    return {'n': n}\n", encoding="utf-8")
    (tmp_path / "asked.jsonl").write_text('{"n": 1}\n', encoding="utf-8")
    words = ["generate", f"{tmp_path}/asked.py:answer", str(tmp_path / "asked.jsonl"), "-q"]
    refused = call(*words, "--id", "one", "--limit", "openai")
    assert refused.status == 2
    assert "give its rates, such as rpm=600 (--rpm 600)" in refused.err
    assert call(*words, "--id", "one", "--limit", "openai", "--rpm", "6000").status == 0
    assert "openai: 6,000 requests a minute" in call("show", "one").out
    assert call_json("show", "one")["limit"]["rpm"] == 6000
    assert call(*words, "--id", "two", "--tpm", "5000").status == 0
    assert call_json("show", "two")["limit"]["master_job_id"] == "two"
    assert call_json("show", "capitals-1")["limit"] is None
    assert [one["name"] for one in call_json("limits")] == ["openai"], "not those of one run"
