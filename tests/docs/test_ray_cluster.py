"""The example on a Ray cluster: a real one of two processors, on this machine, with a task that is killed half way."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from docs.pages import PROJECT
from servers.processes import wait_until
from starfish_storage import open_storage

EXAMPLE = PROJECT / "examples" / "ray_cluster.py"
QUESTIONS, TASKS, IN_FLIGHT = 330, 4, 10
RIGHT = 186
RUN = "gsm8k-on-ray"

# Nothing is reported to Ray's makers, written into the home directory, or sent by way of a proxy.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(16),
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@pytest.mark.slow  # half a minute of two processors; test_cluster.py has the same run without Ray
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray: it comes with `make .venv/cluster`")
async def test_tasks_of_a_ray_cluster_share_a_run_and_one_of_them_is_killed(postgres_uri: str, tmp_path: Path):
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as session:  # short: the paths of sockets are
        output = run_example(postgres_uri, tmp_path, session, "--kill")
        wait_until(lambda: not processes_of(session), "the end of Ray's processes")

    assert output.count("TaskCancelledError") == 1
    calls = [int(made) for made in re.findall(r"task \d: (\d+) calls by process \d+", output)]
    assert len(calls) == TASKS - 1
    assert min(calls) > 0, "a task has done nothing"
    charged, questions = map(int, re.findall(r"charged: (\d+) calls for (\d+) questions", output)[0])
    assert questions == QUESTIONS
    assert charged - questions <= IN_FLIGHT, "more was paid twice than the killed task had in flight"
    assert output.count(f"run completed, {{'completed': {RIGHT}, 'filtered': {QUESTIONS - RIGHT}}}") == TASKS - 1

    async with open_storage(postgres_uri, tmp_path.as_uri()) as storage:
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert (job.status, job.completed_record_count, job.target_record_count) == ("completed", RIGHT, QUESTIONS)
        assert await storage.ledger.count_inputs(RUN) == {"completed": RIGHT, "filtered": QUESTIONS - RIGHT}
        assert await storage.ledger.list_workers(RUN) == []
        records = await storage.get_records_for_master_job(RUN)
        data = await storage.get_records_data([str(record.output_ref) for record in records])
        assert len({one["question"] for one in data}) == len(data) == QUESTIONS
        state = await storage.ledger.get_run(RUN)
        assert state is not None
        assert state.attempts - state.failed_attempts == QUESTIONS  # failed: those that the kill interrupted


def test_the_example_is_short():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 100


def processes_of(session: str) -> list[str]:
    found: list[str] = []
    for command in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if session.encode() in Path(command).read_bytes():
                found.append(command)
    return found


def run_example(uri: str, directory: Path, session: str, *options: str) -> str:
    command = [sys.executable, str(EXAMPLE), uri, directory.as_uri(), "--run", RUN, "--tasks", str(TASKS), *options]
    environment = os.environ | QUIET | {"RAY_TMPDIR": session}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout
