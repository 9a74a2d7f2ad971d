"""Makes a store with a very large run and hundreds of small ones, in bulk: to save the records takes far longer."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from starfish_storage import GenerationMasterJob, LocalStorage, Project
from starfish_storage.codec import encode
from starfish_storage.keys import record_key
from starfish_storage.runs import input_job_id

LARGE = "large"
"""The id of the large run."""

_STATEMENTS = Path(__file__).with_name("fill_large_store.sql")
_BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
_EACH = timedelta(milliseconds=20)  # begins so long after the one before
_BATCH = 20_000


def make_large_store(directory: str, records: int, runs: int) -> None:
    """Make a store in a directory: so many records of the run `LARGE`, and so many small runs of seven projects."""
    asyncio.run(_make_runs(directory, records, runs))
    statements = dict(re.findall(r"-- name: (\w+)\n(.*?)(?=\n-- name|\Z)", _STATEMENTS.read_text(), re.DOTALL))
    database = apsw.Connection(f"{directory}/metadata.db")
    for shard in range(256):
        Path(directory, "data", f"{shard:02x}").mkdir(parents=True, exist_ok=True)
    rows = _rows(records)
    with ThreadPoolExecutor(2) as pool:
        while batch := list(islice(rows, _BATCH)):
            written = [pool.submit(_write_data, directory, batch[part::2]) for part in range(2)]
            with database:
                for kind in ("input", "attempt", "record"):
                    database.executemany(statements[kind], batch)
            for one in written:
                one.result()
    database.execute(statements["run"], {"run": LARGE, "inputs": records})
    database.close()


def uid_of(number: int) -> str:
    """Return the uid of a record of the large run."""
    return f"{input_job_id(LARGE, number, _digest(number))}-0"


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


async def _make_runs(directory: str, records: int, runs: int) -> None:
    async with LocalStorage(Path(directory).as_uri(), durability="process") as storage:
        for number in range(7):
            await storage.save_project(Project(project_id=f"project-{number}", name=f"Project {number}"))
        for number, run in enumerate([*(f"run-{number:04}" for number in range(runs)), LARGE]):
            reference = storage.generate_request_config_path(run)
            await storage.save_request_config(reference, {"function": "make.py:answer", "number": number})
            await storage.log_master_job_start(
                GenerationMasterJob(
                    master_job_id=run,
                    project_id=f"project-{number % 7}",
                    name=None if number % 3 else f"Number {number}",
                    status="running" if run == LARGE else "completed",
                    request_config_ref=reference,
                    output_schema={"type": "object", "properties": {"answer": {"type": "string"}}},
                    storage_uri=storage.storage_uri,
                    target_record_count=records if run == LARGE else 0,
                    creation_time=_BEGIN + timedelta(minutes=number),
                    start_time=_BEGIN,
                )
            )
            await storage.ledger.start_run(run)


def _rows(records: int) -> Iterator[dict[str, Any]]:
    for number in range(records):
        digest = _digest(number)
        job_id = input_job_id(LARGE, number, digest)
        begin = _BEGIN + number * _EACH
        status = "failed" if number % 50 == 7 else "filtered" if number % 10 == 3 else "completed"
        row = {
            "run": LARGE,
            "job_id": job_id,
            "position": number,
            "hash": digest,
            "run_config": f'{{"question":"{digest * 4}"}}',
            "status": status,
            "start_time": _time(begin),
            "end_time": _time(begin + timedelta(milliseconds=500 + number * 7919 % 4000)),
            "error": f"no answer to {number}" if status == "failed" else None,
            "error_type": "ValueError" if number % 100 == 7 else "TimeoutError" if status == "failed" else None,
            "traceback": "Traceback (most recent call last):\n" * 20 if status == "failed" else None,
            "data": None,
            "data_sha256": None,
            "output_ref": None,
        }
        if status != "failed":
            data = encode(
                {"number": number, "answer": digest * 5, "score": number % 1000 / 1000, "topic": digest[:2]}, ""
            )
            row |= {"data": data, "data_sha256": hashlib.sha256(data).hexdigest()}
            row["output_ref"] = record_key(f"{job_id}-0")
        yield row


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def _write_data(directory: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["data"] is not None:
            Path(directory, row["output_ref"]).write_bytes(row["data"])
