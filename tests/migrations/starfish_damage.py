"""Lets the real `starfish-core` 0.1.3 leave a store damaged in the ways that it does; run where that is installed.

Usage: ``python starfish_damage.py DIRECTORY``: the store is ``DIRECTORY/db``. What a power cut does is done by hand.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(sys.argv[1]) / "db"
os.environ |= {"STARFISH_LOCAL_STORAGE_DIR": sys.argv[1], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

from starfish import data_factory  # type: ignore[import-not-found] # noqa: E402 (it reads where to store when imported)
from starfish.data_factory.storage.local.local_storage import LocalStorage  # type: ignore[import-not-found] # noqa: E402
from starfish.data_factory.storage.models import (  # type: ignore[import-not-found] # noqa: E402
    GenerationJob,
    GenerationMasterJob,
    Project,
    Record,
)
from starfish.telemetry.posthog_client import analytics  # type: ignore[import-not-found] # noqa: E402

CITIES = ["Zürich", "Łódź", "東京", "Lima", "Oslo", "Bern"]


def say_nothing(*_: Any, **__: Any) -> None:
    """Stand in for what would send telemetry."""


analytics.send_event = say_nothing


def run(write: Any) -> None:
    """Run a function over the cities as the framework does; it may store part of that, and fail."""
    factory = data_factory(max_concurrency=2, show_progress=False)(write)
    try:
        factory.run(city=CITIES, number=list(range(len(CITIES))))
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")


async def two_records(city: str, number: int) -> list[dict[str, Any]]:
    """Return one record or two; of one, a number that JSON does not have."""
    records: list[dict[str, Any]] = [{"city": city, "score": float("nan") if number == 3 else number / 4}]
    return records + ([{"city": city, "second": [1, None]}] if number == 1 else [])


async def named_like_columns(city: str, number: int) -> list[dict[str, Any]]:
    """Return fields that the framework takes for its own: records of one uid go over each other."""
    return [{"city": city, "record_uid": f"u{number % 2}", "start_time": "2020-01-01 10:00:00"}]


async def no_json(city: str, number: int) -> list[dict[str, Any]]:
    """Return what the framework cannot write for every other input: it opens the file, and leaves it empty."""
    return [{"city": city, "set": {number}}] if number % 2 else [{"city": city}]


async def killed(city: str, number: int) -> list[dict[str, Any]]:
    """Kill the process at the fifth input."""
    if number == 4:
        await asyncio.sleep(0.2)  # the earlier ones are stored meanwhile
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"city": city}]


async def save_again() -> None:
    """Save a project and a job again, whose rows the framework replaces; and records of short uids."""
    storage = LocalStorage(f"file://{ROOT}")
    await storage.setup()
    first = (await storage.list_projects())[0]
    await storage.save_project(first)
    mine = GenerationMasterJob(
        master_job_id="mine",
        project_id=first.project_id,
        request_config_ref=storage.generate_request_config_path("mine"),
        output_schema={},
        storage_uri=f"file://{ROOT}",
        target_record_count=2,
        status="completed_with_errors",
    )
    await storage.save_request_config(mine.request_config_ref, {"prompt": "naïve"})
    await storage.log_master_job_start(mine)
    for name in ("kept", "again"):
        job = GenerationJob(job_id=name, master_job_id="mine", status="completed", run_config={}, run_config_hash="h")
        await storage.log_execution_job_start(job)
        for uid in (f"{name}-1", name[:2]):
            reference = await storage.save_record_data(uid, "mine", name, {"uid": uid})
            await storage.log_record_metadata(
                Record(record_uid=uid, job_id=name, master_job_id="mine", status="completed", output_ref=reference)
            )
        if name == "again":
            await storage.log_execution_job_start(job)
    await storage.save_project(Project(project_id="empty", name="empty"))
    await storage.close()


def cut_power() -> None:
    """Leave what nothing was synced of: half a file, an empty one, a missing one; and a status of another release."""
    connection = sqlite3.connect(ROOT / "metadata.db")
    query = "SELECT output_ref FROM Records WHERE master_job_id <> 'mine' ORDER BY output_ref"
    found = [row[0] for row in connection.execute(query)]
    half, empty, missing = [Path(path) for path in found if "NaN" not in Path(path).read_text()][:3]
    half.write_text(half.read_text()[:9])
    empty.write_text("")
    missing.unlink()
    connection.execute("UPDATE GenerationMasterJob SET status = 'aggregating' WHERE status = 'running'")
    connection.execute("UPDATE Projects SET created_when = '2025-01-02 03:04:05' WHERE project_id = 'empty'")
    connection.commit()
    connection.close()


if __name__ == "__main__":
    if sys.argv[2:] == ["killed"]:
        run(killed)
    for function in (two_records, named_like_columns, no_json):
        run(function)
    subprocess.run([sys.executable, *sys.argv, "killed"], check=False)
    asyncio.run(save_again())
    cut_power()
