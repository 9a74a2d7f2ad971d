"""Makes ``tests/imports/assets`` with the real tools, which ``make .venv/foreign`` installs.

What importing reads is kept, without the paths of the machine it was made on.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
KEPT = (
    "requests_*.jsonl",
    "responses_*.jsonl",
    "response.json",
    "metadata_0.json",
    "pipeline.yaml",
    "stages.json",
    "*.parquet",
)


def main() -> None:
    python = Path(sys.prefix) / "foreign" / "bin" / "python"
    shutil.rmtree(ASSETS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for tool in ("curator", "distilabel"):
            subprocess.run([python, HERE / f"{tool}_writer.py", root], check=True, stdout=subprocess.DEVNULL)
        for top in ("curator", "pipelines"):
            for pattern in KEPT:
                for path in (root / top).rglob(pattern):
                    copy = ASSETS / path.relative_to(root)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(path.read_bytes().replace(directory.encode(), b"/home/somebody/.cache"))


if __name__ == "__main__":
    main()
