"""Kills `pack`, compressing and `unpack` at chosen calls, and checks what each left behind, and that they go on.

Usage, under the shim: ``python -m durability.packing_points DIRECTORY ACTION POINTS`` (0 points: at every call). Prints
one JSON object: the number of ``calls``, of those ``killed``, and the ``failures``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from durability import workload
from durability.shim import Action, Kind, Shim, evenly, in_child
from starfish_storage import LocalStorage
from starfish_storage.keys import record_key
from starfish_storage.maintenance import collect, verify
from starfish_storage.maintenance.compressing import compress
from starfish_storage.maintenance.packing import pack, unpack

RECORDS = 5


async def make(root: Path) -> None:
    async with LocalStorage(f"file://{root}", layout="files") as storage:
        await workload.prepare(storage)
        for number in range(RECORDS):
            await storage.save_record(workload.record(f"r{number}", 1), {"number": number})
        await storage.save_record_data("loose", workload.MASTER, workload.JOB, {"number": RECORDS})


async def there_and_back(root: Path) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        report = await pack(storage)
        assert report.left == []
    async with LocalStorage(f"file://{root}") as storage:
        await compress(storage, report)
    async with LocalStorage(f"file://{root}") as storage:
        assert (await unpack(storage)).left == []


def change(root: Path, action: Action, at: int) -> int:
    """Change the layout to and fro; return how many calls it took, unless it was killed."""
    shim = Shim()
    kinds = Kind.WRITE if action is Action.KILL_TORN else Kind.CHANGING
    shim.arm(root, kinds, action, at)
    asyncio.run(there_and_back(root))
    shim.disarm()
    return shim.seen


def check(root: Path) -> None:
    """See that everything is there, once it is opened and once the commands have gone on to their end."""

    async def read() -> None:
        async with LocalStorage(f"file://{root}") as storage:
            for number, uid in enumerate([*(f"r{number}" for number in range(RECORDS)), "loose"]):
                assert await storage.get_record_data(record_key(uid)) == {"number": number}, uid

    asyncio.run(read())
    assert verify(root).damage == []
    asyncio.run(there_and_back(root))
    asyncio.run(read())
    assert verify(root).damage == []
    assert len(list(root.glob("data/*/*.json"))) == RECORDS + 1
    collect(root, grace=timedelta(0))  # a pack that no row knows: its maker was killed before the commit
    assert list(root.glob("data/packs/*")) == []


def kill(template: Path, root: Path, action: Action, at: int) -> tuple[bool, str | None]:
    """Kill one and check; return whether it came so far, and what was wrong."""
    shutil.copytree(template, root)
    ended = in_child(lambda: change(root, action, at))
    if not ended.killed and ended.status != 0:
        return False, ended.error
    checked = in_child(lambda: check(root))
    shutil.rmtree(root)
    return ended.killed, checked.error or None


def main(directory: Path, action: Action, points: int) -> dict[str, Any]:
    template = directory / "template"
    assert in_child(lambda: asyncio.run(make(template))).status == 0
    shutil.copytree(template, directory / "counted")
    calls = in_child(lambda: change(directory / "counted", action, 0))
    assert calls.status == 0, calls.error
    killed, failures = 0, {}
    for at in evenly(calls.result, points):
        reached, failure = kill(template, directory / str(at), action, at)
        killed += reached
        if failure:
            failures[at] = failure
    return {"calls": calls.result, "killed": killed, "failures": failures}


if __name__ == "__main__":
    target, action, points = sys.argv[1:]
    sys.stdout.write(json.dumps(main(Path(target), Action[action], int(points))) + "\n")
