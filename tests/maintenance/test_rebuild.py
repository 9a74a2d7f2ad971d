"""Rebuilding a database: what the row log and the damaged one tell together, and never less than either."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from maintenance import stores
from maintenance.test_verify import change, command, root
from migrations import reading
from migrations.stores import unpack
from starfish_storage import (
    GenerationJob,
    IdCollisionError,
    LocalStorage,
    Record,
    StoreDamagedError,
    StoreOpenError,
)
from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance import plan_repair, repair, verify
from starfish_storage.metadata.sqlite.locks import HeldAlone
from starfish_storage.metadata.sqlite.rebuild import rebuild
from starfish_storage.times import utc_now
from unit.store_on_disk import bytes_of, rows_of

__all__ = ["root"]


LATE = b'["save_project","late","2026-01-01T00:00:00.000000Z","2026-01-01T00:00:00.000000Z","late"]'


def uri(root: Path) -> str:
    return f"file://{root}"


def damage(root: Path) -> None:
    """Damage the database so that it must be rebuilt, and all of its rows can be read."""
    stores.empty_index(root, "records_by_job")
    assert not verify(uri(root)).is_sound


async def change_all(root: Path) -> None:
    """Change a row of every kind, and add some."""
    async with LocalStorage(uri(root)) as storage:
        await storage.log_master_job_end("M2", "failed", {"own": "summary"}, utc_now(), utc_now())
        await storage.log_execution_job_end("m1-a", "failed", {"own": 1}, utc_now(), utc_now(), "changed")
        await storage.log_execution_job_start(GenerationJob(job_id="m1-c", master_job_id="m1", run_config={"c": 1}))
        await storage.log_execution_job_end("m1-c", "completed", {"completed": 1, "own": 2}, utc_now(), utc_now())
        for uid, job in (("r0000", "m1-a"), ("new", "m1-c")):
            record = Record(record_uid=uid, job_id=job, master_job_id="m1", status="completed")
            await storage.save_record(record, {"changed": uid})


def kept_of(root: Path) -> dict[str, list[object]]:
    """The rows, but for counts, which a repair takes from the records."""
    rows = rows_of(root)
    rows["settings"] = [row for row in rows["settings"] if "row_log_closed" not in str(row)]
    return {name: rows[name] for name in ("projects", "master_jobs", "records", "settings", "mixed_case_ids")}


async def test_rows_that_the_database_has_newer_win(root: Path) -> None:
    """As of a log that lost its last lines at a power cut."""
    log = (root / "rows.jsonl").read_bytes()
    await change_all(root)
    before, rows = await stores.everything(root), kept_of(root)
    counts = [row for row in rows_of(root)["execution_jobs"] if "m1-c" in str(row)]
    (root / "rows.jsonl").write_bytes(log)
    damage(root)
    repair(uri(root))
    assert kept_of(root) == rows
    after = await stores.everything(root)
    assert {name: after[name] for name in after if "jobs of" not in name} == {
        name: before[name] for name in before if "jobs of" not in name
    }
    assert [row for row in rows_of(root)["execution_jobs"] if "m1-c" in str(row)] == counts


async def test_rows_that_the_log_has_newer_win(root: Path) -> None:
    """As of a database that somebody put back from an old copy, damaged."""
    database = (root / "metadata.db").read_bytes()
    await change_all(root)
    rows = kept_of(root)
    (root / "metadata.db").write_bytes(database)
    damage(root)
    repair(uri(root))
    assert kept_of(root) == rows


async def test_what_was_deleted_does_not_come_back_from_an_old_database(root: Path) -> None:
    database = (root / "metadata.db").read_bytes()
    async with LocalStorage(uri(root)) as storage:
        await storage.delete_master_job("m1")
    before = await stores.everything(root)
    (root / "metadata.db").write_bytes(database)
    damage(root)
    repair(uri(root))
    assert await stores.everything(root) == before


async def test_what_was_deleted_and_made_again_is_kept(root: Path) -> None:
    async with LocalStorage(uri(root)) as storage:
        job = await storage.get_master_job("m1")
        assert job is not None
        await storage.delete_master_job("m1")
        await storage.log_master_job_start(job)
        log = (root / "rows.jsonl").read_bytes()
        await storage.log_execution_job_start(GenerationJob(job_id="m1-a", master_job_id="m1"))
        await storage.save_record(
            Record(record_uid="again", job_id="m1-a", master_job_id="m1", status="completed"), {"again": True}
        )
    (root / "rows.jsonl").write_bytes(log)
    rows = kept_of(root)
    damage(root)
    repair(uri(root))
    assert kept_of(root) == rows


async def test_a_row_whose_time_is_damaged_does_not_win(root: Path) -> None:
    rows = kept_of(root)
    change(root, "UPDATE records SET last_update_time = 'zzzz', status = 'failed' WHERE record_uid = 'r0001'")
    repair(uri(root))
    assert kept_of(root) == rows


async def test_without_a_log_rows_that_cannot_be_read_whole_are_kept_without_what_is_damaged(root: Path) -> None:
    (root / "rows.jsonl").unlink()
    change(root, "UPDATE records SET end_time = 'yesterday' WHERE record_uid = 'r0001'")
    change(root, "UPDATE records SET last_update_time = '2026-99-01T00:00:00.000000Z' WHERE record_uid = 'r0002'")
    change(root, "UPDATE execution_jobs SET run_config = '{', start_time = 'x' WHERE job_id = 'm1-b'")
    change(root, "UPDATE master_jobs SET output_schema = '[]]', creation_time = '' WHERE master_job_id = 'm1'")
    done = repair(uri(root))
    assert [step.kind for step in done.steps] == ["rebuild_database"]
    assert done.left == []
    assert verify(uri(root)).findings == ()
    after = await stores.everything(root)
    assert {f"r{number:04}" for number in range(stores.RECORDS)} <= after.keys()


async def test_without_a_log_rows_whose_parents_are_lost_get_others(root: Path) -> None:
    before = await stores.everything(root)
    (root / "rows.jsonl").unlink()
    change(root, "PRAGMA foreign_keys = OFF; DELETE FROM execution_jobs WHERE job_id = 'm1-a'")
    change(root, "PRAGMA foreign_keys = OFF; DELETE FROM master_jobs WHERE master_job_id = 'M2'")
    done = repair(uri(root))
    assert "3 made for what belonged to them" in done.steps[0].detail
    assert verify(uri(root)).damage == []
    after = await stores.everything(root)
    for number in range(stores.RECORDS):
        assert after[f"r{number:04}"] == before[f"r{number:04}"]
    async with LocalStorage(uri(root)) as storage:
        job = await storage.get_execution_job("m1-a")
        assert job is not None
        assert (job.status, job.error_message) == ("failed", "repair: its row was lost")
        assert await storage.get_request_config("configs/M2.request.json") == {"model": "M2"}


async def test_a_page_that_cannot_be_read_costs_its_own_rows_only(tmp_path: Path) -> None:
    root, records = tmp_path / "store", 200
    await stores.make(root, records)
    (root / "rows.jsonl").unlink()
    leaf, first, last = stores.second_leaf(root, "records")
    content = bytearray((root / "metadata.db").read_bytes())
    content[leaf * 4096 : leaf * 4096 + 4096] = b"\xa5" * 4096
    (root / "metadata.db").write_bytes(content)
    done = repair(uri(root))
    lost = {f"r{number - 1:04}" for number in range(first, last + 1)}
    assert {Path(finding.subject).stem for finding in done.left} == lost
    async with LocalStorage(uri(root)) as storage:
        for number in range(records):
            found = await storage.get_record_metadata(f"r{number:04}")
            assert (found is None) is (f"r{number:04}" in lost)


async def test_of_a_database_that_was_cut_short_the_rest_is_read(root: Path) -> None:
    (root / "rows.jsonl").unlink()
    content = (root / "metadata.db").read_bytes()
    (root / "metadata.db").write_bytes(content[: len(content) - 3 * 4096])
    repair(uri(root))
    async with LocalStorage(uri(root)) as storage:
        assert [job.master_job_id for job in await storage.list_master_jobs()] != []


async def test_a_database_of_an_earlier_format_that_was_cut_short_is_read(tmp_path: Path) -> None:
    root = tmp_path / "store"
    unpack("v1", root)
    records = len(rows_of(root)["records"])
    content = bytearray((root / "metadata.db").read_bytes())
    content[28:32] = (len(content) // 4096 + 1).to_bytes(4)  # how many pages it should have
    (root / "metadata.db").write_bytes(content)
    assert "rows from the damaged database" in repair(uri(root)).steps[0].detail
    assert len(rows_of(root)["records"]) == records > 0


async def test_a_row_log_of_an_earlier_format_gives_the_same_replies(tmp_path: Path) -> None:
    found: list[list[Any]] = []
    for name in ("as it was", "from its log"):
        storage = unpack("v4", tmp_path / name)
        if name == "from its log":
            (tmp_path / name / "metadata.db").unlink()
            repair(storage.storage_uri)
        async with storage:
            kept = (await reading.kept_of(storage))["Run-1"]
        found.append([kept[what] for what in ("replies", "conversions", "versions")])  # a pause passes
    assert found[0] == found[1]
    assert len(found[0][0]) == 4


@pytest.mark.parametrize("lost", ["emptied", "overwritten", "missing"])
async def test_a_store_of_which_nothing_can_be_read_is_not_made_empty(root: Path, lost: str) -> None:
    (root / "rows.jsonl").unlink()
    (root / "metadata.db").unlink()
    if lost != "missing":
        (root / "metadata.db").write_bytes(b"" if lost == "emptied" else b"something else " * 5000)
    before = bytes_of(root)
    with pytest.raises(StoreDamagedError, match=r"nothing was changed\. Restore a backup"):
        repair(uri(root))
    assert {name: content for name, content in bytes_of(root).items() if name in before} == before
    assert not verify(uri(root)).is_sound


async def test_a_damaged_row_log_stops_no_repair(root: Path) -> None:
    before = await stores.everything(root)
    stray = [b"garbage", b"\xff", b"[]", b"1", b"null", b"[1]", b'[["save_record"],2]', b'["save_record",[1],{}]']
    stray += [b'["save_project","\\ud800","n",null,"t","t"]', b'["delete_record",99999999999999999999]']
    header = {"columns": {"rollback": [], "save_project": ["project_id", "created_when", "updated_when", "name"]}}
    headers = [b"{}", b'{"columns":5}', b'{"columns":{"save_record":3}}', json.dumps(header).encode()]
    with (root / "rows.jsonl").open("ab") as log:
        log.write(b"\n".join([*stray, *headers, b'["rollback"]', LATE, b""]))
    (root / "metadata.db").unlink()
    repair(uri(root))
    after = await stores.everything(root)
    assert {name: after[name] for name in after if name != "projects"} == {
        name: before[name] for name in before if name != "projects"
    }
    async with LocalStorage(uri(root)) as storage:
        assert await storage.get_project("nobody") is None


async def test_a_line_that_fits_nowhere_is_counted_and_stops_nothing(root: Path) -> None:
    before = await stores.everything(root)
    lines = (root / "rows.jsonl").read_bytes().splitlines(keepends=True)
    record = next(line for line in lines if b'"r0007"' in line)
    (root / "rows.jsonl").write_bytes(b"".join([lines[0], record, *lines[1:]]))
    (root / "metadata.db").unlink()
    assert "1 that fit nowhere" in repair(uri(root)).steps[0].detail
    assert await stores.everything(root) == before


async def test_a_new_row_log_has_what_only_the_database_had(root: Path) -> None:
    before = await stores.everything(root)
    lines = (root / "rows.jsonl").read_bytes().splitlines(keepends=True)
    rows = rows_of(root)
    (root / "rows.jsonl").write_bytes(b"".join(lines[:4]))
    damage(root)
    for _ in range(2):
        repair(uri(root))
        assert await stores.everything(root) == before
        assert rows_of(root)["execution_jobs"] == rows["execution_jobs"]
        (root / "metadata.db").unlink()


async def test_a_log_that_is_lost_is_made_anew_with_all_rows(root: Path) -> None:
    before, rows = await stores.everything(root), rows_of(root)
    (root / "rows.jsonl").unlink()
    async with LocalStorage(uri(root)):
        pass
    (root / "metadata.db").unlink()
    repair(uri(root))
    assert await stores.everything(root) == before
    assert rows_of(root)["execution_jobs"] == rows["execution_jobs"]


async def test_what_lay_beside_the_old_database_is_not_taken_for_the_new_ones(root: Path) -> None:
    async with LocalStorage(uri(root)) as storage:
        await storage.update_master_job_status("M2", "cancelled", utc_now())
        log = (root / "metadata.db-wal").read_bytes()
    before = await stores.everything(root)
    (root / "metadata.db").write_bytes(b"")
    (root / "metadata.db-wal").write_bytes(log)
    done = repair(uri(root))
    assert done.copies is not None
    assert (Path(done.copies) / "metadata.db-wal").read_bytes() == log
    assert verify(uri(root)).findings == ()
    assert await stores.everything(root) == before


async def test_the_old_database_goes_safely_before_the_new_one_comes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut in between must not leave the old one's log beside the new one."""
    (root / "metadata.db").write_bytes(b"")
    (root / "metadata.db-wal").write_bytes(b"of the old one")
    taken: list[tuple[str, bool]] = []
    sync, replace = FileOperations.sync_directory, FileOperations.replace_file

    def synced(self: FileOperations, path: str) -> None:
        taken.append((f"sync {Path(path).name}", (root / "metadata.db-wal").exists()))
        sync(self, path)

    def replaced(self: FileOperations, source: str, target: str) -> None:
        taken.append(("replace", (root / "metadata.db-wal").exists()))
        replace(self, source, target)

    monkeypatch.setattr(FileOperations, "sync_directory", synced)
    monkeypatch.setattr(FileOperations, "replace_file", replaced)
    repair(uri(root))
    assert taken[:2] == [("sync store", False), ("replace", False)]


