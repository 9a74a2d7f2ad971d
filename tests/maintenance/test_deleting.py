"""Runs that are deleted in parts: nothing of others goes with them, and a deletion that is killed is continued."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cli import stores as runs
from copying import stores
from copying.stores import whole
from durability import processes
from maintenance.remote_stores import RemoteStore
from remote.transactions import Transaction
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
from starfish_storage.keys import record_key
from starfish_storage.maintenance import collect, repair, verify
from starfish_storage.metadata import deleting
from starfish_storage.uri import path_of_file_uri

_SAVE_LIKE = """
INSERT INTO records (
    record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time)
SELECT $1, $3, master_job_id, status, $4, start_time, end_time, last_update_time FROM records WHERE record_uid = $2
"""
_SAVE_MANY_LIKE = """
INSERT INTO records (record_uid, job_id, master_job_id, status, start_time, end_time, last_update_time)
SELECT 'like ' || number, job_id, master_job_id, status, start_time, end_time, last_update_time
FROM records, generate_series(1, 5000) AS number WHERE record_uid = $1
"""
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


@pytest.mark.parametrize("place", ["files"], indirect=True)
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


@pytest.mark.usefixtures("bit_by_bit")
@pytest.mark.parametrize("place", ["files", "postgres, directory"], indirect=True)
async def test_a_part_goes_on_where_the_last_one_ended(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In PostgreSQL, what is deleted stays in the indexes for a while: each part would read all of it again."""
    places: list[Any] = []
    delete_part = deleting.Deleting._delete_part

    async def noting(self: deleting.Deleting, run: str, place: Any, rows: int) -> Any:
        places.append(place)
        return await delete_part(self, run, place, rows)

    monkeypatch.setattr(deleting.Deleting, "_delete_part", noting)
    async with open_storage(place[0], place[1] or None) as storage:
        await storage.delete_master_job(runs.ENDED)
    first_walk = places[: 1 + next(number for number in range(1, len(places)) if places[number] == places[0])]
    walked = [(one.stage, *one.after) for one in first_walk[1:-1]]
    assert len(walked) > 5
    assert len(set(walked)) == len(walked)
    for earlier, later in pairwise(walked):
        assert later[0] > earlier[0] or later[1:] < earlier[1:]


@pytest.mark.usefixtures("bit_by_bit")
@pytest.mark.parametrize("place", ["files", "postgres, directory"], indirect=True)
async def test_what_is_saved_behind_a_deletion_goes_too(
    place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is newer than what the walk has come to, which the walk does not see."""
    delete_part, found = deleting.Deleting._delete_part, list[int]()
    late = [Record(record_uid=f"l{n}", job_id="late", master_job_id=runs.ENDED, status="completed") for n in range(3)]
    async with open_storage(place[0], place[1] or None) as storage, open_storage(place[0], place[1] or None) as other:

        async def saving(self: deleting.Deleting, *given: Any) -> Any:
            if len(found) == 4:
                await other.log_execution_job_start(
                    GenerationJob(job_id="late", master_job_id=runs.ENDED, run_config={})
                )
                await other.save_records((one, {"late": True}) for one in late)
            part = await delete_part(self, *given)
            found.append(part[1])
            return part

        monkeypatch.setattr(deleting.Deleting, "_delete_part", saving)
        await storage.delete_master_job(runs.ENDED)
        assert found[found.index(0) + 1 :] == [1, 1, 1, 0, 0]  # another walk found them, and one more nothing
        assert [await other.get_record_metadata(one.record_uid) for one in late] == [None] * 3
        assert await other.get_execution_job("late") is None
    assert [one for one in verify(place[0], place[1] or None).findings if one.kind != "pack_tail"] == []


@pytest.mark.parametrize("place", ["postgres, directory"], indirect=True)
async def test_postgres_lets_others_write_during_a_part(
    place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part waits for a row that another transaction has locked to borrow its data; the store is free meanwhile."""
    monkeypatch.setattr(deleting, "_MOST_AT_ONCE", 2)
    uri, data_uri = place
    async with open_storage(uri, data_uri) as storage, open_storage(uri, data_uri) as other:
        await other.save_record(_late("first"), {})
        records = await storage.get_records_for_master_job(runs.ENDED, ["completed"])
        lent = next(one for one in records if one.output_ref and one.record_uid != "lent to")
        data, key = await other.get_record_data(lent.output_ref or ""), record_key(lent.record_uid)
        with Transaction(uri, Path(path_of_file_uri(data_uri))) as borrower:
            borrower.make(lambda rows: rows.data_of(lent.record_uid))
            deletion = asyncio.create_task(storage.delete_master_job(runs.ENDED))
            while not borrower.make(borrower.holds_up_anybody):
                assert not deletion.done()
                await asyncio.sleep(0.01)  # a part may not have begun
            async with asyncio.timeout(60):
                await other.save_record(_late("late"), {"late": True})
            assert not deletion.done()
            borrower.execute(_SAVE_LIKE, "borrower 2", "late", "sum", key)
            borrower.commit()
        await deletion
        borrowed = await other.get_record_metadata("borrower 2")
        assert borrowed is not None
        assert await other.get_record_data(borrowed.output_ref or "") == data
    assert verify(uri, data_uri).findings == ()


@pytest.mark.parametrize("place", ["postgres, directory"], indirect=True)
async def test_postgres_keeps_an_execution_job_that_gets_a_record_meanwhile(place: tuple[str, str]) -> None:
    """It would take the row of the record along, and leave its data."""
    uri, data = place[0], Path(path_of_file_uri(place[1]))
    async with open_storage(*place) as storage:
        await storage.log_execution_job_start(GenerationJob(job_id="empty", master_job_id=runs.LOGGED, run_config={}))
        await storage.save_record(_late("late"), {})
        with Transaction(uri, data) as saver, Transaction(uri, data) as deleter:
            saver.execute(_SAVE_LIKE, "own", "late", "empty", None)
            deleted = deleter.begin_waiting(lambda rows: rows.delete_jobs_without_records(["empty"]), saver)
            saver.commit()
            deleted.result()
            deleter.commit()
        assert await storage.get_record_metadata("own") is not None


@pytest.mark.parametrize("place", ["postgres, directory"], indirect=True)
async def test_postgres_does_not_read_all_records_for_a_job_that_goes(place: tuple[str, str]) -> None:
    """Nearly all records are of one job, and the server knows it: by itself, it would, for the foreign key."""
    uri, data = place[0], Path(path_of_file_uri(place[1]))
    empty = [f"empty-{number}" for number in range(3)]
    async with open_storage(*place) as storage:
        await storage.save_record(_late("late"), {})
        for job_id in empty:
            await storage.log_execution_job_start(
                GenerationJob(job_id=job_id, master_job_id=runs.LOGGED, run_config={})
            )
    with Transaction(uri, data) as filler:
        filler.execute(_SAVE_MANY_LIKE, "late")
        filler.execute("DELETE FROM records WHERE record_uid NOT LIKE 'like %'")  # as late in a deletion
        filler.commit()
        filler.execute("ANALYZE records")
    with Transaction(uri, data) as deleter:
        deleter.make(lambda rows: rows.delete_jobs_without_records(empty))
        assert deleter.reads_of_all("records") == 0


def _late(uid: str) -> Record:
    return Record(record_uid=uid, job_id="sum", master_job_id=runs.LOGGED, status="completed")


@pytest.mark.parametrize("kill_at", [3, 6])  # among the records, and among the execution jobs that have none
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
