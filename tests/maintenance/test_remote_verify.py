"""Verify with rows in PostgreSQL or data in an object store: damage of every kind is found once, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from durability import workload
from maintenance import stores
from maintenance.remote_stores import RemoteStore
from starfish_storage import (
    Record,
    Storage,
    StorageUnavailableError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.maintenance import VerifyReport, verify
from starfish_storage.uri import without_password


async def test_a_sound_store_is_called_so_and_nothing_is_changed(remote: RemoteStore, week_later: None) -> None:
    before = remote.objects()
    seen: list[tuple[int, int]] = []
    report = remote.verify(progress=lambda done, total: seen.append((done, total)))
    assert (report.findings, report.is_sound, report.storage_uri) == ((), True, without_password(remote.uri))
    assert (report.records, report.files, report.without_digest) == (stores.RECORDS, stores.RECORDS + 2, 0)
    assert report.bytes == sum(map(len, before.values()))
    assert seen[-1] == (stores.RECORDS, stores.RECORDS)
    assert remote.objects() == before
    assert str(report).endswith("sound")


async def test_data_that_is_missing_cut_short_changed_or_swapped_is_found(remote: RemoteStore) -> None:
    missing, cut, flipped, one, other = (remote.file_of(f"r{number:04}") for number in range(1, 6))
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-5])
    stores.flip_bit(flipped, flipped.read_bytes().index(b"record"))
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])
    expected = [("data_damaged", remote.key_of(f"r{number:04}")) for number in (2, 3, 4, 5)]
    assert remote.kinds() == sorted([*expected, ("data_missing", remote.key_of("r0001"))])
    report = remote.verify()
    assert not report.is_sound
    assert "restore the named data from backups" in str(report)


async def test_request_configurations_are_checked(remote: RemoteStore, week_later: None) -> None:
    remote.put("configs/m1.request.json", b"{")
    (remote.data / "configs/M2.request.json").unlink()
    loose = remote.put("configs/nobody.request.json", b"{}\n")
    assert remote.kinds() == [
        ("data_unreferenced", loose),
        ("request_config_damaged", "configs/m1.request.json"),
        ("request_config_missing", "configs/M2.request.json"),
    ]


async def test_what_nothing_refers_to_is_told_once_it_is_old(
    remote: RemoteStore, request: pytest.FixtureRequest
) -> None:
    orphan = remote.orphan()
    odd = remote.put("data/7f/odd.txt", b"?")
    assert remote.kinds() == [("not_data", odd)]
    request.getfixturevalue("week_later")
    assert remote.kinds() == [("data_unreferenced", orphan), ("not_data", odd)]
    assert remote.verify().is_sound


async def test_wrong_counts_are_found(on_postgres: RemoteStore) -> None:
    on_postgres.sql("UPDATE record_counts SET records = records + 5 WHERE master_job_id = 'm1' AND status = 'filtered'")
    on_postgres.sql("UPDATE execution_jobs SET completed_record_count = 99 WHERE job_id = 'M2-a'")
    on_postgres.sql("INSERT INTO runs (master_job_id, registered, inputs_complete) VALUES ('m1', 0, 1)")
    on_postgres.sql("INSERT INTO run_totals VALUES ('m1', 7, 2, 0, 10, 10, 0.5), ('m1', 8, -1, 0, 0, 0, 0)")
    assert on_postgres.kinds() == [
        ("job_count_differs", "M2-a"),
        ("record_count_wrong", "m1"),
        ("run_totals_wrong", "m1"),
    ]


async def test_counts_in_several_slots_are_added_up(on_postgres: RemoteStore) -> None:
    on_postgres.sql("INSERT INTO record_counts VALUES ('m1', 'failed', 99, 3), ('m1', 'failed', 98, -3)")
    assert on_postgres.kinds() == []


async def test_rows_without_parent_or_that_cannot_be_read_are_found(on_postgres: RemoteStore) -> None:
    on_postgres.sql("UPDATE execution_jobs SET run_config = '{' WHERE job_id = 'm1-b'")
    on_postgres.sql("UPDATE master_jobs SET summary = '[1' WHERE master_job_id = 'm1'")
    on_postgres.sql("UPDATE records SET end_time = 'yesterday' WHERE record_uid = 'r0001'")
    on_postgres.sql("UPDATE records SET job_id = 'nowhere' WHERE record_uid = 'r0009'")
    on_postgres.sql(
        "INSERT INTO attempts VALUES ('gone', 1, 'm1', NULL, 'completed', '2026-01-01T00:00:00.000000Z', "
        "'2026-13-01T00:00:00.000000Z', NULL, NULL, NULL, 0, 0, 0, 'x')"
    )
    on_postgres.sql(
        "INSERT INTO steps (job_id, name, request_key, call, reply, result, attempt, saved_when, asked_when, status) "
        "VALUES ('m1-a', 's', '', 1, 1, '{', 1, '2026-01-01T00:00:00.000000Z', NULL, 'kept'), "
        "('m1-b', 's', 'ab', 1, 1, '{}', 1, '2026-01-01T00:00:00.000000Z', 'noon', 'kept')"
    )
    on_postgres.sql("INSERT INTO segments VALUES ('gone', 2, '2026-01-01', '{')")
    on_postgres.sql("INSERT INTO annotations VALUES ('said', 'gone', 'm1', 'verdict', '{', 'ann', 'noon', NULL)")
    expected = [
        ("row_unreadable", "gone, 1"),
        ("row_unreadable", "gone, 1"),
        ("row_unreadable", "gone, 2"),
        ("row_unreadable", "gone, 2"),
        ("row_unreadable", "m1"),
        ("row_unreadable", "m1-a, s, 1, 1"),
        ("row_unreadable", "m1-b"),
        ("row_unreadable", "m1-b, s"),
        ("row_unreadable", "r0001"),
        ("row_unreadable", "said"),
        ("row_unreadable", "said"),
        ("row_without_parent", "gone, 1"),
        ("row_without_parent", "gone, 2"),
        ("row_without_parent", "r0009"),
        ("row_without_parent", "said"),
    ]
    assert [one for one in on_postgres.kinds() if one[0] != "job_count_differs"] == expected


async def test_an_invalid_index_and_an_idle_trigger_are_found(on_postgres: RemoteStore) -> None:
    on_postgres.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'records_by_job'::regclass")
    on_postgres.sql("ALTER TABLE attempts DISABLE TRIGGER count_inserted_attempts")
    assert on_postgres.kinds() == [("database_damaged", "attempts"), ("database_damaged", "records_by_job")]


async def test_data_without_a_record_is_told_once_it_is_old_and_must_be_there(
    on_postgres: RemoteStore, request: pytest.FixtureRequest
) -> None:
    async with on_postgres.open() as storage:
        await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
        await storage.save_record_data("gone", "m1", "m1-a", {"loose": True})
        lent = await storage.save_record_data("lent", "m1", "m1-a", {"lent": True})
        await storage.log_record_metadata(
            Record(record_uid="borrower", job_id="m1-b", master_job_id="m1", status="running", output_ref=lent)
        )
    (gone,) = on_postgres.data.glob("data/*/gone.*")
    (loose,) = on_postgres.data.glob("data/*/loose.*")
    gone.unlink()
    key = f"data/{gone.parent.name}/gone.json"
    assert on_postgres.kinds() == [("data_missing", key)]
    request.getfixturevalue("week_later")
    expected = [("data_missing", key), ("data_unreferenced", str(loose.relative_to(on_postgres.data)))]
    assert on_postgres.kinds() == expected


async def test_a_forged_reference_leads_nowhere(on_postgres: RemoteStore) -> None:
    on_postgres.sql("UPDATE records SET output_ref = '../outside.json' WHERE record_uid = 'r0001'")
    assert on_postgres.kinds() == [("data_unreadable", "../outside.json")]


async def test_a_removal_that_was_left_behind_is_told(on_postgres: RemoteStore, week_later: None) -> None:
    orphan = on_postgres.orphan()
    on_postgres.sql(f"INSERT INTO data_removals (object) VALUES ('{orphan}')")
    assert on_postgres.kinds() == []  # somebody is about to remove it
    on_postgres.sql("UPDATE data_removals SET noted = now() - interval '1 hour'")
    assert on_postgres.kinds() == [("leftover", orphan)]


async def test_leftovers_of_dead_writers_are_told_once_they_are_old(
    remote: RemoteStore, request: pytest.FixtureRequest
) -> None:
    leftover = remote.put(f"staging/{'0' * 32}/0", b"{")
    assert remote.kinds() == []
    request.getfixturevalue("week_later")
    assert remote.kinds() == [("leftover", leftover)]


async def write_and_delete(storage: Storage, worker: int, stop: asyncio.Event) -> int:
    """Overwrite records, add some, save data without rows, and delete master jobs, until it is enough."""
    number = 0
    while not stop.is_set():
        number += 1
        uid = f"r{(number * 4 + worker) % 40:04}"
        found = await storage.get_record_metadata(uid)
        assert found is not None
        await storage.save_record(found, stores.data_of(number))
        side = f"side{worker}-{number}"
        await workload.prepare(storage, side, f"{side}-job")
        await storage.save_record(workload.record(side, 1, side, f"{side}-job"), workload.payload(side, 1))
        await storage.save_record_data(f"loose{worker}", "m1", "m1-a", {"number": number})
        await storage.delete_master_job(side)
    return number


async def test_a_store_in_use_is_sound(remote: RemoteStore) -> None:
    """Four tasks write, overwrite and delete while it is verified: none of it is taken for damage, or for litter."""
    stop = asyncio.Event()

    def verify_often() -> list[VerifyReport]:
        return [remote.verify() for _ in range(5)]

    async with remote.open() as storage:
        tasks = [asyncio.create_task(write_and_delete(storage, worker, stop)) for worker in range(4)]
        reports = await asyncio.to_thread(verify_often)
        stop.set()
        written = await asyncio.gather(*tasks)
    assert [report.findings for report in reports] == [()] * 5
    assert min(written) > 0
    assert remote.kinds() == []


async def test_a_lost_connection_is_made_anew(on_postgres: RemoteStore) -> None:
    server = on_postgres.server
    assert server is not None
    cut: list[int] = []
    report = on_postgres.verify(progress=lambda *_: cut.append(server.terminate_connections()))
    assert report.findings == ()
    assert sum(cut) > 0


async def test_a_store_that_cannot_be_reached_is_not_damaged(
    make_store: Callable[[str], RemoteStore], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    store = make_store("postgres, s3")
    await stores.fill(store.open())
    monkeypatch.setenv("STARFISH_STORAGE_RETRY_SECONDS", "0")
    server = request.getfixturevalue("s3_server")
    with pytest.raises(StorageUnavailableError):
        store.verify(progress=lambda *_: server.kill())


async def test_where_there_is_no_store_of_this_version_nothing_is_made(on_postgres: RemoteStore) -> None:
    assert on_postgres.server is not None
    nowhere = on_postgres.server.uri(schema="test_nowhere")
    with pytest.raises(StoreOpenError, match="the schema 'test_nowhere' does not hold a store"):
        verify(nowhere, on_postgres.data_uri)
    assert on_postgres.server.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'test_nowhere'") == []
    on_postgres.sql("UPDATE settings SET value = '0' WHERE name = 'schema_version'")
    with pytest.raises(StoreVersionError, match="run 'starfish-storage migrate'"):
        on_postgres.verify()
