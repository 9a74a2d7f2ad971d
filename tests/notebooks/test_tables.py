"""What notebooks show of runs, projects and records, and what is read again of a run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from starfish_storage import InvalidInputError, Project, Record, generate, open_storage, sync
from starfish_storage.html_tables import ShownRecords, ShownRows

HOSTILE = "<script>alert('x')</script>"


def outputs(n: int) -> list[dict[str, Any]]:
    return [{"n": n, "text": HOSTILE}]


async def test_a_run_is_read_again_in_every_place(tmp_path: Path) -> None:
    inputs = [{"n": n} for n in range(6)]
    async with open_storage(tmp_path / "store", tmp_path / "data") as storage:
        run = await generate(storage, outputs, inputs, project="p", progress="quiet")
        sampled = run.sample(2, seed=1)  # while the store is open, and the event loop runs
        assert isinstance(await storage.get_records_for_master_job(run.master_job_id), ShownRecords)
        job = (await storage.list_execution_jobs(run.master_job_id))[0]
        assert isinstance(await storage.list_record_metadata(run.master_job_id, job.job_id), ShownRecords)
    assert sampled == run.sample(2, seed=1) != run.sample(2, seed=2)
    assert isinstance(sampled, ShownRows)
    assert sorted(row["n"] for row in run.sample(99)) == list(range(6))
    frame = await asyncio.to_thread(run.to_pandas, columns=["n"])
    assert list(frame["n"]) == list(range(6))
    with pytest.raises(InvalidInputError, match="where its store is"):
        replace(run, store=()).sample()
    with pytest.raises(InvalidInputError, match="-1"):
        run.sample(-1)


def test_a_run_of_the_synchronous_face_is_read_alike(tmp_path: Path) -> None:
    run = sync.generate(outputs, [{"n": 1}], store=tmp_path / "store", project="p", progress="quiet")
    assert run.sample() == [{"n": 1, "text": HOSTILE}]
    shown = replace(run, stop_reason=HOSTILE)._repr_html_()
    assert f"<caption>run {run.master_job_id}</caption>" in shown
    assert "completed: 1" in shown
    assert "<script" not in shown


def test_tables_are_small_and_escaped() -> None:
    record = Record(job_id="j", master_job_id="m", status="failed", error_message=HOSTILE)
    rows = ShownRows({"a": HOSTILE, f"<{number}>": number} for number in range(23))
    tables = (Project(name=HOSTILE), ShownRecords([record] * 23), rows, ShownRows())
    for shown in (one._repr_html_() for one in tables):
        assert "<script" not in shown
    assert ShownRecords([record] * 23)._repr_html_().count("<tr>") == 21
    assert "... and 3 more" in rows._repr_html_()
    assert "&lt;11&gt;" not in rows._repr_html_(), "no more than twelve columns"
    assert len(ShownRows([{"a": "x" * 10_000}])._repr_html_()) < 1_000
    assert [record] == ShownRecords([record])
    made = Project(name="p", created_when=datetime(2026, 1, 31, 12, tzinfo=UTC), updated_when=record.start_time)
    assert ">2026-01-31 12:00:00Z<" in made._repr_html_()
    assert "_repr_html_" not in Project(name="p").model_dump()
