"""Ask a model 330 questions on a Ray cluster: its tasks share one run, and every question is paid for once.

    python examples/ray_cluster.py postgresql://me@db.example/runs s3://bucket/runs --address auto

The questions are grade-school problems (see gsm8k/README.md); the model is replayed from a file instead of being paid.
Each task is a worker of the run: it opens the store itself, claims inputs, and stores what came of them. Passwords and
keys come from the environment of the nodes (PGPASSWORD, AWS_SECRET_ACCESS_KEY, ...). Without --address, a small
cluster is started on this machine. With --kill, one task is killed half way: the others take over what it had claimed.
"""

import argparse
import asyncio
import json
import os
import socket
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray  # pyright: ignore[reportMissingImports] (of the group `cluster`)
from ray.exceptions import RayError  # pyright: ignore[reportMissingImports]

from starfish_storage import open_storage
from starfish_storage.generation import Context, Filtered, Run, generate

ANSWERS = Path(__file__).parent / "gsm8k" / "model_solutions.jsonl"
IN_FLIGHT = 10  # calls at a time, of all tasks
LOCAL = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 << 20, "_node_ip_address": "127.0.0.1"}


@ray.remote(num_cpus=0)
class Bill:
    """What the model's provider counts, outside the store: it knows of calls whose answers were lost."""

    def __init__(self) -> None:
        self._charged: list[str] = []

    def charge(self, question: str) -> None:
        self._charged.append(question)

    def charged(self) -> list[str]:
        return self._charged


@ray.remote(num_cpus=0.25, max_retries=0)  # no more: it waits for the model; Ray need not repeat it: others go on
def work(uri: str, data_uri: str, run: str, problems: list[dict[str, Any]], bill: Any) -> str:
    """One worker of the run; the same call, with the same run and inputs, on every node."""
    replies = {one["question"]: one["175b_verification"] for one in problems}
    calls = 0

    async def answer(question: str, context: Context) -> dict[str, Any] | Filtered:
        nonlocal calls
        calls += 1
        await bill.charge.remote(question)
        await asyncio.sleep(0.2)  # in a run of your own, the client is awaited here
        context.log_usage(model="175b", output_tokens=len(replies[question]["solution"]) // 4, cost=0.002)
        data = {"question": question, "solution": replies[question]["solution"]}
        return data if replies[question]["is_correct"] else Filtered(data, "the answer is wrong")

    async def share() -> Run:
        inputs = [{"question": one["question"]} for one in problems]
        async with open_storage(uri, data_uri) as storage:
            how = {"max_concurrency": IN_FLIGHT, "progress": "quiet"}
            return await generate(storage, answer, inputs, project="gsm8k", master_job_id=run, **how)

    done = asyncio.run(share())
    return f"{calls} calls by process {os.getpid()} on {socket.gethostname()}; run {done.status}, {done.records}"


def main(given: argparse.Namespace) -> None:
    problems = [json.loads(line) for line in ANSWERS.read_text("utf-8").splitlines()]
    cluster: dict[str, Any] = {"bill": Bill, "work": work}  # what Ray has made of them, a type checker cannot see
    run, bill, kill = given.run or f"gsm8k-{uuid4().hex[:8]}", cluster["bill"].remote(), given.kill
    tasks = [cluster["work"].remote(given.uri, given.data_uri, run, problems, bill) for _ in range(given.tasks)]
    print(f"run {run}: {len(problems)} questions, {len(tasks)} tasks, {IN_FLIGHT} calls at a time")
    while kill and len(ray.get(bill.charged.remote())) < len(problems) // 2:
        time.sleep(0.05)
    if kill:
        ray.cancel(tasks[0], force=True)  # ends its process at once
    for number, task in enumerate(tasks):
        try:
            print(f"task {number}: {ray.get(task)}")
        except RayError as error:
            print(f"task {number}: {type(error).__name__}")
    charged = ray.get(bill.charged.remote())
    print(f"charged: {len(charged)} calls for {len(set(charged))} questions")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("uri", help="of the metadata, in PostgreSQL")
    arguments.add_argument("data_uri", help="of the data: a bucket, or a directory that every node has")
    arguments.add_argument("--address", help="of a Ray cluster, or auto")
    arguments.add_argument("--tasks", type=int, default=4)
    arguments.add_argument("--run", help="an id, to go on with a run")
    arguments.add_argument("--kill", action="store_true", help="kill a task half way")
    given = arguments.parse_args()
    ray.init(given.address, **({} if given.address else LOCAL))
    main(given)
