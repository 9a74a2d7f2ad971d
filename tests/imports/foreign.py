"""What other tools have stored: as they once wrote it, and as they write it now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from migrations.stores import ASSETS as MIGRATIONS

HERE = Path(__file__).parent
FROZEN = HERE / "assets"
REAL = pytest.param("real", marks=pytest.mark.slow)
"""The tools are pinned: what they write changes with their versions, which is when `make test-slow` is run."""
FROZEN_OR_REAL = pytest.mark.parametrize("made", ["frozen", REAL])

_TOOLS = Path(sys.prefix) / "foreign"
_MORE_TOOLS = Path(sys.prefix) / "foreign-tools"
_STARFISH = Path(sys.prefix) / "foreign-starfish"
_WRITERS = {
    "curator": (_TOOLS, HERE / "curator_writer.py", "curator"),
    "distilabel": (_TOOLS, HERE / "distilabel_writer.py", "pipelines"),
    "data-designer": (_MORE_TOOLS, HERE / "data_designer_writer.py", "data-designer"),
    "inspect": (_MORE_TOOLS, HERE / "inspect_writer.py", "inspect"),
    "llm": (_MORE_TOOLS, HERE / "llm_writer.py", "llm"),
    "lm-eval": (_MORE_TOOLS, HERE / "lm_eval_writer.py", "lm-eval"),
    "sdg-hub": (_MORE_TOOLS, HERE / "sdg_hub_writer.py", "sdg-hub"),
    "starfish": (_STARFISH, MIGRATIONS.parent / "starfish_writer.py", "store"),
    "starfish-damaged": (_STARFISH, MIGRATIONS.parent / "starfish_damage.py", "db"),
}


def real(tool: str, root: Path) -> Path:
    """Let a tool store something in an empty directory and return where; if it is not installed, skip the test."""
    environment, writer, place = _WRITERS[tool]
    if not (environment / "finished").exists():
        target = "foreign-tools" if environment == _MORE_TOOLS else "foreign"
        pytest.skip(f"{tool} is not installed: make .venv/{target}")
    made = root / "real"
    made.mkdir()
    ended = subprocess.run(
        [
            environment / "bin" / "python",
            writer,
            *([made / place, made / "answers.json"] if place == "store" else [made]),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "TZ": "UTC", "HOME": str(made)},
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.decode("utf-8", "replace")
    return made / place


def frozen(tool: str, root: Path) -> Path:
    """Return a directory with what a tool once stored, unpacked into an empty one if it is packed."""
    if tool == "starfish":
        shutil.unpack_archive(MIGRATIONS / "starfish-0.1.3.zip", root / "frozen")
        return root / "frozen"
    packed = FROZEN / f"{tool}.zip"
    if packed.exists():
        shutil.unpack_archive(packed, root / "frozen")
        return root / "frozen" / tool
    return FROZEN / _WRITERS[tool][2]
