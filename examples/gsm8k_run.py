"""Store a generation run while it happens, then reopen the store and show what is in it.

The run is a real one: grade-school problems, each answered by four language models (see gsm8k/README.md). Here the
answers come from a file instead of from paid calls; the rest is what a run of your own would do. Each run adds a
project to the store, so it can be run again. Needs `rich` beside the library, for the bars and the table.
"""

import argparse
import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record, StorageError

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
console = Console(highlight=False, soft_wrap=True)
calls = asyncio.Semaphore(50)  # so many at a time


async def answer(storage: LocalStorage, run: str, model: str, problem: dict[str, Any]) -> None:
    """One execution job: one question to one model, and the record that comes of it."""
    question = problem["question"]
    async with calls:
        job = GenerationJob(master_job_id=run, status="running", run_config={"model": model, "question": question})
        await storage.log_execution_job_start(job)
        reply = problem[model]  # a run of your own awaits its model here
        status = "completed" if reply["is_correct"] else "filtered"
        record = Record(job_id=job.job_id, master_job_id=run, status=status)
        await storage.save_record(record, {"question": question, "solution": reply["solution"]})
        now = datetime.now(UTC)
        await storage.log_execution_job_end(job.job_id, status, {status: 1}, end_time=now, update_time=now)


async def run_model(storage: LocalStorage, project: Project, model: str, problems: list[Any], bars: Progress) -> None:
    """One master job: every question to one model."""
    run, bar = str(uuid4()), bars.add_task(f"{model:<17}", total=len(problems))
    config = {"model": model, "prompt": "Solve the problem step by step.", "problems": len(problems)}
    job = GenerationMasterJob(
        master_job_id=run,
        project_id=project.project_id,
        name=model,
        status="running",
        request_config_ref=await storage.save_request_config(storage.generate_request_config_path(run), config),
        output_schema={"type": "object", "required": ["question", "solution"]},
        storage_uri=storage.storage_uri,
        target_record_count=len(problems),
    )
    await storage.log_master_job_start(job)
    async with asyncio.TaskGroup() as group:
        for problem in problems:
            group.create_task(answer(storage, run, model, problem)).add_done_callback(lambda _: bars.advance(bar))
    counts, now = await storage.count_records_for_master_job(run), datetime.now(UTC)
    await storage.log_master_job_end(run, "completed", counts, end_time=now, update_time=now)


async def main(uri: str, problems: list[Any]) -> None:
    """Store the run, then open the store anew and print what it holds of the run."""
    project = Project(name="GSM8K", description=f"{len(problems)} problems, {len(MODELS)} models")
    began = time.perf_counter()
    async with LocalStorage(uri) as storage:
        await storage.save_project(project)
        with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bars:
            for model in MODELS:
                await run_model(storage, project, model, problems, bars)
    console.print(f"\n{len(problems) * len(MODELS):,} records stored in {time.perf_counter() - began:.1f} s. Reopened:")
    table = Table("model", *(Column(text, justify="right") for text in ("right (completed)", "wrong (filtered)")))
    async with LocalStorage(uri) as storage:
        jobs = await storage.list_master_jobs(project.project_id)  # newest first
        for job in reversed(jobs):
            counts = await storage.count_records_for_master_job(job.master_job_id)
            table.add_row(job.name, *(f"{counts.get(status, 0):,}" for status in ("completed", "filtered")))
        console.print(table)
        for record in await storage.get_records_for_master_job(jobs[0].master_job_id, limit=1):
            console.print(f"\nOne record ({record.status}), {record.output_ref}:")
            console.print_json(data=await storage.get_record_data(str(record.output_ref)))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part = Path(__file__).parent / "gsm8k" / "model_solutions.jsonl"
    arguments.add_argument("answers", nargs="?", type=Path, default=part, help="a JSON Lines file like the default one")
    arguments.add_argument("--store", type=Path, default=Path("starfish-store"), help="default: ./starfish-store")
    given = arguments.parse_args()
    try:
        asyncio.run(main(given.store.absolute().as_uri(), list(map(json.loads, given.answers.open(encoding="utf-8")))))
    except (StorageError, OSError) as error:
        raise SystemExit(f"gsm8k_run: {error}") from error
    console.print("\nOn disk, with earlier runs:")
    for path in (given.store.absolute() / name for name in ("metadata.db", "configs", "data")):
        sizes = [file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()]
        console.print(f"{len(sizes):>8,} files {sum(sizes) / 1e6:>8.3f} MB  {path}")
