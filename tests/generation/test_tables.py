"""Inputs as people have them: texts, models, frames, tables and data sets, and the same ones again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel

from generation.runs import RUN, start
from starfish_storage import InvalidInputError
from starfish_storage.export import to_arrow
from starfish_storage.generation import generate, resume
from starfish_storage.interface import Storage

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROWS = [{"question": f"question {n}", "level": n, "share": n / 2} for n in range(20)]


async def inputs_of(storage: Storage, run: str = RUN) -> list[dict[str, Any] | None]:
    jobs = await storage.list_execution_jobs(run)
    return [job.run_config for job in sorted(jobs, key=lambda job: job.job_id)]


async def answer(question: str, level: int, share: float) -> dict[str, Any]:
    return {"question": question, "level": level, "share": share}


def pandas() -> Any:
    import pandas as pd

    return pd.DataFrame(ROWS)


def polars() -> Any:
    import polars as pl

    return pl.DataFrame(ROWS)


def lazy() -> Any:
    return polars().lazy()


def arrow() -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(ROWS)


def batch() -> Any:
    return arrow().combine_chunks().to_batches()[0]


def reader() -> Any:
    import pyarrow as pa

    return pa.RecordBatchReader.from_batches(arrow().schema, arrow().to_batches())


def dataset() -> Any:
    import datasets

    return datasets.Dataset.from_list(ROWS)


def streamed() -> Any:
    return dataset().to_iterable_dataset()


@pytest.mark.parametrize("made", [pandas, polars, lazy, arrow, batch, reader, dataset, streamed])
async def test_a_table_is_its_rows_and_they_are_the_same_again_as_dicts(
    storage: Storage, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starfish_storage.generation.frames._PORTION", 7)
    given = made()
    run = await start(storage, answer, given)
    job = await storage.get_master_job(RUN)
    assert job is not None
    is_counted = made not in (reader, streamed)
    assert (run.inputs, job.target_record_count) == ({"completed": 20}, 20)
    assert await inputs_of(storage) == ROWS
    again = await generate(storage, answer, ROWS, project="p", master_job_id=RUN, progress="quiet")
    assert again.done_before == 20
    if is_counted:
        told: list[int | None] = []
        await start(storage, answer, given, master_job_id="b", progress=lambda one: told.append(one.total))
        assert told[0] == 20


async def test_a_run_that_a_frame_began_goes_on_with_its_records(storage: Storage) -> None:
    """The identity of an input follows from its JSON, wherever it came from."""
    complete = storage.ledger.complete_inputs

    async def killed(_id: str) -> int:
        raise SystemExit

    storage.ledger.complete_inputs = killed  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        await start(storage, answer, iter(ROWS[:3]))
    storage.ledger.complete_inputs = complete  # type: ignore[method-assign]
    with pytest.raises(InvalidInputError, match="input 0 is not the same"):
        await resume(storage, RUN, answer, inputs=pandas()[1:4], progress="quiet")
    run = await resume(storage, RUN, answer, inputs=pandas()[:3], progress="quiet")
    assert run.inputs == {"completed": 3}


async def test_a_table_of_records_gives_them_as_they_were(storage: Storage) -> None:
    """Also where no column holds them: what `to_arrow` notes is put back."""
    rows = [{"a": {"city": "Rome"}, "n": 1}, {"a": {"q": 2**70}, "n": 2.5, "late": None}, {"a": None, "late": "x"}]
    await start(storage, lambda row: row, [{"row": row} for row in rows])
    table = await to_arrow(storage, master_job_ids=[RUN])
    assert str(table.schema.field("a").type) == "string"
    await start(storage, lambda **row: row, table, master_job_id="b")
    assert sorted(map(repr, await inputs_of(storage, "b"))) == sorted(map(repr, rows))
    torn = table.set_column(0, "a", pa.array(["{", None, None]))
    with pytest.raises(InvalidInputError, match=r"row 1 of the inputs cannot be read: column 'a' is not the JSON text"):
        await start(storage, lambda **row: row, torn, master_job_id="c")


async def test_values_of_frames_become_json(storage: Storage) -> None:
    import datasets
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    frame = pd.DataFrame(
        {"t": [pd.Timestamp(NOON), pd.NaT], "x": [1.5, np.nan], "a": [np.arange(2), None], "n": pd.array([1, None])}
    )
    other = pl.DataFrame({"d": [Decimal("1.50")], "b": [b"x"], "l": [[{"k": NOON}]]})
    table = pa.table({"d": [Decimal("1.50")], "t": pa.array([NOON]), "b": [b"x"]})
    runs: list[tuple[Any, list[dict[str, Any]]]] = [
        (
            frame,
            [
                {"t": "2026-01-31T12:00:00+00:00", "x": 1.5, "a": [0, 1], "n": 1},
                {"t": None, "x": None, "a": None, "n": None},
            ],
        ),
        (pd.Series(["a", "b"]), [{"text": "a"}, {"text": "b"}]),
        (pl.Series(["a", "b"]), [{"text": "a"}, {"text": "b"}]),
        (other, [{"d": "1.50", "b": "x", "l": [{"k": "2026-01-31T12:00:00Z"}]}]),
        (table, [{"d": "1.50", "t": "2026-01-31T12:00:00.000000Z", "b": "eA=="}]),
        (datasets.Dataset.from_dict({"text": ["a"]}), [{"text": "a"}]),
    ]
    for number, (given, expected) in enumerate(runs):
        await start(storage, lambda row: row, given, master_job_id=f"r{number}")
        assert await inputs_of(storage, f"r{number}") == expected


class Question(BaseModel):
    question: str


@dataclass
class QuestionToo:
    question: str


async def test_texts_and_models_from_any_source(storage: Storage) -> None:
    async def asynchronous() -> AsyncIterator[Any]:
        for one in ("a", Question(question="b")):
            yield one
            await asyncio.sleep(0)

    async def itself(anything: str) -> dict[str, Any]:
        return {"length": len(anything)}

    run = await start(storage, itself, ["a", "bc"], master_job_id="texts")
    assert run.status == "completed"
    assert await inputs_of(storage, "texts") == [{"text": "a"}, {"text": "bc"}]
    mixed = [Question(question="a"), QuestionToo("b"), {"question": "c"}]
    await start(storage, lambda question: {"q": question}, iter(mixed), master_job_id="models")
    assert await inputs_of(storage, "models") == [{"question": one} for one in "abc"]
    await start(storage, lambda row: row, asynchronous(), master_job_id="asynchronous")
    assert await inputs_of(storage, "asynchronous") == [{"text": "a"}, {"question": "b"}]


async def test_what_is_no_list_of_inputs_is_refused(storage: Storage) -> None:
    import datasets
    import pandas as pd

    twice: Any = pd.DataFrame([[1, 2]])
    twice.columns = ["a", "a"]
    made: Any = datasets.DatasetDict
    splits = made(train=dataset(), test=dataset())
    refused: list[tuple[Any, str]] = [
        ("questions.jsonl", r"not one text; read_inputs\(path\)"),
        ({"question": "?"}, "not dict"),
        (twice, "two columns of the inputs are named 'a'"),
        (splits, "choose one of its splits: 'train', 'test'"),
        (pd.DataFrame({"a": [object()]}), r"a row of the inputs cannot be JSON: at \$.a"),
        ([5], "input 0 must be a JSON object"),
        ([b"a"], "input 0 must be a JSON object"),
    ]
    for given, reason in refused:
        with pytest.raises(InvalidInputError, match=reason):
            await start(storage, lambda row: row, given)
        assert await storage.get_master_job(RUN) is None


def test_no_library_is_imported_for_inputs_that_are_not_its() -> None:
    code = """
import sys
from starfish_storage.generation.frames import rows_of
from starfish_storage.generation import read_inputs
assert rows_of([1]) == [1]
print([name for name in ("numpy", "pandas", "polars", "pyarrow", "datasets") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
