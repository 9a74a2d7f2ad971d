"""Verify: whatever is damaged is found and named, what is sound is called so, and nothing is changed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from durability import processes, workload
from maintenance import stores
from migrations.stores import on_disk, unpack
from starfish_storage import ForeignStoreError, LocalStorage, Record, StoreOpenError, StoreVersionError
from starfish_storage.maintenance import VerifyReport, backup, collect, plan_repair, repair, verify
from unit.store_on_disk import bytes_of


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    await stores.make(tmp_path / "store")
    return tmp_path / "store"


def kinds(root: Path) -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in verify(f"file://{root}").findings]


def change(root: Path, statement: str) -> None:
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.execute(statement)
    connection.close()


async def test_a_sound_store_is_called_so_and_nothing_is_changed(root: Path) -> None:
    before = bytes_of(root)
    seen: list[tuple[int, int]] = []
    report = verify(f"file://{root}", progress=lambda done, total: seen.append((done, total)))
    assert (report.findings, report.is_sound) == ((), True)
    assert (report.records, report.files, report.without_digest) == (stores.RECORDS, stores.RECORDS + 2, 0)
    assert report.bytes == sum(path.stat().st_size for path in [*root.glob("data/*/*"), *root.glob("configs/*")])
    assert seen[-1] == (stores.RECORDS, stores.RECORDS)
    assert {name for name in bytes_of(root) if "-shm" not in name and "-wal" not in name} == set(before)
    assert all(content == before[name] for name, content in bytes_of(root).items() if name in before)


async def test_a_flipped_bit_is_found_though_it_is_still_json(root: Path) -> None:
    path = stores.file_of(root, 7)
    stores.flip_bit(path, path.read_bytes().index(b"record"))
    assert json.loads(path.read_bytes())
    assert kinds(root) == [("data_damaged", str(path.relative_to(root)))]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
async def test_a_file_that_is_cut_short_or_something_else_is_found(root: Path, content: bytes) -> None:
    path = stores.file_of(root, 3)
    path.write_bytes(content)
    assert kinds(root) == [("data_damaged", str(path.relative_to(root)))]


async def test_a_missing_file_is_found(root: Path) -> None:
    path = stores.file_of(root, 3)
    path.unlink()
    assert kinds(root) == [("data_missing", str(path.relative_to(root)))]


async def test_what_is_no_regular_file_is_found_and_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_bytes(stores.file_of(root, 1).read_bytes())
    link, fifo = stores.file_of(root, 1), stores.file_of(root, 2)
    link.unlink()
    link.symlink_to(outside)
    fifo.unlink()
    os.mkfifo(fifo)
    found = kinds(root)
    assert ("data_unreadable", str(link.relative_to(root))) in found
    assert ("data_unreadable", str(fifo.relative_to(root))) in found


async def test_a_socket_among_the_data_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stores.file_of(root, 1).parent)  # its path is too long for a socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.json")
        assert [kind for kind, _ in kinds(root)] == ["not_data"]


@pytest.mark.parametrize("place", ["data", "configs"])
async def test_a_missing_directory_is_found(root: Path, place: str) -> None:
    (root / place).rename(root / "elsewhere")
    assert ("directory_missing", place) in kinds(root)


async def test_a_damaged_or_missing_request_configuration_is_found(root: Path) -> None:
    (root / "configs" / "m1.request.json").write_bytes(b"{")
    (root / "configs" / "M2.request.json").unlink()
    assert kinds(root) == [
        ("request_config_damaged", "configs/m1.request.json"),
        ("request_config_missing", "configs/M2.request.json"),
    ]


async def test_data_that_nothing_refers_to_is_told_and_is_no_damage(root: Path) -> None:
    async with LocalStorage(f"file://{root}") as storage:
        reference = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
    report = verify(f"file://{root}")
    assert [(one.kind, one.subject) for one in report.findings] == [
        ("data_unreferenced", str(Path(reference).relative_to(root)))
    ]
    assert report.is_sound


async def test_the_row_log_is_compared_where_counts_are_wrong_too(root: Path) -> None:
    change(root, "UPDATE execution_jobs SET completed_record_count = 99 WHERE job_id = 'M2-a'")
    change(root, "UPDATE records SET output_ref = NULL WHERE record_uid = 'r0001'")
    assert {("job_count_differs", "M2-a"), ("row_log_differs", "rows.jsonl")} <= set(kinds(root))


async def test_leftovers_of_a_dead_writer_are_told(root: Path) -> None:
    session = root / "staging" / ("0" * 32)
    session.mkdir()
    (session / "0").write_bytes(b"{")
    assert kinds(root) == [("leftover", f"staging/{session.name}/0")]


async def test_counts_that_are_wrong_are_found(root: Path) -> None:
    change(root, "UPDATE record_counts SET records = records + 5 WHERE master_job_id = 'm1' AND status = 'completed'")
    change(root, "UPDATE execution_jobs SET completed_record_count = 99 WHERE job_id = 'M2-a'")
    assert kinds(root) == [("record_count_wrong", "m1"), ("job_count_differs", "M2-a")]
    assert not verify(f"file://{root}").is_sound


async def test_a_row_that_has_lost_its_parent_is_found(root: Path) -> None:
    change(root, "PRAGMA foreign_keys = OFF; DELETE FROM execution_jobs WHERE job_id = 'm1-a'")
    assert "row_without_parent" in {kind for kind, _ in kinds(root)}


async def test_a_row_that_cannot_be_read_is_found(root: Path) -> None:
    change(root, "UPDATE execution_jobs SET run_config = '{' WHERE job_id = 'm1-b'")
    change(root, "UPDATE records SET end_time = 'yesterday' WHERE record_uid = 'r0001'")
    assert kinds(root) == [("row_unreadable", "m1-b"), ("row_unreadable", "r0001")]


async def test_a_damaged_database_is_found(root: Path) -> None:
    path = root / "metadata.db"
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = b"\xa5" * 100
    path.write_bytes(content)
    report = verify(f"file://{root}")
    assert {"database_damaged", "database_unreadable"} & {finding.kind for finding in report.findings}
    assert not report.is_sound


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, None])
async def test_an_emptied_overwritten_or_missing_database_is_found(root: Path, content: bytes | None) -> None:
    path = root / "metadata.db"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert kinds(root) == [("database_unreadable", "metadata.db")]


async def test_another_programs_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreOpenError, match=r"no metadata\.db"):
        verify(f"file://{tmp_path}")
    (tmp_path / "metadata.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ForeignStoreError):
        verify(f"file://{tmp_path}")


async def test_a_store_of_another_version_is_refused(root: Path) -> None:
    change(root, "PRAGMA user_version = 1")
    with pytest.raises(StoreVersionError, match="run 'starfish-storage upgrade STORE'"):
        verify(f"file://{root}")


@pytest.mark.parametrize("run", [verify, plan_repair, collect, lambda uri: backup(uri, "/nowhere")])
def test_a_store_of_starfishs_is_refused_and_not_touched(tmp_path: Path, run: Callable[[str], object]) -> None:
    unpack("starfish-0.1.3", tmp_path / "store")
    before = on_disk(tmp_path / "store")
    with pytest.raises(StoreVersionError, match=r"of Starfish 0\.1; run 'starfish-storage upgrade STORE'"):
        run(f"file://{tmp_path}/store")
    assert on_disk(tmp_path / "store") == before


async def test_a_store_in_use_is_sound(root: Path) -> None:
    """Records are overwritten, added and deleted while it is verified: none of it is taken for damage."""
    async with LocalStorage(f"file://{root}") as storage:
        reading = asyncio.create_task(asyncio.to_thread(_verify_often, root))
        number = 0
        while not reading.done():
            await storage.save_record(
                Record(record_uid=f"r{number % 10:04}", job_id="m1-a", master_job_id="m1", status="completed"),
                stores.data_of(number),
            )
            await workload.prepare(storage, f"side{number}", f"side{number}-job")
            await storage.save_record(
                workload.record(f"s{number}", 1, f"side{number}", f"side{number}-job"),
                workload.payload(f"s{number}", 1),
            )
            await storage.delete_master_job(f"side{number}")
            number += 1
        for report in await reading:
            assert report.damage == []


def _verify_often(root: Path) -> list[VerifyReport]:
    return [verify(f"file://{root}") for _ in range(10)]


def test_a_store_left_by_a_killed_writer_is_sound_as_it_lies(tmp_path: Path) -> None:
    """Committed data whose file is not in place yet stands in the journal, which counts."""
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path; from durability import workload\n"
        "from durability.faults import FaultyStorage, Steps\n"
        "def before(number, step):\n"
        "    if step.startswith('rename r1'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "async def main():\n"
        "    storage = FaultyStorage(Path(sys.argv[1]), Steps(before)); await storage.setup()\n"
        "    await workload.prepare(storage)\n"
        "    await storage.save_record(workload.record('r1', 1), workload.payload('r1', 1))\n"
        "asyncio.run(main())"
    )
    status, _, errors = processes.run(["-c", script, str(tmp_path / "store")])
    assert status == -9, errors
    before = bytes_of(tmp_path / "store")
    report = verify(f"file://{tmp_path}/store")
    assert report.damage == []
    assert report.records == 1
    assert bytes_of(tmp_path / "store")["metadata.db"] == before["metadata.db"]
    assert bytes_of(tmp_path / "store")["metadata.db-wal"] == before["metadata.db-wal"]


async def test_a_damaged_index_is_found_though_every_row_can_be_read(root: Path) -> None:
    stores.empty_index(root, "records_by_job")
    assert kinds(root)[0] == ("database_damaged", "metadata.db")


async def test_a_missing_row_log_is_told(root: Path) -> None:
    (root / "rows.jsonl").write_bytes(b"")
    assert kinds(root) == [("row_log_missing", "rows.jsonl")]
    (root / "rows.jsonl").unlink()
    assert kinds(root) == [("row_log_missing", "rows.jsonl")]


async def test_a_request_configuration_that_is_a_link_or_nobodys_is_told(root: Path) -> None:
    (root / "configs/link.request.json").symlink_to("m1.request.json")
    (root / "configs/loose.request.json").write_text("{}")
    assert sorted(kinds(root)) == [
        ("data_unreferenced", "configs/loose.request.json"),
        ("not_data", "configs/link.request.json"),
    ]


async def test_the_journal_counts_and_not_the_file(root: Path) -> None:
    """What a killed writer committed: an old configuration, a missing one, and loose data."""
    stale, missing, loose = "configs/m1.request.json", "configs/M2.request.json", "data/0c/loose.json"
    (root / "data/0c").mkdir(exist_ok=True)
    for key in (stale, missing, loose):
        stores.journal(root, key, b'{"new":1}\n')
        (root / key).write_bytes(b"{")
    (root / missing).unlink()
    assert kinds(root) == []


async def test_without_a_digest_data_must_at_least_be_an_object(root: Path) -> None:
    change(root, "UPDATE records SET data_sha256 = NULL WHERE record_uid = 'r0003'")
    stores.file_of(root, 3).write_bytes(b"[]\n")
    assert [kind for kind, _ in kinds(root)] == ["data_damaged"]


async def test_a_forged_reference_leads_nowhere(root: Path, tmp_path: Path) -> None:
    """Not even to a file outside that is just what was saved, and no other directory is looked into."""
    (tmp_path / "outside.json").write_bytes(stores.file_of(root, 1).read_bytes())
    change(root, "UPDATE records SET output_ref = '../outside.json' WHERE record_uid = 'r0001'")
    change(root, "UPDATE records SET output_ref = 'configs/m1.request.json' WHERE record_uid = 'r0003'")
    loose = [("data_unreferenced", str(stores.file_of(root, number).relative_to(root))) for number in (1, 3)]
    forged = [("data_unreadable", "../outside.json"), ("data_unreadable", "configs/m1.request.json")]
    assert sorted(kinds(root)) == sorted([*loose, *forged, ("row_log_differs", "rows.jsonl")])


async def test_a_directory_that_became_a_file_or_a_link_is_found(root: Path, tmp_path: Path) -> None:
    shard = stores.file_of(root, 1).parent
    shard.rename(tmp_path / "shard")
    shard.symlink_to(tmp_path / "shard")
    assert ("data_unreadable", f"data/{shard.name}/r0001.json") in kinds(root)
    (root / "data").rename(tmp_path / "data")
    (root / "data").write_text("a file")
    assert ("directory_missing", "data") in kinds(root)
    (root / "data").unlink()
    (root / "data").symlink_to(tmp_path / "data")
    assert ("directory_missing", "data") in kinds(root)


async def test_data_that_lies_elsewhere_is_not_taken_for_lost(root: Path, tmp_path: Path) -> None:
    stores.move_data(root, tmp_path / "elsewhere")
    async with LocalStorage(f"file://{root}", f"file://{tmp_path}/elsewhere"):
        pass
    assert verify(f"file://{root}", f"file://{tmp_path}/elsewhere").findings == ()
    status, out, errors = command("verify", "--store", str(root))
    assert (status, out) == (2, "")
    assert "--data-uri" in errors
    for run in (plan_repair, repair, collect, lambda uri: backup(uri, tmp_path / "b")):
        with pytest.raises(StoreOpenError, match="data lies elsewhere"):
            run(f"file://{root}")
    assert not (root / "data").exists()


@pytest.mark.parametrize("content", [None, b"no database" * 1000])
async def test_a_lost_database_without_a_row_log_is_told_by_the_data_beside_it(
    root: Path, content: bytes | None
) -> None:
    (root / "rows.jsonl").unlink()
    (root / "metadata.db").unlink()
    if content is not None:
        (root / "metadata.db").write_bytes(content)
    assert kinds(root) == [("database_unreadable", "metadata.db")]


def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    return processes.run(["-m", "starfish_storage", *arguments], 60, **variables)


async def test_the_command_tells_by_text_json_and_status(root: Path) -> None:
    status, out, errors = command("verify", "--store", str(root))
    assert (status, errors) == (0, "")
    assert out.splitlines()[-1] == "sound"
    stores.file_of(root, 5).unlink()
    status, out, errors = command("verify", "--store", f"file://{root}", "--json")
    assert (status, errors) == (1, "")
    found = json.loads(out)
    assert (found["is_sound"], found["records"]) == (False, stores.RECORDS)
    assert [one["kind"] for one in found["findings"]] == ["data_missing"]
    status, out, errors = command("verify", "--store", str(root / "nothing"))
    assert (status, out) == (2, "")
    assert errors.startswith("error: store at ")
    assert "Traceback" not in errors
