"""Verify of packs: each kind of damage is told by its own name, and a store in use has none."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from durability import workload
from maintenance import stores
from maintenance.packed_stores import FIRST, change_bytes, compress_all, execute, line_of, place_of, places
from maintenance.test_verify import kinds
from starfish_storage import DataLostError, LocalStorage, Record, StorageError, StoreDamagedError
from starfish_storage.maintenance import VerifyReport, repair, verify
from unit.store_on_disk import bytes_of


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed store, to be copied: making one takes longer than most tests with it."""
    root = tmp_path_factory.mktemp("template") / "store"
    asyncio.run(stores.make(root, layout="packed"))
    return root


@pytest.fixture
def packed(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "store"))


def uri(root: Path) -> str:
    return f"file://{root}"


async def test_a_sound_store_is_called_so_and_nothing_is_changed(packed: Path) -> None:
    before = bytes_of(packed)
    seen: list[tuple[int, int]] = []
    report = verify(uri(packed), progress=lambda done, total: seen.append((done, total)))
    assert (report.findings, report.is_sound) == ((), True)
    assert (report.records, report.files, report.packs, report.dead_bytes) == (stores.RECORDS, 2, 1, 0)
    configs = sum(path.stat().st_size for path in packed.glob("configs/*"))
    assert report.bytes == configs + (packed / FIRST).stat().st_size
    assert "40 records with data, 2 files and 1 pack (" in str(report)
    assert (report.to_json()["packs"], report.to_json()["dead_bytes"]) == (1, 0)
    assert seen[-1] == (stores.RECORDS, stores.RECORDS)
    assert all(content == before[name] for name, content in bytes_of(packed).items() if name in before)


async def test_a_flipped_bit_is_found_in_its_record_alone(packed: Path) -> None:
    key, place = place_of(packed, 7)
    change_bytes(packed, place, b"R", line_of(packed, place).index(b"record"))
    report = verify(uri(packed))
    assert [(one.kind, one.subject) for one in report.findings] == [("data_damaged", key)]
    assert place.key in report.findings[0].detail
    async with LocalStorage(uri(packed)) as storage:
        with pytest.raises(StoreDamagedError, match=rf"differs\); it lies at {re.escape(place.key)}; run 'starfish"):
            await storage.get_record_data(str(packed / key))
        scanned = [one for run in ("m1", "M2") async for batch in storage.scan_records(run) for one in batch]
    assert [place.key in str(one.error) for one in scanned if one.error is not None] == [True]


async def test_what_is_replaced_or_deleted_is_dead_and_no_finding(packed: Path) -> None:
    size = (packed / FIRST).stat().st_size
    async with LocalStorage(uri(packed)) as storage:
        one = Record(record_uid="r0002", job_id="m1-b", master_job_id="m1", status="completed")
        await storage.save_record(one, {"new": True})
        await storage.delete_master_job("M2")
    report = verify(uri(packed))
    assert report.findings == ()
    live = sum(place.length for place in places(packed).values())
    assert report.dead_bytes == size + len(b'{"new":true}\n') - live > 0
    assert f"{report.dead_bytes:,} bytes of packs are of data that was replaced or deleted" in str(report)


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"torn":'])
async def test_what_is_no_line_of_json_in_a_dead_range_is_told(packed: Path, content: bytes) -> None:
    _, place = place_of(packed, 3)
    async with LocalStorage(uri(packed)) as storage:
        await storage.delete_master_job("M2")
    change_bytes(packed, place, content.ljust(place.length - 1) + b"\n")
    assert kinds(packed) == [("pack_lines_foreign", place.key)]
    assert verify(uri(packed)).is_sound


async def test_bytes_behind_the_last_commit_are_told_unless_their_writer_lives(packed: Path) -> None:
    with (packed / FIRST).open("ab") as pack:
        pack.write(b'{"uncommitted":')
    assert kinds(packed) == [("pack_tail", FIRST)]
    assert verify(uri(packed)).is_sound
    async with LocalStorage(uri(packed)) as storage:  # it goes on with the pack, and cuts that off
        one = Record(record_uid="r0002", job_id="m1-b", master_job_id="m1", status="completed")
        await storage.save_record(one, {"new": True})
        with (packed / FIRST).open("ab") as pack:
            pack.write(b'{"being written":')
        assert kinds(packed) == []


async def test_a_pack_that_is_missing_short_or_no_file_is_found_with_its_records(packed: Path, tmp_path: Path) -> None:
    path, known = packed / FIRST, places(packed)
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    last = max(known, key=lambda key: known[key])
    assert kinds(packed) == [("data_missing", last), ("pack_short", FIRST)]
    async with LocalStorage(uri(packed), read_only=True) as storage:
        with pytest.raises(DataLostError, match=rf"it is lost: it lay at {re.escape(known[last].key)}; run"):
            await storage.get_record_data(str(packed / last))
    (tmp_path / "outside.jsonl").write_bytes(content)
    path.unlink()
    assert sorted(kinds(packed)) == [*sorted(("data_missing", key) for key in known), ("pack_missing", FIRST)]
    path.symlink_to(tmp_path / "outside.jsonl")
    found = kinds(packed)
    assert set(found) >= {("data_unreadable", key) for key in known}
    assert found[-1] == ("not_data", FIRST) or ("pack_unreadable", FIRST) in found
    path.unlink()
    os.mkfifo(path)
    assert {("data_unreadable", key) for key in known} <= set(kinds(packed))


