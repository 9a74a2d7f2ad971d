"""Records the life of a storage, makes the states that a power cut at any moment may leave, and opens each.

Usage, under the shim: ``python -m durability.crash_states DIRECTORY LAYOUT DURABILITY POINTS SINGLES SUBSETS
FAIL_SYNC``: at so many moments (0: after every call) the states of `disk_model`, with so many single steps and random
subsets. The layout is ``files``, ``packed``, or ``mixed``: files that are overwritten in packs. Packs are small, so
that one is full now and then. With FAIL_SYNC above 0, that sync fails with EIO, and only moments after it count; with
-1, every sync is a lie. Prints one JSON object: the number of ``syncs``, of ``states`` that were opened, all different,
of the ``packs`` of the last one, and the ``failures``.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any, cast

from durability import workload
from durability.disk_model import Disk, Step, What, digest, materialise, read_trace
from durability.shim import Action, Kind, Shim, evenly, in_child
from starfish_storage import StorageError
from starfish_storage.data import pack_owning
from starfish_storage.keys import PACKS_DIRECTORY
from starfish_storage.metadata.sqlite.connection import Durability

STEPS, WORKERS = 4, 2
SMALL_PACK = 4000


class TracedLog(workload.Log):
    """Puts the lines into the trace, between the calls: what was acknowledged at a moment stands before it."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim

    def write(self, kind: str, change: dict[str, Any]) -> None:
        self._shim.mark(json.dumps([kind, change]))


def record(root: Path, trace: Path, layout: str, durability: Durability, failing: int) -> int:
    """Live a life, recorded; return the number of syncs."""
    pack_owning.LARGEST_PACK = SMALL_PACK
    shim = Shim()
    descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    action = Action.LIE if failing < 0 else Action.FAIL if failing else Action.COUNT
    shim.arm(root, Kind.SYNC, action, max(failing, 0), error=errno.EIO, trace=descriptor)
    log = TracedLog(shim)

    async def live() -> None:
        storage = workload.opened(root, layout, durability)
        await storage.setup()
        await workload.run(storage, log, STEPS, WORKERS)
        await storage.close()
        if layout == "mixed":
            workload.let_pack(root)
        await storage.setup()  # a checkpoint, and a log begun anew, lie between the two halves
        if layout == "mixed":
            await workload.overwrite(storage, log, STEPS, WORKERS)
        else:
            await workload.work(storage, log, STEPS, "again")
        await storage.close()

    asyncio.run(hardened(root, log, layout, durability) if failing > 0 else live())
    shim.disarm()
    return shim.seen


async def hardened(root: Path, log: workload.Log, layout: str, durability: Durability) -> None:
    """Save and overwrite, twice with a fresh start; go on after a failure as an honest caller would."""
    for half in range(2):
        storage = workload.opened(root, layout, durability)
        while not await _succeeds(storage.setup()):
            pass
        for number in range(6):
            if half == number == 0:
                while not await _succeeds(workload.prepare(storage)):
                    await storage.close()
                    await storage.setup()
                continue
            versions = {f"h{number}": half + 1, f"h{number}-{half}": 1}
            if not await _succeeds(workload.save(storage, log, versions)):
                await storage.close()
                await storage.setup()
        await storage.close()


async def _succeeds(call: Any) -> bool:
    try:
        await call
    except StorageError as error:
        return error.code == "already_exists"
    return True


def moments(steps: list[Step], points: int) -> set[int]:
    """Return the positions in the trace after which the power goes: only calls that change something."""
    failed = next((number for number, step in enumerate(steps) if step.what is What.SYNC_FAILED), -1)
    if failed >= 0 and steps[failed].inode < 0 and not steps[failed].offset:
        return set()  # of a directory: the file systems we know stop altogether then, as in the tests of I/O errors
    changing = [number for number, step in enumerate(steps) if step.what is not What.MARK and number > failed]
    return {changing[index - 1] for index in evenly(len(changing), points)}


async def open_states(
    steps: list[Step], directory: Path, layout: str, durability: Durability, points: int, singles: int, subsets: int
) -> dict[str, Any]:
    """Open every state and check it against what had been acknowledged then."""
    disk, chance, seen = Disk(), random.Random(1), set[bytes]()
    chosen = moments(steps, points)
    failures: dict[str, str] = {}
    for number, step in enumerate(steps):
        disk.follow(step)
        if number not in chosen:
            continue
        marks = "".join(f"{mark}\n" for mark in disk.marks)
        for variant, state in enumerate(disk.cuts(chance, singles, subsets)):
            files = state.files()
            known = digest(files) + marks.encode()
            if known in seen:
                continue
            seen.add(known)
            failure = await _open(files, marks, directory, layout, durability)
            if failure:
                failures[f"step {number} ({step.what.name} {step.path}), variant {variant}"] = failure
    return {"states": len(seen), "failures": failures}


async def _open(
    files: dict[str, bytes | None], marks: str, directory: Path, layout: str, durability: Durability
) -> str | None:
    root, log = directory / "state", directory / "log"
    materialise(files, root)
    log.write_text(marks)
    try:
        if durability == "power":
            await workload.check(root, log, layout)
        else:
            await workload.check_untorn(root, layout)
    except Exception:
        return traceback.format_exc(limit=-4)
    finally:
        shutil.rmtree(root)
    return None


def main(
    directory: Path, layout: str, durability: Durability, points: int, singles: int, subsets: int, failing: int
) -> Any:
    root, trace = directory / "recorded", directory / "trace"
    recorded = in_child(lambda: record(root, trace, layout, durability, failing))
    assert recorded.status == 0, recorded.error
    steps = read_trace(trace.read_bytes(), os.path.realpath(root))
    outcome = asyncio.run(open_states(steps, directory, layout, durability, points, singles, subsets))
    packs = len(list(root.glob(f"{PACKS_DIRECTORY}/*")))
    return outcome | {"syncs": recorded.result, "steps": len(steps), "packs": packs}


if __name__ == "__main__":
    target, layout, durability, *numbers = sys.argv[1:]
    points, singles, subsets, failing = map(int, numbers)
    outcome = main(Path(target), layout, cast("Durability", durability), points, singles, subsets, failing)
    sys.stdout.write(json.dumps(outcome) + "\n")
