"""A worker of this machine that is killed is seen at once to be dead, and not when its lease runs out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.calling import call, call_json
from cli.stores import DESERTED

WORKER = """
import asyncio, sys
from datetime import timedelta
from starfish_storage import LocalStorage
from starfish_storage.generation.lease import process_identity
from starfish_storage.runs import Worker

async def work():
    async with LocalStorage(sys.argv[1]) as storage:
        now = await storage.ledger.now()
        worker = Worker("alive", sys.argv[2], process_identity(), now, now + timedelta(hours=1))
        await storage.ledger.save_worker(worker)
        print("saved", flush=True)
        sys.stdin.read()

asyncio.run(work())
"""


def test_a_killed_worker_is_seen_to_be_dead_at_once(here: Path):
    words = [sys.executable, "-c", WORKER, (here / "store").as_uri(), DESERTED]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"
        assert "workers\t1\n" in call("show", DESERTED).out
        assert "no worker is alive" not in call("watch", DESERTED, "--once").out
        process.kill()
    hint = f"continue with: starfish-storage resume {DESERTED}"
    assert f"workers\tnone; {hint}\n" in call("show", DESERTED).out
    assert f"no worker is alive: {hint}" in call("watch", DESERTED, "--once").out
    found = call_json("show", DESERTED)
    assert (found["live_workers"], {one["worker_id"] for one in found["workers"]}) == (0, {"alive", "worker-1"})
