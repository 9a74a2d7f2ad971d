"""The synchronous face as types: never run, only checked by pyright, as `typed` is."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from typing import assert_type

import pandas as pd

from starfish_storage import Project, Record, interface, sync
from starfish_storage.copying import CopyReport
from starfish_storage.export import ExportReport
from starfish_storage.generation import CallsExplained, Drained, Run, Where
from starfish_storage.imports import ImportReport
from starfish_storage.interface import ScannedRecord, SearchPage
from starfish_storage.runs import Annotation


def answer(question: str) -> dict[str, str]:
    return {"answer": question}


def check_runs(store: sync.Storage, path: os.PathLike[str]) -> None:
    run = sync.generate(answer, ["a"], store="store", project="p", max_concurrency=3, progress="off")
    assert_type(run, Run)
    assert_type(sync.resume(run.master_job_id, store=path), Run)
    assert_type(sync.retry("r", answer, store=store, where=Where(error_text="timeout")), Run)
    assert_type(sync.cancel("r", store=store), None)
    assert_type(sync.drain(store=store, timeout=5), Drained)
    assert_type(sync.explain_calls("r", store=store), CallsExplained)
    sync.generate(answer, ["a"], project="p")  # pyright: ignore[reportCallIssue] (no store)
    sync.generate(answer, ["a"], store=store, project="p", max_concurency=3)  # pyright: ignore[reportCallIssue]
    sync.generate(answer, ["a"], store=store.asynchronous, project="p")  # pyright: ignore[reportArgumentType]


def check_what_goes_in_and_out(store: sync.Store) -> None:
    assert_type(sync.export("out.jsonl", store=store, master_job_ids=["r"]), ExportReport)
    assert_type(sync.to_pandas(store=store, metadata=True), pd.DataFrame)
    assert_type(sync.import_path("rows.csv", store=store), ImportReport)
    assert_type(sync.copy(store, "other"), CopyReport)
    with sync.open_archive("run.zip") as archived:
        assert_type(archived, sync.Storage)


def check_stores() -> None:
    with sync.open_storage("store", read_only=True, layout="packed") as store:
        assert_type(store, sync.Storage)
        assert_type(store.save_project(Project(name="p")), None)
        assert_type(store.get_record_metadata("u"), Record | None)
        assert_type(store.iter_records("r"), Generator[Record])
        with closing(store.scan_records("r")) as batches:
            assert_type(next(batches), list[ScannedRecord])
        assert_type(store.search_records("cat"), SearchPage)
        assert_type(store.ledger, sync.RunLedger)
        assert_type(store.ledger.count_inputs("r"), dict[str, int])
        assert_type(store.annotations.add("u", "label", "good", author="me"), Annotation)
        assert_type(store.asynchronous, interface.Storage)
        assert_type(store.ledger.asynchronous, interface.RunLedger)
