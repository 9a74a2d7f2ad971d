"""Stores that are only read: of earlier formats, of Starfish, in an archive. They are searched, and not changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrations.stores import on_disk, unpack
from starfish_storage import Storage, open_storage
from starfish_storage.copying import archive, open_archive
from starfish_storage.interface import SearchState
from starfish_storage.metadata.search.leaves import leaves_of
from starfish_storage.metadata.search.place import CACHE_VARIABLE
from starfish_storage.metadata.search.words import words_of
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "search"


async def some_word(storage: Storage) -> tuple[str, str]:
    """Return a word of some record, and its uid."""
    for job in await storage.list_master_jobs():
        async for batch in storage.scan_records(job.master_job_id):
            for record in batch:
                if record.output_ref is not None and record.payload is not None:
                    for _, text in leaves_of(await storage.get_record_data(record.output_ref)):
                        for word in words_of(text):
                            return word.text, record.record_uid
    raise AssertionError("the store has no words")


@pytest.mark.parametrize("name", ["v4-not-closed", "starfish-0.1.3"])
async def test_older_stores(tmp_path: Path, name: str) -> None:
    root = tmp_path / "store"
    unpack(name, root)
    before = {path: state for path, state in on_disk(root).items() if not path.endswith("-shm")}
    for _ in range(2):  # from a copy each time, which is made anew
        async with open_storage(root, read_only=True) as storage:
            word, uid = await some_word(storage)
            page = await storage.search_records(f'"{word}"', limit=1000)
            assert uid in {hit.record.record_uid for hit in page.hits}
            assert page.remaining == 0
    assert {path: state for path, state in on_disk(root).items() if not path.endswith("-shm")} == before


async def test_an_archive(tmp_path: Path, cache: Path) -> None:
    """It leaves no index behind: what it was taken out into is never opened again."""
    async with open_storage(tmp_path / "store", durability="process") as storage:
        await save_run(storage)
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {})
        await storage.save_record(a_record(), {"text": "word"})
        await archive(storage, MASTER_JOB, tmp_path / "run.zip")
    async with open_archive(tmp_path / "run.zip") as storage:
        assert (await storage.search_records("word")).found == 1
        assert await storage.index_records() == SearchState(1, 0)
    assert list(cache.iterdir()) == []
