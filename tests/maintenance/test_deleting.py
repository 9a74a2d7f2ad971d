"""Runs that are deleted in parts: nothing of others goes with them, and a deletion that is killed is continued."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import stores as runs
from copying import stores
from copying.stores import whole
from durability import processes
from maintenance.remote_stores import RemoteStore
from starfish_storage import (
    GenerationJob,
    InvalidInputError,
    LocalStorage,
    NotFoundError,
    Record,
    Storage,
    open_storage,
    resume,
)
from starfish_storage.copying import copy
from starfish_storage.maintenance import collect, repair, verify
from starfish_storage.metadata import deleting

_KINDS = ("files", "packed", "postgres, directory", "postgres, s3")


@pytest.fixture
def bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row goes in a part of its own, without a rest."""
    monkeypatch.setattr(deleting, "_MOST_AT_ONCE", 1)
    monkeypatch.setattr(deleting, "_REST", 0)


@pytest.fixture(params=_KINDS)
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, make_store: Callable[[str], RemoteStore]
) -> tuple[str, str]:
    """A store with every kind of row, as its URI and that of its data ("": beside it)."""
    uri, data_uri = (tmp_path / "store").as_uri(), ""
    if request.param.startswith("postgres"):
        remote = make_store(request.param)
        uri, data_uri = remote.uri, remote.data_uri
    source = await stores.make(tmp_path / "source")
    layout = "packed" if request.param == "packed" else "files"
    async with source, open_storage(uri, data_uri or None, layout=layout) as to:
        await copy(source, to)
        await _borrow(to)
    return uri, data_uri


async def _borrow(storage: Storage) -> None:
    """Have a record of another run refer to the data of one of the run that is deleted, and the other way round."""
    (lent, *_), (owner, *_) = [
        await storage.get_records_for_master_job(run, ["completed"]) for run in (runs.ENDED, runs.LOGGED)
    ]
    for run, uid, reference in (
        (runs.LOGGED, "borrows", lent.output_ref),
        (runs.ENDED, "lent to", owner.output_ref),
    ):
        await storage.log_execution_job_start(GenerationJob(job_id=uid, master_job_id=run, run_config={}))
        await storage.log_record_metadata(
            Record(record_uid=uid, job_id=uid, master_job_id=run, status="completed", output_ref=reference)
        )


def _of_others(rows: dict[Any, Any]) -> dict[Any, Any]:
    """Return the rows that have nothing to do with the run that is deleted."""
    gone = {runs.ENDED} | {key[1] for key, row in rows.items() if runs.ENDED in repr(row)}
    return {key: row for key, row in rows.items() if gone.isdisjoint(key[1:])}


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    return row


@pytest.mark.parametrize("place", ["packed", "postgres, s3"], indirect=True)
async def test_a_deletion_that_is_killed_leaves_others_alone_and_is_continued(place: tuple[str, str]) -> None:
    uri, data_uri = place
    async with open_storage(uri, data_uri or None) as storage:
        expected = _of_others(await whole(storage))
        before = await storage.count_records_for_master_job(runs.ENDED)
    assert ("record", "borrows") in expected
    for kill_at, how in ((2, "before"), (6, "during")):
        arguments = ["-m", "maintenance.deleting_process", uri, data_uri, runs.ENDED, str(kill_at), how]
        status, _, error = processes.run(arguments)
        assert status == -signal.SIGKILL, error
        async with open_storage(uri, data_uri or None) as storage:
            assert _of_others(await whole(storage)) == expected
            assert sum((await storage.count_records_for_master_job(runs.ENDED)).values()) < sum(before.values())
            with pytest.raises((NotFoundError, InvalidInputError), match="being deleted"):
                await resume(storage, runs.ENDED, _answer)
        (finding,) = [one for one in verify(uri, data_uri or None).findings if one.kind != "pack_tail"]
        assert (finding.kind, finding.subject) == ("deletion_unfinished", runs.ENDED)
    async with open_storage(uri, data_uri or None) as storage:
        await storage.delete_master_job(runs.ENDED)
        assert await whole(storage) == expected
        with pytest.raises(NotFoundError):
            await storage.delete_master_job(runs.ENDED)
        await storage.delete_project("geography", cascade=True)  # what is left of it
        assert await storage.get_project("geography") is None
    assert verify(uri, data_uri or None).findings == ()


@pytest.mark.usefixtures("bit_by_bit")
@pytest.mark.parametrize("place", ["files", "postgres, directory"], indirect=True)
async def test_parts_leave_what_one_transaction_leaves(place: tuple[str, str]) -> None:
    uri, data_uri = place
    async with open_storage(uri, data_uri or None) as storage:
        expected = _of_others(await whole(storage))
        await storage.delete_master_job(runs.ENDED)
        assert await whole(storage) == expected
        for project in await storage.list_projects():
            await storage.delete_project(project.project_id, cascade=True)
        assert await whole(storage) == {}
    collect(uri, data_uri or None)
    found = verify(uri, data_uri or None)
    assert (found.findings, found.records, found.files) == ((), 0, 0)


@pytest.mark.parametrize("place", ["files", "postgres, directory"], indirect=True)
async def test_others_write_between_the_parts(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "_MOST_AT_ONCE", 1)
    uri, data_uri = place
    async with open_storage(uri, data_uri or None) as storage, open_storage(uri, data_uri or None) as other:
        await other.save_record(_late("first"), {})
        deletion = asyncio.create_task(storage.delete_master_job(runs.ENDED))
        saved = asyncio.create_task(other.save_record(_late("late"), {"late": True}))
        first, _ = await asyncio.wait([deletion, saved], return_when=asyncio.FIRST_COMPLETED)
        assert first == {saved}
        await deletion
        assert (await storage.get_record_metadata("late")) is not None


def _late(uid: str) -> Record:
    return Record(record_uid=uid, job_id="sum", master_job_id=runs.LOGGED, status="completed")


@pytest.mark.parametrize("kill_at", [6, 12])  # among the records, and among the execution jobs
async def test_a_lost_database_is_rebuilt_without_what_was_deleted(tmp_path: Path, kill_at: int) -> None:
    root = tmp_path / "store"
    await stores.make(root)
    arguments = ["-m", "maintenance.deleting_process", root.as_uri(), "", runs.ENDED, str(kill_at), "before"]
    assert processes.run(arguments)[0] == -signal.SIGKILL
    async with LocalStorage(root.as_uri()) as storage:
        expected = await whole(storage)
    for file in root.glob("metadata.db*"):
        file.unlink()
    repair(root.as_uri())
    async with LocalStorage(root.as_uri()) as storage:
        assert (await whole(storage)).keys() == expected.keys()
