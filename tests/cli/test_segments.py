"""How the segments of a run are shown: alike ones as one line, and of many the newest."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call, call_json, in_a_terminal, rows
from starfish_storage import generate, open_storage


def answer(n: int) -> dict[str, Any]:
    return {"n": n}


def identity(temperature: float, host: str) -> dict[str, Any]:
    git = {"commit": "1a2b3c4d5e6f", "clean": True}
    config = {"temperature": temperature, "prompt": "a long prompt " * 20 + str(temperature)}
    return {"function": {"name": "asking:answer"}, "config": config, "git": git, "host": host, "user": "me"}


@pytest.fixture
def run(empty: Path) -> Path:
    """Return the directory of a store with a run that 30 processes on 10 hosts have joined, and others before."""

    async def made() -> None:
        async with open_storage("store", durability="process") as storage:
            await generate(storage, answer, [{"n": 1}], project="p", master_job_id="run-1", progress="quiet")
            for number in range(10):
                await storage.ledger.add_segment("run-1", identity(number / 10, "first"))
            for number in range(29):
                await storage.ledger.add_segment("run-1", identity(0.9, f"node-{number % 9}"))

    asyncio.run(made())
    return empty


def test_alike_segments_are_one_line_and_the_newest_are_shown(run: Path):
    shown = call("show", "run-1").out.partition("\n# Segments\n")[2]
    earlier, table = shown.split("\n", 1)
    assert earlier == "3 earlier: see --json"
    *_, before, last = rows(table)
    assert len(rows(table)) == 8
    assert (before["segment"], before["where"]) == ("10", "first")
    assert (
        before["what changed"] == 'config.temperature: 0.7 -> 0.8; config.prompt: "... prompt 0.7" -> "... prompt 0.8"'
    )
    assert (last["segment"], last["where"]) == ("11-40", "30 starts on 10 hosts")

    status, drawn = in_a_terminal("show", "run-1", directory=run, COLUMNS="80", NO_COLOR="1")
    assert status == 0
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", drawn).splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[-2].strip().startswith("config.prompt: "), "each change begins on a line of its own"
    assert "30 starts on 10 hosts" in lines[-3]


def test_json_has_every_segment_and_a_record_its_own(run: Path):
    segments = call_json("show", "run-1")["segments"]
    assert [one["number"] for one in segments] == list(range(1, 41))
    assert segments[0]["changes"] == []
    assert segments[2]["changes"] == [
        "config.temperature: 0.0 -> 0.1",
        'config.prompt: "... prompt 0.0" -> "... prompt 0.1"',
    ]
    assert segments[39]["identity"]["host"] == "node-1"
    (record,) = call_json("records", "run-1")
    found = call_json("record", record["record_uid"])["segment"]
    assert found == {name: value for name, value in segments[0].items() if name != "changes"}
    name = f"{__name__}.answer"
    assert f"\nsegment\t1 ({name}" in call("record", record["record_uid"]).out
