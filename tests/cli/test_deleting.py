"""Deleting runs and projects from the command line: it says what goes, and asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli import stores
from cli.calling import call, call_json
from starfish_storage.maintenance import verify


@pytest.fixture(autouse=True)
def filled(empty: Path) -> None:
    asyncio.run(stores.make(empty / "store"))


def test_a_run_is_shown_and_deleted(empty: Path) -> None:
    dry = call_json("delete", "capitals-1", "--dry-run")
    assert dry == {
        "kind": "run", "id": "capitals-1", "name": "the run capitals-1", "runs": 1, "inputs": 6, "records": 6,
        "cost": dry["cost"], "live_workers": 0, "deleted": False,
    }  # fmt: skip
    assert dry["cost"] > 0
    shown = call("delete", "capitals-1", "--dry-run").err
    assert shown.startswith("Would delete run capitals-1 (the run capitals-1) with 6 inputs and 6 records, for which $")
    refused = call("delete", "capitals-1")
    assert refused.status == 2
    assert "--yes" in refused.err
    assert call_json("show", "capitals-1")["kind"] == "master_job"
    assert call("delete", "capitals-1", "--yes").err.startswith("Deleted run capitals-1")
    assert call("show", "capitals-1").status == 2
    assert {one["master_job_id"] for one in call_json("runs")} == {"capitals-2", "sums-1"}
    assert verify(empty / "store").findings == ()


def test_a_project_goes_with_its_runs() -> None:
    gone = call_json("delete", "geography", "--yes")
    assert (gone["kind"], gone["runs"], gone["deleted"]) == ("project", 2, True)
    assert [one["project_id"] for one in call_json("projects")] == ["sums"]
    assert [one["master_job_id"] for one in call_json("runs")] == ["sums-1"]


def test_what_is_not_there_is_not_guessed() -> None:
    refused = call("delete", "capital", "--yes")
    assert refused.status == 2
    assert "may be any of 2" in refused.err
    refused = call("delete", "nobody", "--yes")
    assert "run or project 'nobody' does not exist" in refused.err
    assert len(call_json("runs")) == 3
