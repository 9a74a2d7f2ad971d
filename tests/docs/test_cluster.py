"""The page about many machines: what its nodes would run shares a run, here as processes that start together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import PROJECT, blocks, file_of
from starfish_storage import open_storage

PAGE = PROJECT / "docs" / "how-to" / "cluster.md"
NODES = 3
RUN = "capitals-1"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with the files that the page shows."""
    for block in blocks(PAGE):
        name = file_of(block)
        if name is not None:
            (tmp_path / name).write_text(block.text, "utf-8")
    countries = [f'{{"country": "{name}"}}\n' for name in ("France", "Japan", "Peru") for _ in range(20)]
    (tmp_path / "capitals.jsonl").write_text("".join(countries), "utf-8")
    return tmp_path


async def test_pods_of_the_job_share_a_run(nodes_environment: tuple[str, str], directory: Path):
    secret, job = yaml.safe_load_all((directory / "job.yaml").read_text("utf-8"))
    pod = job["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    command = [expanded(word) for word in (*worker["command"], *worker["args"])]

    run_together(command, directory)

    await check(nodes_environment)
    assert "PGPASSWORD" in secret["stringData"]
    assert worker["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
    assert not {one["name"] for one in worker["env"]} & set(secret["stringData"]), "a secret stands in the Job"
    assert job["spec"]["completions"] == job["spec"]["parallelism"]
    assert job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["containerName"] == worker["name"]
    assert pod["terminationGracePeriodSeconds"] > 30


async def test_tasks_of_the_array_share_a_run(nodes_environment: tuple[str, str], directory: Path):
    (directory / ".capitals.env").write_text(f"AWS_REGION={os.environ['AWS_REGION']}\n")

    run_together(["bash", "capitals.sbatch"], directory)

    await check(nodes_environment)
    options = re.findall(r"^#SBATCH (--[a-z-]+)", (directory / "capitals.sbatch").read_text("utf-8"), re.MULTILINE)
    assert len(options) == len(set(options)) == 9


def expanded(word: str) -> str:
    """Return a word as Kubernetes hands it on."""
    return re.sub(r"\$\((\w+)\)", lambda name: os.environ[name[1]], word)


def run_together(command: list[str], directory: Path) -> None:
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "HOME": str(directory), "SLURM_SUBMIT_DIR": str(directory)}
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    nodes = [subprocess.Popen(command, cwd=directory, env=environment, **streams) for _ in range(NODES)]
    outputs = [node.communicate(timeout=120)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * NODES, "\n".join(outputs)


async def check(place: tuple[str, str]) -> None:
    async with open_storage(*place) as storage:
        assert await storage.count_records_for_master_job(RUN) == {"completed": 60}
        state = await storage.ledger.get_run(RUN)
        assert state is not None
        assert (state.attempts, round(state.cost, 6)) == (60, 0.12)
        assert await storage.ledger.list_workers(RUN) == []
