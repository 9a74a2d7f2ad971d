"""The page about Starfish: its program and its commands run, and its run is one for all that is here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call, call_json
from docs.pages import PROJECT, blocks, commands, file_of, run_in_process
from integrations.framework import Framework
from starfish_storage import open_storage
from viewer.viewing import viewer

PAGE = PROJECT / "docs" / "how-to" / "starfish.md"
PROGRAM = "capitals.py"
CAPITALS = [{"country": "France", "capital": "Paris"}, {"country": "Japan", "capital": "Tokyo"}]

RESUMING = """
from starfish.data_factory.factory import resume_from_checkpoint
from starfish_storage.integrations import starfish

starfish.install("runs")
resume_from_checkpoint("{run}")
"""


def test_what_the_page_shows_runs_and_is_a_run_here(framework: Framework, tmp_path: Path):
    program, store = tmp_path / PROGRAM, str(tmp_path / "runs")
    for block in blocks(PAGE):
        if file_of(block) == PROGRAM:
            program.write_text(block.text, "utf-8")
        for command in commands(block) if block.info == "console" else ():
            if command == f"python {PROGRAM}":
                status, printed = framework.run(tmp_path, program)
                assert status == 0, printed
            else:
                run_in_process(command, tmp_path)
    assert (tmp_path / "capitals.jsonl").exists(), "its commands have run"

    (run,) = call_json("runs", "--store", store)
    assert (run["project_id"], run["name"], run["status"]) == ("starfish", "describe", "completed_with_errors")
    assert (run["target_record_count"], run["records"]) == (3, {"completed": 2, "failed": 1})
    assert run["run"]["attempts"] == 4, "Starfish calls what has failed once more"
    (error,) = call_json("errors", "last", "--store", store)
    assert (error["kind"], error["inputs"]) == ("KeyError", 1)
    assert call_json("config", "last", "--store", store)["function"] == f"{program}:describe"
    assert sorted(exported(tmp_path, store), key=str) == sorted(CAPITALS, key=str)
    assert call_json("verify", "--store", store)["findings"] == []
    first = run["master_job_id"]

    resume_elsewhere(framework, tmp_path, first)
    assert call_json("config", "last", "--store", store)["function"] == f"{program}:describe", "retry imports it"

    mended = program.read_text("utf-8").replace('"Tokyo"', '"Tokyo", "Peru": "Lima"')
    dying = mended.replace("[country]}]", "[country]}] if country != 'Peru' else os.abort()")
    program.write_text(f"import os\n{dying}", "utf-8")
    with pytest.raises(AssertionError, match="ended without an answer"):
        framework.run(tmp_path, program)
    second = call_json("runs", "--store", store)[0]["master_job_id"]
    assert second != first
    program.write_text(mended, "utf-8")
    for command, run_id in (("retry", first), ("resume", second)):
        status, printed = framework.command(tmp_path, command, run_id, "--store", "runs")
        assert status == 0, printed
    shown = {one["master_job_id"]: one for one in call_json("runs", "--store", store)}
    assert [(shown[one]["status"], shown[one]["records"]) for one in (first, second)] == [
        ("completed", {"completed": 3})
    ] * 2

    copied = str(tmp_path / "copied")
    assert call("copy", copied, "--store", store).status == 0
    assert {"country": "Peru", "capital": "Lima"} in exported(tmp_path, copied, first)
    assert call_json("verify", "--store", copied)["findings"] == []
    asyncio.run(look(store, first, second))


def resume_elsewhere(framework: Framework, directory: Path, run_id: str) -> None:
    """Resume a run from its checkpoint, in another program than its own."""
    program = directory / "elsewhere.py"
    program.write_text(RESUMING.format(run=run_id), "utf-8")
    status, printed = framework.run(directory, program)
    assert status == 0, printed
    (run,) = call_json("runs", "--store", str(directory / "runs"))
    assert (run["status"], run["run"]["attempts"]) == ("completed_with_errors", 6), "it has called Peru again"


def exported(directory: Path, store: str, run: str = "last") -> list[dict[str, Any]]:
    target = directory / "exported.jsonl"
    assert call("export", run, str(target), "--store", store, "-q", "--overwrite").status == 0
    return [json.loads(line) for line in target.read_text("utf-8").splitlines()]


async def look(store: str, first: str, second: str) -> None:
    """Look at the pages of the viewer that show runs."""
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        for address, shown in {
            "/": "describe",
            f"/run?id={first}": f"{PROGRAM}:describe",
            f"/records?run={second}": "Peru",
            f"/compare?run={first}&run={second}": "Lima",
        }.items():
            page = await client.get(address)
            assert page.status_code == 200, address
            assert shown in page.text, address
