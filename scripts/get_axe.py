"""Get ``axe.min.js`` of axe-core, with which tests look for faults that keep people out; 0.7 MB, so not in the tree."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "axe-core@4.14.1"
DIGEST = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""SHA-256 of its ``axe.min.js``."""


def main(target: str) -> int:
    """Write the file to ``target``."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is missing, which axe-core comes from: the tests with it are skipped.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        ended = subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=directory, check=False)
        packed = next(Path(directory).glob("*.tgz"), None)
        if ended.returncode != 0 or packed is None:
            print(f"{PACKAGE} could not be fetched; is the registry of npm reachable?", file=sys.stderr)
            return 1
        with tarfile.open(packed) as archive:
            member = archive.extractfile("package/axe.min.js")
            content = b"" if member is None else member.read()
    if hashlib.sha256(content).hexdigest() != DIGEST:
        print(f"axe.min.js of {PACKAGE} is not the file that this project knows.", file=sys.stderr)
        return 1
    Path(target).write_bytes(content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