async def test_what_was_lost_besides_the_database_is_mended_too(root: Path) -> None:
    stores.file_of(root, 3).unlink()
    (root / "metadata.db").write_bytes(b"")
    assert [step.kind for step in repair(uri(root)).steps] == ["rebuild_database", "fail_record"]
    assert verify(uri(root)).findings == ()


async def test_data_that_only_the_journal_has_is_kept(root: Path) -> None:
    """And what the journal has of another version than the rows say is not."""
    key, other = (str(stores.file_of(root, number).relative_to(root)) for number in (5, 6))
    payload, before = (root / key).read_bytes(), (root / other).read_bytes()
    stores.journal(root, key, payload)
    stores.journal(root, other, b'{"another":"version"}\n')
    (root / key).unlink()
    damage(root)
    assert [step.kind for step in repair(uri(root)).steps] == ["rebuild_database"]
    assert (root / key).read_bytes() == payload
    assert (root / other).read_bytes() == before


async def test_ids_that_differ_in_case_are_told_apart_again(root: Path) -> None:
    (root / "metadata.db").unlink()
    repair(uri(root))
    async with LocalStorage(uri(root)) as storage:
        job = await storage.get_master_job("M2")
        assert job is not None
        with pytest.raises(IdCollisionError):
            await storage.log_master_job_start(job.model_copy(update={"master_job_id": "m2"}))


