"""The commands that back up and restore."""

from __future__ import annotations

import json
from pathlib import Path

from maintenance import stores
from maintenance.test_verify import command, root
from starfish_storage.maintenance import verify

__all__ = ["root"]


async def test_the_commands_back_up_and_restore(root: Path, tmp_path: Path) -> None:
    status, out, errors = command("backup", str(root), str(tmp_path / "b"))
    assert (status, errors) == (0, "")
    assert f"{stores.RECORDS} records" in out
    status, out, errors = command("restore", str(tmp_path / "b"), str(tmp_path / "back"), "--json")
    assert (status, errors) == (0, "")
    assert json.loads(out)["records"] == stores.RECORDS
    assert verify(f"file://{tmp_path}/back").findings == ()
    status, out, errors = command("restore", str(tmp_path / "b"), str(tmp_path / "back"))
    assert (status, out) == (2, "")
    assert "Traceback" not in errors
