"""Who did what is there after a repair: from the row log, or from what is left of the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import stores
from maintenance.test_verify import root
from starfish_storage import LocalStorage
from starfish_storage.maintenance import repair, verify

__all__ = ["root"]


@pytest.mark.parametrize("lost", ["the row log", "what the database has newer"])
async def test_actions_survive_a_repair(root: Path, lost: str) -> None:
    uri, before = f"file://{root}", (root / "metadata.db").read_bytes()
    async with LocalStorage(uri) as storage:
        await storage.delete_master_job("m1")
        noted = await storage.ledger.list_actions()
    assert [(one.action, one.target) for one in noted] == [("delete", "m1")]
    if lost == "the row log":
        (root / "rows.jsonl").unlink()
    else:
        (root / "metadata.db").write_bytes(before)
    stores.empty_index(root, "records_by_job")
    assert "rebuild_database" in [step.kind for step in repair(uri).steps]
    assert verify(uri).is_sound
    async with LocalStorage(uri) as storage:
        assert await storage.ledger.list_actions() == noted