async def test_rows_that_name_more_than_was_committed_overlap_or_share_are_found(packed: Path) -> None:
    """What lies behind the committed size would be cut off by the next writer."""
    (one, first), (other, second), *_ = places(packed).items()
    execute(packed, "UPDATE packs SET size = size - 1")
    assert kinds(packed) == [("pack_size_wrong", FIRST)]
    execute(packed, "UPDATE packs SET size = size + 1")
    execute(packed, "UPDATE packed_data SET start = start - 5 WHERE key = ?", other)
    found = kinds(packed)
    assert (found[0], found[-1]) == (("pack_ranges_overlap", other), ("data_damaged", other))
    execute(packed, "UPDATE packed_data SET start = ?, length = ? WHERE key = ?", first.start, 10**15, other)
    assert ("data_missing", other) in kinds(packed)
    execute(packed, "UPDATE packed_data SET start = ?, length = ? WHERE key = ?", first.start, first.length, other)
    assert kinds(packed) == [("data_damaged", other)], "two rows may share a line, if it is what both have saved"
    execute(packed, "UPDATE packed_data SET pack = '000009' WHERE key = ?", one)
    assert ("pack_missing", "data/packs/000009.jsonl") in kinds(packed)
    assert second.pack == first.pack


@pytest.mark.parametrize("name", ["../../../outside", "{outside}", "", "00\0000", "9" * 300])
async def test_a_pack_of_an_impossible_name_is_found_missing(packed: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.jsonl").write_bytes((packed / FIRST).read_bytes())
    key, _ = place_of(packed, 3)
    name = name.format(outside=tmp_path / "outside")
    execute(packed, "UPDATE packed_data SET pack = ? WHERE key = ?", name, key)
    found = kinds(packed)
    assert any(subject == key or name in subject for _, subject in found)
    async with LocalStorage(uri(packed)) as storage:
        with pytest.raises(StorageError):
            await storage.get_record_data(key)
    assert repair(uri(packed))


async def test_what_else_lies_among_packs_is_told(packed: Path) -> None:
    (packed / "data/packs/000007.jsonl").write_bytes(b'{"nobody":1}\n')
    (packed / "data/packs/notes.txt").write_text("mine")
    (packed / "data/packs/000001.jsonl.zst").write_bytes(b"")
    found = verify(uri(packed))
    assert [(one.kind, one.subject) for one in found.findings] == [
        ("not_data", "data/packs/notes.txt"),
        ("pack_twice", FIRST),
        ("pack_unknown", "data/packs/000007.jsonl"),
    ]
    assert found.is_sound


async def test_loose_data_and_files_of_packed_records_are_told(packed: Path) -> None:
    async with LocalStorage(uri(packed)) as storage:
        reference = await storage.save_record_data("loose", "m1", "m1-a", {"loose": True})
    key, place = place_of(packed, 3)
    (packed / key).parent.mkdir(exist_ok=True)
    (packed / key).write_bytes(line_of(packed, place))
    loose = str(Path(reference).relative_to(packed))
    report = verify(uri(packed))
    assert sorted((one.kind, one.subject) for one in report.findings) == sorted(
        [("data_unreferenced", loose), ("data_unreferenced", key)]
    )
    assert report.dead_bytes == 0


async def test_after_a_power_cut_the_journal_counts(packed: Path) -> None:
    content = (packed / FIRST).read_bytes()
    start = places(packed)[place_of(packed, 30)[0]].start
    stores.journal(packed, f"{FIRST}:{start}+{len(content) - start}", content[start:])
    (packed / FIRST).write_bytes(content[: start + 5])
    assert kinds(packed) == []


async def test_a_store_in_use_is_sound(packed: Path) -> None:
    """Records are overwritten, added and deleted while it is verified: none of it is taken for damage."""
    async with LocalStorage(uri(packed)) as storage:
        reading = asyncio.create_task(asyncio.to_thread(_verify_often, packed))
        number = 0
        while not reading.done():
            record = Record(record_uid=f"r{number % 10:04}", job_id="m1-a", master_job_id="m1", status="completed")
            await storage.save_record(record, stores.data_of(number))
            await workload.prepare(storage, f"side{number}", f"side{number}-job")
            await storage.save_record(
                workload.record(f"s{number}", 1, f"side{number}", f"side{number}-job"),
                workload.payload(f"s{number}", 1),
            )
            await storage.delete_master_job(f"side{number}")
            number += 1
        for report in await reading:
            assert [one for one in report.findings if "pack" in one.kind or one.subject.startswith("data/")] == []


def _verify_often(root: Path) -> list[VerifyReport]:
    return [verify(uri(root)) for _ in range(8)]


async def test_compressed_packs_are_read_as_plain_ones(packed: Path) -> None:
    await compress_all(packed)
    (path,) = (packed / "data/packs").iterdir()
    assert path.name == "000001.jsonl.zst"
    report = verify(uri(packed))
    assert (report.findings, report.packs, report.records) == ((), 1, stores.RECORDS)
    stores.flip_bit(path, path.stat().st_size // 3)
    assert {kind for kind, _ in kinds(packed)} == {"data_unreadable"}
    stores.flip_bit(path, path.stat().st_size // 3)
    (packed / "metadata.db").unlink()
    repair(uri(packed))
    assert (path.exists(), verify(uri(packed)).findings) == (True, ())
