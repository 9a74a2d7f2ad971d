"""Backups of packed stores: what was appended is copied, and what is there stays as it is until the new one counts."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from durability import workload
from maintenance import stores
from maintenance.test_backup import changes, copy, killed_backups, same, save
from starfish_storage import LocalStorage, StoreDamagedError
from starfish_storage.codec import content_digest
from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance.backup import backup
from starfish_storage.maintenance.compressing import compress
from starfish_storage.maintenance.packing import pack
from starfish_storage.maintenance.restore import restore
from unit.store_on_disk import bytes_of, data_of, rows_of

PACK = "data/packs/000001.jsonl"


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    return await packed(tmp_path / "store")


async def packed(root: Path, records: int = stores.RECORDS) -> Path:
    await stores.fill(LocalStorage(f"file://{root}", layout="packed"), records)
    return root


def change(root: Path, statement: str, *values: object) -> None:
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.execute(statement, values)
    connection.close()


async def test_only_what_was_appended_is_copied(root: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = backup(f"file://{root}", tmp_path / "b", progress=lambda done, total: seen.append((done, total)))
    assert (report.records, *changes(report), report.passes) == (stores.RECORDS, 3, 0, 0, 1)
    assert report.bytes == sum(map(len, data_of(root).values()))
    assert seen[-1] == (3, 3)
    assert (data_of(tmp_path / "b"), rows_of(tmp_path / "b")) == (data_of(root), rows_of(root))
    assert (tmp_path / "b" / PACK).stat().st_mode & 0o777 == 0o600
    assert changes(copy(root, tmp_path / "b")) == (0, 3, 0)
    before = (root / PACK).stat().st_size
    await save(root, 3, {"new": "version"})
    report = copy(root, tmp_path / "b")
    assert (*changes(report), report.bytes) == (1, 2, 0, (root / PACK).stat().st_size - before)
    assert await same(root, tmp_path / "b")
    restored = restore(tmp_path / "b", f"file://{tmp_path / 'r'}")
    assert (restored.records, restored.files) == (stores.RECORDS, 3)
    assert await same(root, tmp_path / "r")
    await save(tmp_path / "r", 4, {"on": "it goes"})


async def test_a_pack_that_is_gone_goes_and_what_nobody_committed_is_not_copied(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    (moved / PACK).rename(moved / "data/packs/000002.jsonl")
    for table in ("packs", "packed_data"):
        change(moved, f"UPDATE {table} SET pack = '000002'")
    with (moved / "data/packs/000002.jsonl").open("ab") as pack:
        pack.write(b'{"of a writer that was killed')
    (moved / "data/packs/000003.jsonl").write_bytes(b'{"not committed":1}\n')
    assert changes(copy(moved, tmp_path / "b")) == (1, 2, 1)
    (found,) = (tmp_path / "b/data/packs").iterdir()
    assert (found.name, found.read_bytes()) == ("000002.jsonl", (root / PACK).read_bytes())
    with found.open("ab") as pack:  # as a backup leaves it that was killed
        pack.write(b"{")
    copy(moved, tmp_path / "b")
    assert found.read_bytes() == (root / PACK).read_bytes()


@pytest.mark.parametrize(("number", "passes"), [(0, 2), (stores.RECORDS - 1, 1)])
async def test_another_pack_of_the_same_name_replaces_it_with_the_new_rows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: int
) -> None:
    """Of another store, or of one that was restored: nothing is touched before the new database is in place."""
    copy(root, tmp_path / "b")
    earlier, replaced, replace = (tmp_path / "b" / PACK).read_bytes(), list[bytes](), FileOperations.replace_file
    shutil.copytree(root, tmp_path / "other")
    lines = earlier.splitlines(keepends=True)
    lines[number] = lines[number].replace(b"record", b"RECORD")
    (tmp_path / "other" / PACK).write_bytes(b"".join(lines))
    digest = content_digest(lines[number])
    change(tmp_path / "other", "UPDATE records SET data_sha256 = ? WHERE record_uid = ?", digest, f"r{number:04}")

    def replacing(self: FileOperations, source: str, target: str) -> None:
        replaced.append((tmp_path / "b" / PACK).read_bytes())
        replace(self, source, target)

    monkeypatch.setattr(FileOperations, "replace_file", replacing)
    report = copy(tmp_path / "other", tmp_path / "b")
    assert (*changes(report), report.bytes, report.passes) == (1, 2, 0, len(earlier), passes)
    assert replaced == [earlier]
    assert (tmp_path / "b" / PACK).read_bytes() == b"".join(lines)
    assert await same(tmp_path / "other", tmp_path / "b")


async def test_what_only_the_journal_has_is_in_the_backup(root: Path, tmp_path: Path) -> None:
    """Of a store that has lost what was not synced yet, and was not opened since."""
    content = (root / PACK).read_bytes()
    begin = content.find(b"\n", len(content) // 2) + 1
    stores.journal(root, f"{PACK}:{begin}+{len(content) - begin}", content[begin:])
    (root / PACK).write_bytes(content[: begin + 5])
    (root / "writer.lock").write_bytes(b"\1")
    copy(root, tmp_path / "b")
    assert (root / PACK).stat().st_size == begin + 5, "the store itself is only read"
    assert (tmp_path / "b" / PACK).read_bytes() == content


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
async def test_damage_replaces_no_backup_and_no_store_is_made_of_a_damaged_one(
    root: Path, tmp_path: Path, damage: str
) -> None:
    copy(root, tmp_path / "b")
    before = data_of(tmp_path / "b"), rows_of(tmp_path / "b")
    await save(root, 9, {"appended": "since"})
    damages: dict[str, Callable[[Path, int], object]] = {
        "flip": stores.flip_bit,
        "cut": os.truncate,
        "remove": lambda path, _: path.unlink(),
    }
    damages[damage](root / PACK, (root / PACK).stat().st_size - 8)
    with pytest.raises(StoreDamagedError, match=rf"{PACK}:\d+\+\d+.*The earlier backup is as it was"):
        copy(root, tmp_path / "b")
    assert before[1] == rows_of(tmp_path / "b")
    assert all((tmp_path / "b" / name).read_bytes().startswith(content) for name, content in before[0].items())
    with pytest.raises(StoreDamagedError):
        copy(root, tmp_path / "new")
    assert not (tmp_path / "new/metadata.db").exists()
    damages[damage](tmp_path / "b" / PACK, 100)
    kept = bytes_of(tmp_path / "b")
    with pytest.raises(StoreDamagedError, match="use another backup"):
        restore(tmp_path / "b", f"file://{tmp_path / 'r'}")
    assert bytes_of(tmp_path / "b") == kept
    assert list((tmp_path / "r").iterdir()) == []


async def test_a_lost_pack_stays_in_its_backup(root: Path, tmp_path: Path) -> None:
    copy(root, tmp_path / "b")
    content = (root / PACK).read_bytes()
    (root / PACK).unlink()
    assert changes(copy(root, tmp_path / "b")) == (0, 2, 0)
    assert (tmp_path / "b" / PACK).read_bytes() == content


async def test_what_changes_while_it_is_copied_is_copied_again(root: Path, tmp_path: Path) -> None:
    """Overwritten, deleted, added and moved to another pack between the snapshot and the copying."""
    disturbed = False

    async def disturb() -> None:
        async with LocalStorage(f"file://{root}") as storage:
            for number in range(0, stores.RECORDS, 2):
                found = await storage.get_record_metadata(f"r{number:04}")
                assert found is not None
                await storage.save_record(found, {"changed": number})
            await storage.save_record(workload.record("new", 1, "m1", "m1-a"), {"added": True})
            await storage.delete_master_job("M2")

    def progress(_done: int, _total: int) -> None:
        nonlocal disturbed
        if not disturbed:
            disturbed = True
            asyncio.run(disturb())

    report = await asyncio.to_thread(backup, f"file://{root}", tmp_path / "b", progress=progress)
    assert report.passes == 2, "the configuration of M2 is gone"
    assert await same(root, tmp_path / "b")


async def test_a_pack_is_safe_before_the_database_that_refers_to_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for name in ("write_at", "sync", "replace_file"):
        step = getattr(FileOperations, name)

        def noted(self: FileOperations, *args: object, name: str = name, step: Callable[..., None] = step) -> None:
            is_pack = name != "sync" or os.readlink(f"/proc/self/fd/{args[0]}").endswith(PACK)
            steps.extend([name] if is_pack else [])
            step(self, *args)

        monkeypatch.setattr(FileOperations, name, noted)
    copy(root, tmp_path / "b")
    assert steps[:2] == ["write_at", "sync"]
    assert steps.index("sync") < steps.index("replace_file")
    steps.clear()
    restore(tmp_path / "b", f"file://{tmp_path / 'r'}")
    assert steps[:2] == ["write_at", "sync"]


async def test_compressed_packs_are_copied_as_they_are(root: Path, tmp_path: Path) -> None:
    """Compressed since the earlier backup, which has them plain, or before there was one."""
    copy(root, tmp_path / "b")
    async with LocalStorage(f"file://{root}") as storage:
        await compress(storage, await pack(storage))
    path = root / f"{PACK}.zst"
    content = path.read_bytes()
    for destination, copied in (("b", 1), ("new", 3)):
        assert changes(copy(root, tmp_path / destination)) == (copied, 3 - copied, 0)
        (found,) = (tmp_path / destination / "data/packs").iterdir()
        assert (found.name, found.read_bytes()) == (path.name, content)
        assert await same(root, tmp_path / destination)
        assert changes(copy(root, tmp_path / destination)) == (0, 3, 0)
        os.utime(path)
        assert changes(copy(root, tmp_path / destination)) == (0, 3, 0)
    restore(tmp_path / "b", f"file://{tmp_path / 'r'}")
    assert data_of(tmp_path / "r") == data_of(root)
    assert await same(root, tmp_path / "r")
    stores.flip_bit(path, len(content) // 2)
    with pytest.raises(StoreDamagedError):
        copy(root, tmp_path / "b")
    assert (tmp_path / "b" / f"{PACK}.zst").read_bytes() == content


async def test_a_killed_backup_is_the_old_or_the_new_one(root: Path, tmp_path: Path) -> None:
    assert await killed_backups(root, tmp_path, 5) >= 4
