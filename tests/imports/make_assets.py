"""Makes ``tests/imports/assets`` with the real tools, which ``make .venv/foreign .venv/foreign-tools`` installs.

What importing reads is kept, without the paths of the machine it was made on. ``llm-0.27.zip`` is not made here: it is
what ``llm_writer.py`` made with llm 0.27.1, the last release of an older schema that was tried.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
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


PACKED = {
    "data-designer": ("metadata.json", "builder_config.json", "*.parquet"),
    "inspect": ("*.eval", "*.json"),
    "llm": ("logs.db",),
    "lm-eval": ("*.jsonl", "*.json"),
    "sdg-hub": ("*.jsonl", "*.json"),
}
"""What is kept of other tools, in a ZIP archive each."""


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for tool, top in (("curator", "curator"), ("distilabel", "pipelines")):
            _write("foreign", tool, root)
            shutil.rmtree(ASSETS / top, ignore_errors=True)
            for pattern in KEPT:
                for path in (root / top).rglob(pattern):
                    copy = ASSETS / path.relative_to(root)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(path.read_bytes().replace(directory.encode(), b"/home/somebody/.cache"))
    for tool, patterns in PACKED.items():
        with tempfile.TemporaryDirectory() as directory:
            _write("foreign-tools", tool.replace("-", "_"), Path(directory))
            pack(tool, Path(directory), patterns)


def pack(tool: str, root: Path, patterns: tuple[str, ...]) -> None:
    with zipfile.ZipFile(ASSETS / f"{tool}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in patterns:
            for path in sorted((root / tool).rglob(pattern)):
                archive.write(path, path.relative_to(root))


def _write(environment: str, tool: str, root: Path) -> None:
    python = Path(sys.prefix) / environment / "bin" / "python"
    subprocess.run([python, HERE / f"{tool}_writer.py", root], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
