"""What other tools have stored: as they once wrote it, and as they write it now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FROZEN = HERE / "assets"
ENVIRONMENT = Path(sys.prefix) / "foreign"

FROZEN_OR_REAL = pytest.mark.parametrize("made", ["frozen", "real"])


def stores_of(tool: str, made: str, root: Path) -> Path:
    """Return a directory with what a tool has stored; it is not changed.

    Args:
        tool: its name.
        made: ``"frozen"`` or ``"real"``.
        root: an empty directory.
    """
    name = {"curator": "curator", "distilabel": "pipelines"}[tool]
    if made == "frozen":
        return FROZEN / name
    if not (ENVIRONMENT / "finished").exists():
        pytest.skip(f"{tool} is not installed: make .venv/foreign")
    subprocess.run(
        [ENVIRONMENT / "bin" / "python", HERE / f"{tool}_writer.py", root],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "TZ": "UTC"},
        timeout=200,
    )
    return root / name
