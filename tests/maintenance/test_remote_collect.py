"""Collect with rows in PostgreSQL or data in an object store: what nothing refers to goes, everything else stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durability import processes
from maintenance import stores
from maintenance.remote_stores import OLD_VERSION, RemoteStore
from maintenance.test_remote_verify import write_and_delete
from starfish_storage import DataNotFoundError, InvalidInputError, Record, StoreDamagedError
from starfish_storage.data import inventory
from starfish_storage.maintenance import CollectReport
from starfish_storage.metadata.postgres.cleaning import PostgresCleaning


async def test_only_what_nothing_refers_to_is_removed(remote: RemoteStore, week_later: None) -> None:
    before = remote.objects()
    odd = remote.put("data/7f/odd.txt", b"?")
    unwanted = [remote.orphan(), remote.put("configs/nobody.request.json", b"{}\n")]
    unwanted.append(remote.put(f"staging/{'0' * 32}/0", b"{"))
    plan = remote.collect(dry_run=True)
    assert sorted(plan.removed) == sorted(unwanted)
    assert all(map(remote.is_there, unwanted))
    done = remote.collect()
    assert (sorted(done.removed), done.bytes) == (sorted(unwanted), plan.bytes)
    assert not any(map(remote.is_there, unwanted))
    assert remote.objects() == before | {odd: b"?"}
    assert remote.kinds() == [("not_data", odd)]
    assert remote.collect().removed == []


async def test_what_is_young_is_kept(remote: RemoteStore) -> None:
    unwanted = [remote.orphan(), remote.put("configs/nobody.request.json", b"{}\n")]
    leftover = remote.put(f"staging/{'0' * 32}/0", b"{")
    report = remote.collect(grace=timedelta(hours=1))
    assert (report.removed, report.younger) == ([], 2)
    assert all(map(remote.is_there, [*unwanted, leftover]))


async def test_an_older_version_of_a_record_is_no_data_of_it(on_postgres: RemoteStore, week_later: None) -> None:
    shard, _, name = on_postgres.key_of("r0001").rpartition("/")
    left = on_postgres.put(f"{shard}/{name.removesuffix('.json')}.{OLD_VERSION}.json", b"{}\n")
    assert on_postgres.collect().removed == [left]
    assert on_postgres.kinds() == []


async def test_data_without_a_record_is_removed_and_forgotten_and_what_is_lent_stays(
    remote: RemoteStore, week_later: None
) -> None:
    async with remote.open() as storage:
        loose = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
        lent = await storage.save_record_data("lent", "m1", "m1-a", {"lent": True})
        borrower = Record(record_uid="borrower", job_id="m1-b", master_job_id="m1", status="failed", output_ref=lent)
        await storage.log_record_metadata(borrower)
    async with remote.open() as storage:  # closed in between: SQLite's journal still had it
        report = await asyncio.to_thread(remote.collect)
        assert [key.rpartition("/")[2].partition(".")[0] for key in report.removed] == ["loose"]
        adopter = Record(record_uid="loose", job_id="m1-a", master_job_id="m1", status="completed", output_ref=loose)
        with pytest.raises(DataNotFoundError):
            await storage.log_record_metadata(adopter)
        assert await storage.get_record_data(lent) == {"lent": True}
    assert remote.verify().is_sound
    assert {kind for kind, _ in remote.kinds()} <= {"job_count_differs"}  # of a job that had ended


async def test_removals_left_behind_are_made(on_postgres: RemoteStore, week_later: None) -> None:
    left, young = on_postgres.orphan("left"), on_postgres.orphan("young")
    current = str(on_postgres.file_of("r0001").relative_to(on_postgres.data))
    on_postgres.sql(f"INSERT INTO data_removals VALUES ('{left}', now() - interval '1 hour')")
    on_postgres.sql(f"INSERT INTO data_removals VALUES ('{current}', now() - interval '1 hour')")
    on_postgres.sql(f"INSERT INTO data_removals VALUES ('{young}')")
    assert on_postgres.collect(dry_run=True).removed == [left]
    assert on_postgres.collect().removed == [left]
    assert [on_postgres.is_there(key) for key in (left, current, young)] == [False, True, True]
    assert on_postgres.sql("SELECT object FROM data_removals") == [[young]]


KILLED_BEFORE_REMOVING = """
import asyncio, os, signal, sys
from starfish_storage import open_storage
from starfish_storage.metadata.postgres.data_removals import DataRemovals
async def main():
    async with open_storage(*sys.argv[1:]) as storage:
        DataRemovals.make = lambda self: os.kill(os.getpid(), signal.SIGKILL)
        await storage.delete_master_job("m1")
