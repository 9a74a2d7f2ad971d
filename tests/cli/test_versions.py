"""Versions of records: looked at, restored, and collected."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.calling import call, call_json
from copying import stores
from starfish_storage import LocalStorage
from starfish_storage.maintenance import verify


@pytest.fixture
def uid(empty: Path) -> str:
    """The record of an input that a failed attempt did not replace, in a store where commands look for it."""

    async def make() -> str:
        await stores.make(empty / "store")
        async with LocalStorage(empty / "store") as storage:
            jobs = await storage.list_execution_jobs("capitals-1", ["completed"])
            (job,) = [one for one in jobs if one.run_config == {"country": "France"}]
            return f"{job.job_id}-0"

    return asyncio.run(make())


def test_versions_are_shown_restored_and_collected(uid: str, empty: Path) -> None:
    current, kept = call_json("record", uid, "--versions")
    assert (current["number"], current["is_current"], current["status"]) == (1, True, "completed")
    assert (kept["number"], kept["is_current"], kept["error_message"]) == (2, False, "again")
    assert kept["data"] == {"again": "é" * 500}
    shown = call("record", uid, "--versions").out
    assert "again" in shown
    assert "version 1 (current)" in shown.lower()
    assert call("restore-version", uid, "2").out + call("restore-version", uid, "2").err
    assert call_json("record", uid)["record"]["error_message"] == "again"
    current = call_json("restore-version", uid, "1", "--json")[0]
    assert (current["number"], current["is_current"]) == (1, True)
    refused = call("restore-version", uid, "7")
    assert refused.status == 2
    assert f"version '{uid} 7' does not exist" in refused.err
    assert "'starfish-storage record UID --versions'" in refused.err
    assert call("record", "nobody", "--versions").status == 2

    dry = call_json("collect", "--versions-older-than", "0", "--dry-run")
    assert (dry["versions"], len(call_json("record", uid, "--versions"))) == (4, 2)
    assert call_json("collect", "--versions-older-than", "1000")["versions"] == 0
    assert "4 earlier versions" in call("collect", "--versions-older-than", "0").out
    assert len(call_json("record", uid, "--versions")) == 1
    assert verify(empty / "store").findings == ()
