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
FROZEN_OR_REAL = pytest.mark.parametrize("made", ["frozen", "real"])

_TOOLS = Path(sys.prefix) / "foreign"
_STARFISH = Path(sys.prefix) / "foreign-starfish"
_WRITERS = {
    "curator": (_TOOLS, HERE / "curator_writer.py", "curator"),
    "distilabel": (_TOOLS, HERE / "distilabel_writer.py", "pipelines"),
    "starfish": (_STARFISH, MIGRATIONS.parent / "starfish_writer.py", "store"),
}


class RealStores:
    """Runs the real tools, if they are installed, while other tests go on: each takes ten seconds to start.

    Args:
        root: an empty directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for tool, (environment, writer, _) in _WRITERS.items():
            if (environment / "finished").exists():
                directory = root / tool
                directory.mkdir()
                arguments = [directory / "store", directory / "answers.json"] if tool == "starfish" else [directory]
                with (directory / "said").open("wb") as said:
                    self._running[tool] = subprocess.Popen(
                        [environment / "bin" / "python", writer, *arguments],
                        stdin=subprocess.DEVNULL,
                        stdout=said,
                        stderr=said,
                        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "TZ": "UTC", "HOME": str(directory)},
                    )

    def of(self, tool: str) -> Path:
        """Return the directory with what a tool has stored; where it is not installed, the test is skipped."""
        if tool not in self._running:
            pytest.skip(f"{tool} is not installed: make .venv/foreign")
        status = self._running[tool].wait(timeout=200)
        assert status == 0, (self._root / tool / "said").read_text("utf-8", "replace")
        return self._root / tool / _WRITERS[tool][2]

    def close(self) -> None:
        """End those that nobody waited for."""
        for process in self._running.values():
            process.kill()
            process.wait()


def frozen(tool: str, root: Path) -> Path:
    """Return a directory with what a tool once stored, unpacked into an empty one if it is packed."""
    if tool == "starfish":
        shutil.unpack_archive(MIGRATIONS / "starfish-0.1.3.zip", root / "frozen")
        return root / "frozen"
    return FROZEN / _WRITERS[tool][2]
