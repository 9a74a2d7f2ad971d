"""The frozen stores, unpacked, and what is on the disk of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from starfish_storage import LocalStorage

ASSETS = Path(__file__).parent / "assets"


def unpack(name: str, root: Path) -> LocalStorage:
    """Unpack a frozen store and return its storage, not set up."""
    shutil.unpack_archive(ASSETS / f"{name}.zip", root)
    return LocalStorage(f"file://{root}")


def noted(name: str) -> Any:
    """Return what was noted when a store was frozen."""
    return json.loads((ASSETS / f"{name}.json").read_text("utf-8"))


def on_disk(root: Path) -> dict[str, tuple[object, ...]]:
    """Return every file and directory of a store with its content, times, permissions and identity."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (content, status.st_mtime_ns, status.st_mode, status.st_ino)
    return found
