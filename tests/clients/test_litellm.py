"""LiteLLM within a run: its own errors for those of the providers, its usage and its prices."""

from __future__ import annotations

import json
from pathlib import Path

from clients import page
from clients.faults import KINDS, check_texts, must_cost, questions, replies
from durability import processes
from generation.runs import open_store, sound
from servers.paying import PayingServer

RUNS = ("async ", "blocking ")


async def test_a_fault_costs_what_it_must(tmp_path: Path, paying_server: PayingServer) -> None:
    store = (tmp_path / "store").as_uri()
    asked = [questions(paying_server, run) for run in RUNS]
    page.write(tmp_path)
    command = ["-m", "clients.litellm_process", store, str(tmp_path / "litellm_answers.py"), *KINDS]
    status, out, errors = processes.run(command, 60, **page.environment(paying_server.url))
    assert status == 0, errors
    assert paying_server.payments == must_cost(RUNS[0]) | must_cost(RUNS[1])
    runs = [json.loads(line) for line in out.splitlines()]
    assert [one["records"] for one in runs] == [{"completed": len(questions)} for questions in asked]
    async with open_store(store) as storage:
        for start, run in zip(RUNS, runs, strict=True):
            check_texts(await replies(storage, run["master_job_id"]), start)
            assert run["cost"] > 0
            assert run["input_tokens"] == sum(len(f"{start}{kind}?") for kind in KINDS if kind != "no_usage")
    sound(store)