asyncio.run(main())
"""


async def test_a_worker_killed_between_a_deletion_and_its_removals_leaves_nothing_for_ever(
    on_postgres: RemoteStore,
) -> None:
    status, _, errors = processes.run(["-c", KILLED_BEFORE_REMOVING, on_postgres.uri, on_postgres.data_uri], 60)
    assert status == -9, errors
    ((left,),) = on_postgres.sql("SELECT count(*) FROM data_removals")
    assert int(left) == stores.RECORDS // 2 + 1
    assert on_postgres.kinds() == []
    on_postgres.sql("UPDATE data_removals SET noted = now() - interval '1 hour'")
    assert {kind for kind, _ in on_postgres.kinds()} == {"leftover"}
    assert len(on_postgres.collect().removed) == int(left)
    assert len(on_postgres.objects()) == stores.RECORDS // 2 + 1
    assert on_postgres.kinds() == []


async def test_a_configuration_saved_anew_meanwhile_is_kept(
    on_postgres: RemoteStore, week_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed as old; it is looked at once more when nobody writes."""
    key = on_postgres.put("configs/nobody.request.json", b"{}\n")
    remove = PostgresCleaning.remove_unwanted

    def saved_anew(self: PostgresCleaning, found: Any, data: Any, is_old: Callable[[Any], bool]) -> Any:
        return remove(self, found, data, lambda file: is_old(file) and file.key != key)

    monkeypatch.setattr(PostgresCleaning, "remove_unwanted", saved_anew)
    assert on_postgres.collect().removed == []
    assert on_postgres.is_there(key)


async def test_what_got_a_row_meanwhile_is_kept(
    on_postgres: RemoteStore, week_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are asked once more when nobody writes: data without a record may have got one."""
    async with on_postgres.open() as storage:
        loose = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
    remove = PostgresCleaning.remove_unwanted

    def adopted(self: PostgresCleaning, *given: Any) -> Any:
        async def adopt() -> None:
            async with on_postgres.open() as storage:
                record = Record(
                    record_uid="loose", job_id="m1-a", master_job_id="m1", status="failed", output_ref=loose
                )
                await storage.log_record_metadata(record)

        asyncio.run(adopt())
        return remove(self, *given)

    monkeypatch.setattr(PostgresCleaning, "remove_unwanted", adopted)
    assert (await asyncio.to_thread(on_postgres.collect)).removed == []
    assert on_postgres.kinds() == [("job_count_differs", "m1-a")]  # it had ended


async def collected_while_writing(remote: RemoteStore) -> list[CollectReport]:
    stop = asyncio.Event()
    async with remote.open() as storage:
        tasks = [asyncio.create_task(write_and_delete(storage, worker, stop)) for worker in range(4)]
        reports = [await asyncio.to_thread(remote.collect) for _ in range(5)]
        stop.set()
        await asyncio.gather(*tasks)
    return reports


async def test_a_writer_at_work_loses_nothing(remote: RemoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there without a row because it is being committed is young; what a dead worker left is not."""
    ghosts = [remote.orphan(f"ghost{number}") for number in range(20)]
    described = inventory._described

    def aged(key: str, *given: Any, **named: Any) -> Any:
        file = described(key, *given, **named)
        days = 8 * 24 * 3600 * 10**9 if "ghost" in key else 0  # of a file in a directory, the name is young
        return inventory.FoundFile(file.key, file.size, file.modified, file.changed - days, file.is_data)

    for key in ghosts:
        remote.age(key, 8 * 24 * 3600)
    with monkeypatch.context() as patched:
        patched.setattr(inventory, "_described", aged)
        reports = await collected_while_writing(remote)
    assert sorted(key for report in reports for key in report.removed) == sorted(ghosts)
    assert remote.kinds() == []


async def test_a_grace_period_shorter_than_a_commit_may_take_is_refused(on_postgres: RemoteStore) -> None:
    with pytest.raises(InvalidInputError, match="an hour"):
        on_postgres.collect(grace=timedelta(minutes=59))


async def test_an_index_that_finds_nothing_removes_nothing(on_postgres: RemoteStore, week_later: None) -> None:
    orphan = on_postgres.orphan()
    on_postgres.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'records_pkey'::regclass")
    with pytest.raises(StoreDamagedError, match="records_pkey"):
        on_postgres.collect()
    assert on_postgres.is_there(orphan)
