"""Ask four models questions, kill the run half way with kill -9, resume it, and show what was not paid for twice.

The questions are grade-school problems, GSM8K's. The models are replayed from a file instead of being paid, with what
real ones do put in: some calls are slow, and some fail at first. Everything else is what a run of your own would do.
Each demo adds a run to the store. `make demo` asks all 330 questions, `starfish-storage demo` the 60 that lie here.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from starfish_storage import StorageError, open_storage
from starfish_storage.generation import Context, Filtered, Run, generate, resume

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
ANSWERS = Path(__file__).with_name("model_solutions.jsonl")
replies: dict[str, dict[str, Any]] = {}  # by question
charged: Path  # a line for each call that was charged, kept outside the store


async def answer(model: str, question: str, context: Context) -> dict[str, Any] | Filtered:
    """One input: a question to a model. In a run of your own, this awaits its client."""
    chance = zlib.crc32(f"{model} {question}".encode()) % 100
    await asyncio.sleep(0.6 if chance < 3 else 0.03)  # some calls are slow
    if chance >= 95 and context.attempt == 1:
        raise ConnectionError("the model is overloaded")  # worth another attempt
    with charged.open("a") as log:
        log.write(f"{context.job_id}\n")
    reply = replies[question][model]
    context.log_usage(model=model, output_tokens=len(reply["solution"]) // 4, cost=len(reply["solution"]) * 1e-5)
    data = {"model": model, "question": question, "solution": reply["solution"]}
    return data if reply["is_correct"] else Filtered(data, "the answer is wrong")


async def begin(uri: str, run: str) -> None:
    """Start the run; this process will be killed."""
    inputs = [{"model": model, "question": question} for question in replies for model in MODELS]
    async with open_storage(uri) as storage:
        await generate(storage, answer, inputs, project="gsm8k", master_job_id=run, max_concurrency=50)


async def go_on(uri: str, run: str) -> Run:
    """Resume the run and show one record of it."""
    async with open_storage(uri) as storage:
        done = await resume(storage, run, answer)
        for record in await storage.get_records_for_master_job(run, ["completed"], limit=1):
            print(f"\nOne record, {record.record_uid}:")
            print(json.dumps(await storage.get_record_data(str(record.output_ref)), indent=2))
        return done


def calls() -> int:
    """Return how many calls were charged so far."""
    return len(charged.read_text().splitlines()) if charged.exists() else 0


def kill_half_way(command: Sequence[str]) -> None:
    """Start the run in a process of its own, and kill that once half of the calls were charged."""
    with subprocess.Popen(command) as process:
        while process.poll() is None and calls() < len(replies) * len(MODELS) // 2:
            time.sleep(0.02)
        process.kill()


def show(answers: Path, store: Path) -> str:
    """Kill, resume, report; return the id of the run.

    Args:
        answers: the recorded answers, a JSON Lines file like the one that lies here.
        store: the directory of the store, which is made if it is not there.
    """
    run = f"gsm8k-{uuid4().hex[:8]}"
    prepare(answers, store, run)
    print(f"{len(replies)} questions to {len(MODELS)} models = {len(replies) * len(MODELS):,} calls. Starting ...")
    command = (sys.executable, "-m", "starfish_storage.demo", str(answers), "--store", str(store), "--begin", run)
    kill_half_way(command)
    print(f"\nkill -9 when {calls():,} calls had been charged. Resuming ...")
    done = asyncio.run(go_on(store.as_uri(), run))
    twice = calls() - len(set(charged.read_text().splitlines()))
    print(f"\nrun {run}: {done.status}, {done.records}, {done.failed_attempts} failed attempts, ${done.cost:.2f}")
    print(f"not paid for twice: {done.done_before:,} inputs, which starting over would have asked again")
    print(f"paid for twice:     {twice:,} of at most 50 calls that were in flight when the run was killed")
    charged.unlink()
    return run


def prepare(answers: Path, store: Path, run: str) -> None:
    """Read the answers, and say where calls are charged."""
    global charged  # noqa: PLW0603 (`answer` is a function as users write it: it gets an input, and nothing of ours)
    replies.update((one["question"], one) for one in map(json.loads, answers.read_text("utf-8").splitlines()))
    charged = store.with_name(f"{store.name}-{run}.charged")


def main() -> None:
    """Run the program."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("answers", nargs="?", type=Path, default=ANSWERS, help="a JSON Lines file like the default")
    arguments.add_argument("--store", type=Path, default=Path("store"), help="default: ./store")
    arguments.add_argument("--begin", metavar="RUN", help="only start a run of this id")
    given = arguments.parse_args()
    store = given.store.absolute()
    try:
        if given.begin:
            prepare(given.answers, store, given.begin)
            asyncio.run(begin(store.as_uri(), given.begin))
        else:
            look_around(store, show(given.answers, store))
    except (StorageError, OSError) as error:
        raise SystemExit(f"gsm8k_run: {error}") from error


def look_around(store: Path, run: str) -> None:
    """Say how to look at what is in the store."""
    look = f"{Path(sys.executable).with_name('starfish-storage')} --store {store.as_uri()}"
    print(f"\nLook around:\n  {look} runs\n  {look} show {run}\n  {look} verify")
