"""Exports of stores of all kinds, on real servers: the same records are the same bytes, wherever they lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.stores import ENDED
from copying import stores
from maintenance.conftest import make_store
from maintenance.remote_stores import RemoteStore
from migrations.stores import noted, on_disk, unpack
from starfish_storage import Storage
from starfish_storage.copying import copy
from starfish_storage.export import Csv, HuggingFace, JsonLines, Parquet, export, to_arrow

__all__ = ["make_store"]

FORMS = (JsonLines(metadata_key="about"), Csv("gzip"), Parquet(metadata_key="about"), HuggingFace())


async def exported(storage: Storage, directory: Path) -> dict[str, bytes]:
    directory.mkdir()
    for form in FORMS:
        report = await export(storage, directory / form.name, form, master_job_ids=[ENDED], statuses=None)
        assert report.records == 4
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


async def test_a_store_of_starfish_is_exported_untouched(tmp_path: Path) -> None:
    storage = unpack("starfish-0.1.3", tmp_path / "store")
    before = on_disk(tmp_path / "store")
    said = noted("starfish-0.1.3")
    async with storage:
        jobs = [job.master_job_id for job in await storage.list_master_jobs()]
        await export(
            storage, tmp_path / "out.jsonl", JsonLines(metadata_key="about"), master_job_ids=jobs, statuses=None
        )
    found = {}
    for line in (tmp_path / "out.jsonl").read_bytes().splitlines():
        data = json.loads(line)
        found[data.pop("about")["uid"]] = data
    assert found == said["data"]
    assert on_disk(tmp_path / "store") == before


@pytest.mark.parametrize("kind", ["postgres, s3", "sqlite, s3", "postgres, files"])
async def test_the_bytes_are_those_of_a_local_store(
    tmp_path: Path, make_store: Callable[[str], RemoteStore], kind: str
) -> None:
    async with await stores.make(tmp_path / "local") as local, make_store(kind).open() as remote:
        await copy(local, remote, master_job_ids=[ENDED])
        assert await exported(remote, tmp_path / "of-remote") == await exported(local, tmp_path / "of-local")
        table = await to_arrow(remote, master_job_ids=[ENDED], metadata=True)
        assert table == await to_arrow(local, master_job_ids=[ENDED], metadata=True)
