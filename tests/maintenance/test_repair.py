"""Repair: nothing by itself, copies first, and then everything that can be mended is."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

from durability import processes
from maintenance import stores
from maintenance.test_verify import change, command, root
from starfish_storage import LocalStorage, Record, StorageBusyError, StoreDamagedError, StoreOpenError
from starfish_storage.maintenance import plan_repair, repair, verify
from starfish_storage.times import utc_now
from unit.store_on_disk import bytes_of

__all__ = ["root"]


def uri(root: Path) -> str:
    return f"file://{root}"


def ruin_pages(root: Path, first: int, last: int | None = None) -> None:
    path = root / "metadata.db"
    content = bytearray(path.read_bytes())
    for page in range(first, last or len(content) // 4096):
        content[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
    path.write_bytes(content)


async def test_a_sound_store_needs_no_repair_and_is_not_changed(root: Path) -> None:
    before = bytes_of(root)
    assert repair(uri(root)).steps == []
    assert {name: content for name, content in bytes_of(root).items() if name in before} == before
    assert not (root / "repairs").exists()


async def test_a_plan_changes_nothing(root: Path) -> None:
    stores.file_of(root, 3).unlink()
    before = bytes_of(root)
    plan = plan_repair(uri(root))
    assert [(step.kind, step.subject) for step in plan.steps] == [("fail_record", "r0003")]
    assert {name: content for name, content in bytes_of(root).items() if name in before} == before


async def test_a_record_whose_data_is_lost_becomes_failed_with_the_reason(root: Path) -> None:
    damaged = stores.file_of(root, 4)
    stores.flip_bit(damaged)
    flipped = damaged.read_bytes()
    stores.file_of(root, 3).unlink()
    done = repair(uri(root))
    assert {(step.kind, step.subject) for step in done.steps} == {("fail_record", "r0003"), ("fail_record", "r0004")}
    assert done.copies is not None
    assert (Path(done.copies) / damaged.relative_to(root)).read_bytes() == flipped
    assert (Path(done.copies) / "metadata.db").is_file()
    async with LocalStorage(uri(root)) as storage:
        for uid, reason in (("r0003", "does not exist"), ("r0004", "SHA-256 differs")):
            record = await storage.get_record_metadata(uid)
            assert record is not None
            assert (record.status, record.output_ref) == ("failed", None)
            assert reason in str(record.error_message)
        job = await storage.get_execution_job("M2-b")
        assert job is not None
        assert job.failed_record_count == 1
    assert verify(uri(root)).findings == ()


async def test_data_in_its_place_is_attached_to_a_record_without(root: Path) -> None:
    async with LocalStorage(uri(root)) as storage:
        await storage.save_record_data("late", "m1", "m1-a", {"late": True})
        await storage.log_record_metadata(
            Record(record_uid="late", job_id="m1-a", master_job_id="m1", status="pending")
        )
    assert [(step.kind, step.subject) for step in repair(uri(root)).steps if step.kind != "recount"] == [
        ("attach_data", "late")
    ]
    async with LocalStorage(uri(root)) as storage:
        record = await storage.get_record_metadata("late")
        assert record is not None
        assert record.output_ref is not None
        assert await storage.get_record_data(record.output_ref) == {"late": True}


async def test_counts_are_taken_from_the_records(root: Path) -> None:
    before = await stores.everything(root)
    change(root, "UPDATE record_counts SET records = records + 5 WHERE status = 'completed'")
    change(root, "UPDATE execution_jobs SET completed_record_count = 99 WHERE job_id = 'M2-a'")
    assert [step.kind for step in repair(uri(root)).steps] == ["recount"]
    assert await stores.everything(root) == before


async def test_digests_that_are_not_known_are_noted(root: Path) -> None:
    change(root, "UPDATE records SET data_sha256 = NULL")
    before = await stores.everything(root)
    assert verify(uri(root)).without_digest == stores.RECORDS
    assert [step.kind for step in repair(uri(root)).steps] == ["note_digests"]
    assert verify(uri(root)).without_digest == 0
    assert await stores.everything(root) == before


@pytest.mark.parametrize("damage", ["emptied", "overwritten", "missing", "first page", "truncated", "middle"])
async def test_a_damaged_database_is_made_anew_with_all_its_rows(root: Path, damage: str) -> None:
    before = await stores.everything(root)
    path = root / "metadata.db"
    match damage:
        case "emptied":
            path.write_bytes(b"")
        case "overwritten":
            path.write_bytes(b"something else " * 5000)
        case "missing":
            path.unlink()
        case "first page":
            ruin_pages(root, 0, 1)
        case "truncated":
            path.write_bytes(path.read_bytes()[:20000])
        case _:
            ruin_pages(root, 4)
    assert not verify(uri(root)).is_sound
    done = repair(uri(root))
    assert done.steps[0].kind == "rebuild_database"
    assert verify(uri(root)).findings == ()
    assert await stores.everything(root) == before
    async with LocalStorage(uri(root)) as storage:
        job = await storage.get_master_job("m1")
        assert job is not None
        assert job.summary == {"completed": 1, "note": "kept"}


async def test_rows_that_no_log_has_are_recovered_from_the_damaged_database(root: Path) -> None:
    """As of a store whose row log was lost too: what SQLite can read is kept."""
    before = await stores.everything(root)
    change(root, "UPDATE record_counts SET records = 7")
    (root / "rows.jsonl").unlink()
    connection = apsw.Connection(str(root / "metadata.db"))
    (page,) = next(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_job'"))
    connection.close()
    ruin_pages(root, page - 1, page)
    repair(uri(root))
    assert verify(uri(root)).damage == []
    assert await stores.everything(root) == before


async def test_what_was_deleted_does_not_come_back(root: Path) -> None:
    async with LocalStorage(uri(root)) as storage:
        await storage.delete_master_job("m1")
    before = await stores.everything(root)
    ruin_pages(root, 4)
    repair(uri(root))
    assert await stores.everything(root) == before
    assert "m1" not in before


async def test_a_torn_last_line_of_the_row_log_is_passed_over(root: Path) -> None:
    before = await stores.everything(root)
    with (root / "rows.jsonl").open("ab") as log:
        log.write(b'["save_record","r00')
    async with LocalStorage(uri(root)) as storage:  # goes on in a line of its own
        await storage.update_master_job_status("M2", "cancelled", utc_now())
    (root / "metadata.db").write_bytes(b"")
    repair(uri(root))
    after = await stores.everything(root)
    async with LocalStorage(uri(root)) as storage:
        job = await storage.get_master_job("M2")
        assert job is not None
        assert job.status == "cancelled"
    assert {key: value for key, value in after.items() if key != "M2"} == {
        key: value for key, value in before.items() if key != "M2"
    }


async def test_a_repair_is_refused_while_the_store_is_open_elsewhere(root: Path) -> None:
    stores.file_of(root, 3).unlink()
    async with LocalStorage(uri(root)):
        with pytest.raises(StorageBusyError, match="open in another process"):
            repair(uri(root))
    assert not (root / "repairs").exists()


async def test_a_damaged_store_says_what_to_run_when_it_is_opened(root: Path) -> None:
    (root / "metadata.db").write_bytes(b"")
    with pytest.raises(StoreOpenError, match="repair"):
        await LocalStorage(uri(root)).setup()
    (root / "metadata.db").unlink()
    with pytest.raises(StoreOpenError, match="repair"):
        await LocalStorage(uri(root)).setup()
    assert not (root / "metadata.db").exists()


async def test_the_command_asks_shows_and_repairs(root: Path) -> None:
    stores.file_of(root, 3).unlink()
    status, out, _ = command("repair", "--store", str(root), "--dry-run")
    assert status == 1
    assert "fail_record  r0003" in out
    status, _, errors = processes.run(["-m", "starfish_storage", "repair", "--store", str(root)])
    assert status == 2, "nobody is there to say yes"
    assert "--yes" in errors
    assert not verify(uri(root)).is_sound
    status, out, errors = command("repair", "--store", str(root), "--yes", "--json")
    assert (status, errors) == (0, "")
    assert json.loads(out)["done"] is True
    assert verify(uri(root)).is_sound


@pytest.mark.parametrize("place", ["data", "configs"])
async def test_a_store_that_lost_a_directory_is_not_taken_for_an_empty_one(root: Path, place: str) -> None:
    (root / place).rename(root / "elsewhere")
    for _ in range(2):  # refused again: it has not been made anew and empty
        with pytest.raises(StoreDamagedError, match=rf"/{place}' is damaged.*repair --store STORE"):
            await LocalStorage(uri(root)).setup()
    repair(uri(root))
    assert verify(uri(root)).is_sound
    async with LocalStorage(uri(root)) as storage:
        counts = await storage.count_records_for_master_job("m1")
        assert counts == ({"failed": 20} if place == "data" else {"completed": 12, "filtered": 4, "duplicate": 4})