def test_a_new_database_knows_where_its_data_lies(tmp_path: Path) -> None:
    for name, elsewhere in (("yes", True), ("no", False)):
        (tmp_path / name).mkdir()
        rebuild(f"{tmp_path}/{name}/metadata.db", (), None, data_elsewhere=elsewhere)
        assert rows_of(tmp_path / name)["settings"] == [("data_elsewhere", name), ("layout", "files")]


async def test_a_store_whose_directory_is_gone_is_rebuilt_beside_its_data(root: Path, tmp_path: Path) -> None:
    before = await stores.everything(root)
    data_uri = f"file://{tmp_path}/elsewhere"
    stores.move_data(root, tmp_path / "elsewhere")
    shutil.rmtree(root)
    for _ in range(2):  # refused again: it has not been made anew and empty
        with pytest.raises(StoreOpenError, match="repair --store STORE"):
            await LocalStorage(uri(root), data_uri).setup()
    repair(uri(root), data_uri)
    assert verify(uri(root), data_uri).findings == ()
    for name in ("data", "configs", "rows.jsonl"):
        (tmp_path / "elsewhere" / name).rename(root / name)
    assert await stores.everything(root) == before


async def test_a_store_that_has_rows_and_no_data_is_not_begun_anew(root: Path) -> None:
    shutil.rmtree(root / "data")
    (root / "metadata.db").unlink()
    with pytest.raises(StoreOpenError, match="repair --store STORE"):
        await LocalStorage(uri(root)).setup()


async def test_what_is_no_object_is_not_attached(root: Path) -> None:
    async with LocalStorage(uri(root)) as storage:
        reference = await storage.save_record_data("late", "m1", "m1-a", {"late": True})
        row = Record(record_uid="late", job_id="m1-a", master_job_id="m1", status="pending")
        await storage.log_record_metadata(row)
    Path(reference).write_text("[]")
    assert "attach_data" not in [step.kind for step in plan_repair(uri(root)).steps]


async def test_what_cannot_be_mended_is_left_and_told(root: Path) -> None:
    (root / "configs/m1.request.json").write_bytes(b"{")
    stores.file_of(root, 3).unlink()
    status, out, _ = command("repair", "--store", str(root), "--yes")
    assert status == 1
    assert "cannot be repaired: request_config_damaged  configs/m1.request.json" in out


def test_what_a_killed_writer_left_stays_for_the_next_one(tmp_path: Path) -> None:
    for byte in (b"\1", b"\0"):
        (tmp_path / "writer.lock").write_bytes(byte)
        with HeldAlone(str(tmp_path), 0, as_found=True):
            pass
        assert (tmp_path / "writer.lock").read_bytes() == byte
