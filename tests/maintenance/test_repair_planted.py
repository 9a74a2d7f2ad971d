"""Repairing what somebody planted: it is moved away or left alone, and nothing outside the store is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import stores
from maintenance.test_rebuild import damage, uri
from maintenance.test_verify import change, root
from starfish_storage import LocalStorage
from starfish_storage.maintenance import repair, verify
from unit.store_on_disk import bytes_of

__all__ = ["root"]


@pytest.mark.parametrize("name", ["metadata.db", "metadata.db-wal", "rows.jsonl"])
@pytest.mark.parametrize("kind", ["directory", "link"])
async def test_what_was_put_in_the_place_of_a_file_is_moved_away(root: Path, name: str, kind: str) -> None:
    before = await stores.everything(root)
    (root / name).unlink(missing_ok=True)
    if name == "rows.jsonl":
        damage(root)
    if kind == "directory":
        (root / name).mkdir()
    else:
        (root / name).symlink_to("writer.lock")
    done = repair(uri(root))
    assert done.copies is not None
    assert (Path(done.copies) / name).is_dir() if kind == "directory" else (Path(done.copies) / name).is_symlink()
    assert verify(uri(root)).findings == ()
    assert await stores.everything(root) == before


async def test_a_forged_reference_is_mended_and_moves_nothing(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    shard = stores.file_of(root, 5).parent
    shard.rename(tmp_path / "shard")
    shard.symlink_to(tmp_path / "shard")
    linked = bytes_of(tmp_path / "shard")
    change(root, "UPDATE records SET output_ref = '../outside.json' WHERE record_uid = 'r0001'")
    change(root, "UPDATE records SET output_ref = 'configs/m1.request.json' WHERE record_uid = 'r0003'")
    repair(uri(root))
    assert verify(uri(root)).damage == []
    assert (root / "configs/m1.request.json").exists()
    assert outside.exists()
    assert bytes_of(tmp_path / "shard") == linked
    async with LocalStorage(uri(root)) as storage:
        for number in (1, 3, 5):
            record = await storage.get_record_metadata(f"r{number:04}")
            assert record is not None
            assert record.status == "failed"
