"""Stores that Starfish 0.1.x wrote come in whole, and are only read."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imports.foreign import FROZEN_OR_REAL, frozen
from migrations.reading import everything
from migrations.stores import on_disk
from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import InvalidInputError
from starfish_storage.imports import import_path, import_starfish
from starfish_storage.maintenance import verify


@FROZEN_OR_REAL
async def test_a_store(root: Path, stores_of: Callable[[str, str], Path], tmp_path: Path, made: str):
    source = stores_of("starfish", made)
    async with LocalStorage(root.as_uri()) as storage:
        await check(storage, source, tmp_path)
    report = await asyncio.to_thread(verify, root.as_uri())
    # Starfish itself starts master jobs without one; nothing else is odd.
    assert {finding.kind for finding in report.findings} == {"request_config_missing"}


async def check(storage: LocalStorage, source: Path, tmp_path: Path) -> None:
    before = on_disk(source)
    report = await import_path(storage, source)
    assert on_disk(source) == before
    async with LocalStorage(shutil.copytree(source, tmp_path / "same").as_uri()) as opened:
        there = await held(opened)
        assert (report.form, report.source, report.skipped) == ("starfish", source.name, 0)
        assert set(report.master_job_ids) == set(there["master_jobs"])
        assert set(report.project_ids) == set(there["projects"])
        assert report.records == report.new_records == len(there["records"]) > 5
        assert await held(storage) == there
    again = await import_path(storage, source, "starfish")
    assert (again.already_imported, again.new_records, again.records) == (True, 0, report.records)


async def held(storage: Storage) -> dict[str, Any]:
    """Return all that a store holds by its ids, but for what says where it lies."""
    found = await everything(storage)
    places = ("output_ref", "request_config_ref", "storage_uri")
    kinds = {
        "projects": "project_id",
        "master_jobs": "master_job_id",
        "execution_jobs": "job_id",
        "records": "record_uid",
    }
    rows = {
        kind: {row[key]: {name: value for name, value in row.items() if name not in places} for row in found[kind]}
        for kind, key in kinds.items()
    }
    return rows | {"data": found["data"], "configs": found["configs"]}


async def test_what_cannot_be_said_of_a_store(storage: LocalStorage, tmp_path: Path):
    source = frozen("starfish", tmp_path)
    with pytest.raises(InvalidInputError, match="keeps its own projects"):
        await import_path(storage, source, project_id="p")
    with pytest.raises(InvalidInputError, match="keeps its own projects"):
        await import_path(storage, source, name="n")


async def test_what_is_no_store_of_starfish(storage: LocalStorage, tmp_path: Path):
    async with LocalStorage((tmp_path / "ours").as_uri()):
        pass
    with pytest.raises(InvalidInputError, match="starfish-storage copy"):
        await import_path(storage, tmp_path / "ours")
    with pytest.raises(InvalidInputError, match="is not a store of Starfish"):
        await import_starfish(storage, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
