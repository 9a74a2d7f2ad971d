"""Copying between stores of all kinds, on real servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from copying import stores
from copying.stores import whole
from maintenance.conftest import make_store
from maintenance.remote_stores import RemoteStore
from starfish_storage import LocalStorage
from starfish_storage.copying import archive, copy, unarchive
from starfish_storage.errors import InvalidInputError
from starfish_storage.maintenance import verify

__all__ = ["make_store"]

KINDS = ("postgres, s3", "sqlite, s3", "postgres, files")


async def test_once_around(tmp_path: Path, make_store: Callable[[str], RemoteStore]) -> None:
    first = await stores.make(tmp_path / "first")
    last = LocalStorage((tmp_path / "last").as_uri())
    async with first:
        expected = await whole(first)
    before = first
    for kind in KINDS:
        remote = make_store(kind)
        async with before, remote.open() as target:
            report = await copy(before, target)
            assert (report.records, report.execution_jobs, report.attempts, report.steps) == (51, 18, 10, 3)
            assert await whole(target) == expected
            again = await copy(before, target)
            assert (again.records, again.execution_jobs, again.attempts, again.unchanged) == (0, 0, 0, 69)
        assert remote.verify().findings == ()
        before = remote.open()
    async with before, last:
        await copy(before, last)
        assert await whole(last) == expected
        await copy(last, before)
        assert await whole(before) == expected
    assert verify(last.storage_uri).findings == ()


@pytest.mark.parametrize("kind", KINDS)
async def test_one_store_is_not_copied_into_itself(make_store: Callable[[str], RemoteStore], kind: str) -> None:
    remote = make_store(kind)
    async with remote.open() as one, remote.open() as other:
        with pytest.raises(InvalidInputError, match="both source and target"):
            await copy(one, other)


async def test_the_data_of_two_stores_lies_apart(tmp_path: Path) -> None:
    target = LocalStorage((tmp_path / "b").as_uri(), (tmp_path / "a").as_uri())
    async with target:  # made while there was nothing: it is refused beside the data of another
        pass
    async with LocalStorage((tmp_path / "a").as_uri()) as source, target:
        with pytest.raises(InvalidInputError, match="have their data at"):
            await copy(source, target)


async def test_an_archive_of_a_remote_store(tmp_path: Path, make_store: Callable[[str], RemoteStore]) -> None:
    source, remote, other = await stores.make(tmp_path / "a"), make_store("postgres, s3"), make_store("postgres, s3")
    async with source, remote.open() as middle, other.open() as target:
        await copy(source, middle, master_job_ids=["capitals-1"])
        await archive(middle, "capitals-1", tmp_path / "run.zip")
        await unarchive(tmp_path / "run.zip", target)
        found = await whole(target)
        everything = await whole(source)
        assert found == {key: everything[key] for key in found}
        assert len([key for key in found if key[0] == "record"]) == 6
