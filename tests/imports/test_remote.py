"""Files and other tools' stores come into PostgreSQL and an object store as they do into a directory."""

from __future__ import annotations

import json
from pathlib import Path

from imports.batch_outputs import ERRORS, OUTPUTS, write
from imports.foreign import FROZEN, frozen
from imports.reading import job_of, rows_of
from starfish_storage import open_storage
from starfish_storage.imports import import_path

ROWS = [{"n": n} for n in range(1200)]


async def test_all_forms(postgres_uri: str, s3_uri: str, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    batch = write(tmp_path / "batch.jsonl", [*OUTPUTS, *ERRORS])
    sources = {path: 1200, batch: 4, FROZEN / "curator": 10, FROZEN / "pipelines": 6, frozen("starfish", tmp_path): 36}
    async with open_storage(postgres_uri, s3_uri) as storage:
        for source, records in sources.items():
            report = await import_path(storage, source)
            assert (report.new_records, report.already_imported) == (report.records, False), source
            assert report.records >= records
            again = await import_path(storage, source)
            assert (again.new_records, again.already_imported) == (0, True), source
            if source == path:
                (job_id,) = report.master_job_ids
                assert await rows_of(storage, job_id) == ROWS
                assert (await job_of(storage, job_id)).status == "completed"
