"""Parquet, Arrow IPC and dataset directories as `export` makes them."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.ipc
import pyarrow.parquet
import pytest

from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.errors import AlreadyExistsError, InvalidInputError, NotExportableError, StorageIOError
from starfish_storage.export import ArrowIpc, HuggingFace, Parquet, destination, export
from starfish_storage.files import atomic
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.suite import refused

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}
ROWS: list[dict[str, Any]] = [{"n": 1, "mixed": "a"}, {"n": 1.5, "late": [1]}, {"mixed": {"x": 1}}]


async def test_tables_hold_all_records_and_say_where_they_come_from(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, ROWS)
    report = await export(storage, tmp_path / "out.parquet", **ONE)
    assert (report.records, [conflict.path for conflict in report.conflicts]) == (3, ["$.mixed"])
    await export(storage, tmp_path / "out.arrow", **ONE)
    with pyarrow.ipc.open_file(tmp_path / "out.arrow") as file:
        tables = [pyarrow.parquet.read_table(tmp_path / "out.parquet"), file.read_all()]
    for table in tables:
        assert table.to_pylist() == [
            {"n": 1.0, "mixed": '"a"', "late": None},
            {"n": 1.5, "mixed": None, "late": [1]},
            {"n": None, "mixed": '{"x":1}', "late": None},
        ]
        about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        assert json.loads(about["starfish_storage.master_job_ids"]) == [MASTER_JOB]
        assert json.loads(about["starfish_storage.json_columns"]) == ["$.mixed"]


@pytest.mark.parametrize(
    "form", [Parquet(metadata_key="about"), ArrowIpc(metadata_key="about")], ids=["parquet", "arrow"]
)
async def test_metadata_is_the_last_column(storage: LocalStorage, tmp_path: Path, form: Parquet | ArrowIpc) -> None:
    await save(storage, [{"n": 1}, {"n": 2, "late": 1}])
    await export(storage, tmp_path / "out", form, **ONE)
    if isinstance(form, Parquet):
        table = pyarrow.parquet.read_table(tmp_path / "out")
    else:
        table = pyarrow.ipc.open_file(tmp_path / "out").read_all()
    assert table.column_names == ["n", "late", "about"]
    assert [row["uid"] for row in table.column("about").to_pylist()] == ["r0000", "r0001"]


async def test_what_no_table_holds_is_refused_or_left_out(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}, {"n": 2, "about": 1}])
    form = Parquet(metadata_key="about")
    with refused(NotExportableError, "r0001"):
        await export(storage, tmp_path / "out.parquet", form, **ONE)
    report = await export(storage, tmp_path / "out.parquet", form, skip_damaged=True, **ONE)
    assert (report.records, report.skipped_records) == (1, 1)
    for bad in (Parquet, ArrowIpc, HuggingFace):
        with refused(InvalidInputError, "zip"):
            bad(compression="zip")


async def test_a_dataset_directory_is_opened_by_the_real_library(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    uids = await save(storage, ({"n": number, "text": f"naïve {number}"} for number in range(200)))
    target = tmp_path / "dataset"
    form = HuggingFace({"train": 0.8, "test": 0.2}, seed=3, metadata_key="metadata", group_by="@record")
    report = await export(storage, target, form, **ONE)
    assert report.records == 200
    assert report.bytes == sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    from datasets import load_dataset  # takes a second and a half, also for workers that run none of this

    found: Any = load_dataset(str(target), cache_dir=str(tmp_path / "cache"))
    rows = [row for split in ("train", "test") for row in found[split]]
    assert sorted(row["n"] for row in rows) == list(range(200))
    assert sorted(row["metadata"]["uid"] for row in rows) == uids
    assert 20 <= len(found["test"]) <= 60
    with refused(AlreadyExistsError, "dataset"):
        await export(storage, target, form, **ONE)
    files = {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    theirs = target / "data" / "more-00000-of-00001.parquet"  # which the card does not name
    theirs.write_text("of somebody")
    with refused(InvalidInputError, "no export wrote"):
        await export(storage, target, form, overwrite=True, **ONE)
    theirs.unlink()
    await export(storage, target, form, overwrite=True, **ONE)
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "dataset", "store"]


async def test_a_dataset_that_cannot_be_made_leaves_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"split": "train"}, {"split": "../evil"}])
    with refused(NotExportableError, "r0001"):
        await export(storage, tmp_path / "dataset", HuggingFace(split_by="split"), **ONE)
    (tmp_path / "file").write_text("mine")
    with refused(InvalidInputError, "file"):
        await export(storage, tmp_path / "file", HuggingFace(), overwrite=True, **ONE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "store"]


async def test_only_a_dataset_is_replaced(storage: LocalStorage, tmp_path: Path) -> None:
    await save(storage, [{"n": 1}])
    mine = tmp_path / "project"
    mine.mkdir()
    await export(storage, mine, HuggingFace(), overwrite=True, **ONE)  # an empty one too
    (mine / ".git").mkdir()
    for place in (mine, tmp_path / "store", tmp_path):
        with refused(InvalidInputError):
            await export(storage, place, HuggingFace(), overwrite=True, **ONE)
    assert sorted(path.name for path in mine.iterdir()) == [".git", "README.md", "data"]
    assert len(await storage.get_records_for_master_job(MASTER_JOB)) == 1


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchanged", "renamed"])
async def test_what_is_there_stays_if_it_cannot_be_replaced(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    await save(storage, [{"n": 1}])
    target = tmp_path / "dataset"
    await export(storage, target, HuggingFace(), **ONE)
    card = (target / "README.md").read_bytes()
    fail = OSError(errno.EIO, "broken")
    if exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: (_ for _ in ()).throw(fail))
    else:
        rename = os.rename
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)

        def rename_or_fail(source: str, place: str, **options: Any) -> None:
            if source.endswith("-partial"):
                raise fail
            rename(source, place, **options)

        monkeypatch.setattr(atomic.os, "rename", rename_or_fail)
    with refused(StorageIOError, "dataset"):
        await export(storage, target, HuggingFace(card="another"), overwrite=True, **ONE)
    monkeypatch.undo()
    assert (target / "README.md").read_bytes() == card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "store"]
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    await export(storage, target, HuggingFace(card="another"), overwrite=True, **ONE)
    assert b"another" in (target / "README.md").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "store"]


@pytest.mark.parametrize("done_before", [True, False])
async def test_cancelled_at_the_end_it_is_replaced_all_the_same(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done_before: bool
) -> None:
    await save(storage, [{"n": 1}])
    target = tmp_path / "dataset"
    await export(storage, target, HuggingFace(), **ONE)
    begun, goes_on = threading.Event(), threading.Event()
    exchange, shutdown = atomic._exchange, ThreadPoolExecutor.shutdown

    def slow_exchange(one: str, other: str) -> bool:
        done = done_before and exchange(one, other)
        begun.set()
        assert goes_on.wait(20)
        return done or exchange(one, other)

    def slow_shutdown(executor: ThreadPoolExecutor, **options: Any) -> None:
        goes_on.set()  # whoever waits for the thread has let go of nothing yet
        shutdown(executor, **options)

    monkeypatch.setattr(atomic, "_exchange", slow_exchange)
    monkeypatch.setattr(
        destination, "ThreadPoolExecutor", type("Slow", (ThreadPoolExecutor,), {"shutdown": slow_shutdown})
    )
    work = asyncio.create_task(export(storage, target, HuggingFace(card="another"), overwrite=True, **ONE))
    await asyncio.to_thread(begun.wait, 20)
    work.cancel()
    asyncio.get_running_loop().call_soon(work.cancel)  # and once more, while it waits
    with pytest.raises(asyncio.CancelledError):
        await work
    assert "another" in (target / "README.md").read_text()  # what was begun was ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "store"]
