"""A function that uses up all file descriptors has failed; its run, and the store, have not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from durability import processes
from generation.runs import sound

PROGRAM = """
import asyncio, json, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from starfish_storage import open_storage
from starfish_storage.generation import Context, Retry, generate

held = []
loaded = None

def use_up():
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))

async def answer(n: int, context: Context):
    global loaded
    loaded = loaded or set(sys.modules)
    if n % 5 == 0 and context.attempt == 1:
        use_up()
    await context.once("paid", lambda: asyncio.sleep(0, {"n": n}))
    return {"n": n}

def answer_in_a_thread(n: int, context: Context):
    if n % 5 == 0 and context.attempt == 1:
        use_up()
    return {"n": n}

async def main(place):
    found = []
    async with open_storage(*place.split()) as storage:
        for function in (answer, answer_in_a_thread):
            run = await generate(
                storage, function, [{"n": n} for n in range(60)], project="p", progress="quiet", max_concurrency=8,
                retry=Retry(attempts=2, first_wait=0, longest_wait=0, jitter=0), accept=lambda data: True,
                master_job_id=function.__name__,
            )
            records = [one async for one in storage.iter_records(run.master_job_id)]
            data = await storage.get_records_data([one.output_ref for one in records])
            errors = [group.kind for group in await storage.ledger.list_errors(run.master_job_id)]
            found.append([run.status, run.inputs, run.failed_attempts, sorted(one["n"] for one in data), errors])
            found.append(len(held) > 5)
            while held:
                os.close(held.pop())
    print(json.dumps([found, sorted(set(sys.modules) - loaded)]))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "s3"])
def test_a_function_without_descriptors_has_failed_and_is_tried_again(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    store = str(tmp_path / "store")
    if kind == "postgres":
        store = f"{request.getfixturevalue('postgres_uri')} {store}"
    elif kind == "s3":
        store += f" {request.getfixturevalue('s3_uri')}"
    status, out, errors = processes.run(["-c", PROGRAM, store])
    assert (status, errors) == (0, "")
    (first, used_up, second, used_up_too), loaded = json.loads(out)
    for status, inputs, failed, numbers, kinds in (first, second):
        assert (status, inputs, numbers) == ("completed", {"completed": 60}, list(range(60)))
        assert failed >= 12
        assert kinds == []
    assert used_up
    assert used_up_too
    assert loaded == [], "nothing is imported in the middle of a run"
    if kind == "sqlite":
        sound(f"file://{tmp_path / 'store'}")
