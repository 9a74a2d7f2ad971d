"""Runs that Starfish stored in its own way are runs here, once their store is upgraded, and the framework goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from cli.calling import call, call_json
from integrations.framework import HERE, Framework
from migrations.reading import everything
from starfish_storage import LocalStorage, open_storage
from starfish_storage.maintenance import upgrade, verify
from viewer.viewing import viewer

WEATHER = HERE / "weather.py"
CITIES = ("Oslo", "Łódź", "東京")


def charged(charges: Path) -> Counter[str]:
    return Counter(charges.read_text("utf-8").splitlines())


def test_a_run_of_an_upgraded_store(framework: Framework, tmp_path: Path):
    root, charges = tmp_path / "own", tmp_path / "charges"
    first, second = (
        framework.start(
            tmp_path, "run_with_its_own_storage", program=WEATHER, root=str(root), charges=str(charges)
        ).result()
        for _ in range(2)
    )
    run = first["run"]
    assert first["done"] == second["done"] == 10, "eight days, and two nights"
    read = asyncio.run(rows_of(root))
    upgrade(root)
    assert verify(root).is_sound
    assert asyncio.run(rows_of(root)) == read
    check_commands(root, run, tmp_path)
    asyncio.run(check_pages(root, run, second["run"]))
    before = charged(charges)
    (tmp_path / "charges.back").touch()
    done = framework.start(tmp_path, "resume_on_this_one", program=WEATHER, root=str(root), run=run).result()
    assert len(done) == 15
    assert charged(charges) - before == Counter(f"Łódź {day}" for day in range(4)), (
        "what was paid for is not paid again"
    )
    assert verify(root).is_sound
    (shown,) = [one for one in call_json("runs", "--store", str(root)) if one["master_job_id"] == run]
    assert (shown["status"], shown["records"]["completed"]) == ("completed", 15)
    assert Counter(one["city"] for one in exported(root, run, tmp_path / "resumed.jsonl")) == dict.fromkeys(CITIES, 5)


async def rows_of(root: Path) -> dict[str, Any]:
    """Return what a store shows of its runs, but where their data lies, and what was no JSON."""
    async with open_storage(root.as_uri(), read_only=True) as storage:
        found = await everything(storage)
    for record in found["records"]:
        del record["output_ref"]
    found["data"] = {uid: {**data, "degrees": None} for uid, data in found["data"].items()}
    return found


def exported(root: Path, run: str, target: Path) -> list[dict[str, Any]]:
    ended = call("export", run, str(target), "--store", str(root), "-q")
    assert ended.status == 0, ended
    return [json.loads(line) for line in target.read_text("utf-8").splitlines()]


def check_commands(root: Path, run: str, place: Path) -> None:
    store = ("--store", str(root))
    shown = {one["master_job_id"]: one for one in call_json("runs", *store)}
    assert len(shown) == 2
    assert (shown[run]["status"], shown[run]["target_record_count"]) == ("completed", 12)
    assert shown[run]["completed_record_count"] == shown[run]["records"]["completed"] == 10
    assert "10 completed" in call("show", run, *store).out
    records = call_json("records", run, *store)
    assert all(record["start_time"] <= record["end_time"] for record in records)
    uid = next(record["record_uid"] for record in records)
    assert call_json("record", uid, *store)["place"]["path"].endswith(f"/{uid}.json")
    lines = exported(root, run, place / "run.jsonl")
    assert Counter(line["city"] for line in lines) == {"Oslo": 5, "東京": 5}
    assert [line["degrees"] for line in lines if line.get("day") == 3 and line["city"] == "Oslo"] == [None]
    assert call_json("verify", *store)["findings"] == []
    assert call_json("copy", str(place / "copied"), "--run", run, *store)["records"] == 10
    assert len(exported(place / "copied", run, place / "copied.jsonl")) == 10
    packed = shutil.copytree(root, place / "packed")
    assert call_json("pack", "--store", str(packed))["records"] == 20
    assert sorted(exported(packed, run, place / "packed.jsonl"), key=repr) == sorted(lines, key=repr)
    refused = call("retry", run, "os.path:join", *store)
    assert "was started by Starfish: continue it with resume_from_checkpoint" in refused.err


async def check_pages(root: Path, *runs: str) -> None:
    async with LocalStorage(root.as_uri()) as storage, viewer(storage) as client:
        for address in ("/", f"/run?id={runs[0]}", f"/records?run={runs[0]}", f"/compare?run={runs[0]}&run={runs[1]}"):
            response = await client.get(address)
            assert response.status_code == 200, (address, response.text)
            assert (address.startswith(("/run?", "/run", "/")) and "東京" in response.text) or runs[0] in response.text
