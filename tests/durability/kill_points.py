"""Kills a writer at chosen calls of its whole life, from setup to close, and checks what each left behind.

Usage, under the shim: ``python -m durability.kill_points DIRECTORY LAYOUT DURABILITY ACTION POINTS`` (0 points: at
every call). Prints one JSON object: the number of ``calls``, of those ``killed``, and the ``failures``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any, cast

from durability import workload
from durability.shim import Action, Kind, Shim, evenly, in_child
from starfish_storage.metadata.sqlite.connection import Durability

STEPS = 4  # a save, an overwrite, a batch and a deletion


def write(root: Path, log: Path, layout: str, durability: Durability, action: Action, at: int) -> int:
    """Live the life of a writer; return how many calls it took, unless it was killed."""
    shim = Shim()
    kinds = Kind.WRITE if action is Action.KILL_TORN else Kind.CHANGING
    shim.arm(root, kinds, action, at)

    async def live() -> None:
        async with workload.opened(root, layout, durability) as storage:
            await workload.run(storage, workload.Log(log), STEPS)

    asyncio.run(live())
    shim.disarm()
    return shim.seen


def kill(directory: Path, layout: str, durability: Durability, action: Action, at: int) -> tuple[bool, str | None]:
    """Kill one writer and check; return whether it came so far, and what was wrong."""
    root, log = directory / "store", directory / "log"
    directory.mkdir()
    log.touch()
    ended = in_child(lambda: write(root, log, layout, durability, action, at))
    if not ended.killed and ended.status != 0:
        return False, ended.error
    checked = in_child(lambda: asyncio.run(workload.check(root, log, layout)))
    shutil.rmtree(directory)
    return ended.killed, checked.error or None


def main(directory: Path, layout: str, durability: Durability, action: Action, points: int) -> dict[str, Any]:
    (directory / "counted").mkdir()
    place = directory / "counted"
    calls = in_child(lambda: write(place / "store", place / "log", layout, durability, action, 0))
    assert calls.status == 0, calls.error
    killed, failures = 0, {}
    for at in evenly(calls.result, points):
        reached, failure = kill(directory / str(at), layout, durability, action, at)
        killed += reached
        if failure:
            failures[at] = failure
    return {"calls": calls.result, "killed": killed, "failures": failures}


if __name__ == "__main__":
    target, layout, durability, action, points = sys.argv[1:]
    killed = main(Path(target), layout, cast("Durability", durability), Action[action], int(points))
    sys.stdout.write(json.dumps(killed) + "\n")
