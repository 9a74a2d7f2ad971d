"""Cached pipelines of distilabel: the rows of their last steps become records."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from imports.foreign import FROZEN, FROZEN_OR_REAL
from imports.reading import config_of, job_of, rows_of
from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidInputError, MissingExtraError
from starfish_storage.imports import import_distilabel, import_path

INSTRUCTIONS = [f"capital of {name}?" for name in ("France", "Japan", "Peru")]


@FROZEN_OR_REAL
async def test_a_pipeline(storage: LocalStorage, stores_of: Callable[[str, str], Path], made: str):
    source = stores_of("distilabel", made)
    report = await import_path(storage, source)
    assert (report.form, report.project_ids, report.records) == ("distilabel", ("capitals",), 6)
    jobs = {(await job_of(storage, one)).name: one for one in report.master_job_ids}
    assert set(jobs) == {"capitals: keep", "capitals: text"}
    assert await rows_of(storage, jobs["capitals: keep"]) == [{"instruction": one} for one in INSTRUCTIONS]
    rows = await rows_of(storage, jobs["capitals: text"])
    assert [row["generation"] for row in rows] == [f"answer to: {one}" for one in INSTRUCTIONS]
    assert {row["model_name"] for row in rows} == {"gpt-4o-mini"}
    assert rows[0]["distilabel_metadata"]["statistics_text"] == {"input_tokens": 11, "output_tokens": 7}
    config = await config_of(storage, jobs["capitals: text"])
    source_of = config["import"]["source"]
    assert (source_of["pipeline"], source_of["step"]) == ("capitals", "text")
    steps = {step["name"]: step["step"] for step in config["distilabel"]["pipeline"]["steps"]}
    assert steps["text"]["llm"]["model"] == "gpt-4o-mini"

    again = await import_path(storage, next(source.glob("capitals/*/executions/*")))
    assert (again.already_imported, again.new_records, again.master_job_ids) == (True, 0, report.master_job_ids)


@pytest.fixture
def execution(tmp_path: Path) -> Path:
    found = next((FROZEN / "pipelines").glob("capitals/*/executions/*"))
    return Path(shutil.copytree(found, tmp_path / "executions" / found.name))


async def test_steps_with_the_same_rows_are_two(storage: LocalStorage, execution: Path):
    outputs = execution / "data" / "steps_outputs"
    shutil.copytree(outputs / "keep", outputs / "same")
    shutil.copy(outputs / "keep" / "00001.parquet", outputs / "same" / "00002.parquet")
    shutil.copytree(outputs / "keep", outputs / "twin")
    report = await import_distilabel(storage, str(execution), project_id="p", name="n")
    assert (report.records, len(set(report.master_job_ids)), report.project_ids) == (15, 4, ("p",))
    jobs = [await job_of(storage, one) for one in report.master_job_ids]
    assert {job.name for job in jobs} == {"n"}
    assert [job.completed_record_count for job in jobs] == [3, 6, 3, 3]


async def test_rows_for_which_the_model_gave_nothing_have_failed(storage: LocalStorage, execution: Path):
    (path,) = execution.glob("data/steps_outputs/text/*.parquet")
    table = pyarrow.parquet.read_table(path)
    rows = table.to_pylist()
    # As distilabel 1.5.3 writes what its model was refused, the question that stood in one batch with it included.
    nothing = dict.fromkeys(rows[0]["distilabel_metadata"])
    for row in rows[:2]:
        row.update(generation=None, model_name=None, distilabel_metadata=nothing)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), path)
    report = await import_distilabel(storage, str(execution))
    (job_id,) = [one for one in report.master_job_ids if (await job_of(storage, one)).name == "capitals: text"]
    job = await job_of(storage, job_id)
    assert (job.status, job.completed_record_count, job.failed_record_count) == ("completed_with_errors", 1, 2)
    assert job.summary == {"completed": 1, "failed": 2, "skipped": 0}
    (group,) = await storage.ledger.list_errors(job_id)
    assert (group.inputs, group.example) == (2, "the model of step 'text' gave no output")
    records = await storage.list_record_metadata(job_id, group.job_id)
    failed = [one for one in records if one.status == "failed"]
    assert [one.error_message for one in failed] == [group.example] * 2
    assert (await storage.get_record_data(failed[0].output_ref or ""))["generation"] is None, "the row is kept"
    assert (await import_distilabel(storage, str(execution))).already_imported


async def test_what_is_no_pipeline(storage: LocalStorage, execution: Path, monkeypatch: pytest.MonkeyPatch):
    for content in ("a: [", "- 1", "pipeline: 1"):
        (execution / "pipeline.yaml").write_text(content)
        with pytest.raises(InvalidInputError, match=r"pipeline\.yaml"):
            await import_path(storage, execution)
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "yaml", None)
        with pytest.raises(MissingExtraError, match=r"need yaml.*starfish-storage\[distilabel\]"):
            await import_path(storage, execution)
    shutil.rmtree(execution / "data")
    with pytest.raises(InvalidInputError, match="contains no cached pipeline"):
        await import_distilabel(storage, str(execution))
    with pytest.raises(InvalidInputError, match="from what is in it"):
        await import_path(storage, execution)
    assert await storage.list_master_jobs() == []
