"""An upgrade that has no room, or may not write, is refused with the remedy, and leaves the store as it was."""

from __future__ import annotations

import pytest

from durability import reading_stores
from durability.file_systems import Mounted
from migrations.stores import unpack
from migrations.test_starfish import tables_of
from starfish_storage import StorageError, StorageFullError
from starfish_storage.maintenance import upgrade, verify


@pytest.mark.parametrize("left", [0, 24 << 10, 200 << 10])
def test_a_full_or_read_only_disk(disk: Mounted, left: int) -> None:
    root = disk.path / "store"
    unpack("starfish-0.1.3-damaged", root)
    files = {path: path.read_bytes() for path in root.rglob("*.json")}
    tables = tables_of(root / "metadata.db")
    spare = disk.path / "spare"
    spare.write_bytes(bytes(left))
    reading_stores.fill(disk.path)
    spare.unlink()
    with pytest.raises(StorageFullError, match="an upgrade copies the database and much of the data; make room"):
        upgrade(root)
    (disk.path / "ballast").unlink()
    assert tables_of(root / "metadata.db") == tables
    assert {path: path.read_bytes() for path in root.rglob("*.json")} == files
    assert not list(root.glob("metadata.db.starfish*"))
    disk.remount("ro")
    with pytest.raises(StorageError, match="mounted read-only; mount it for writing, or copy the store"):
        upgrade(root)
    planned = upgrade(root, dry_run=True)
    disk.remount("rw")
    assert upgrade(root).repairs == planned.repairs
    assert verify(root).is_sound
