"""The virtual environment of the peer, made once and kept for later runs.

It also has what this library needs, so that the peer can be measured with our storage in the place of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys

from benchmarks.contestants import PROJECT_ROOT

_PACKAGES = PROJECT_ROOT / "tests" / "imports" / "starfish.txt"
WORK = PROJECT_ROOT / "benchmarks" / ".work"


class PeerUnavailableError(Exception):
    """The peer's environment could not be made."""


def peer_python() -> str:
    """Return the interpreter of an environment that holds the peer, making it if it is not there.

    Raises:
        PeerUnavailableError: there is no uv, or the package index cannot be reached.
    """
    made_of = hashlib.sha256(_PACKAGES.read_bytes()).hexdigest()[:8]
    environment = WORK / f"peer-{made_of}-python{sys.version_info.major}.{sys.version_info.minor}"
    python = environment / "bin" / "python"
    finished = environment / "finished"  # written last: half an installation is made anew
    if finished.exists():
        return str(python)
    uv = _find_uv()
    WORK.mkdir(parents=True, exist_ok=True)
    print("making an environment with Starfish; this is done once and may take minutes", file=sys.stderr)
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)])
    _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r", str(_PACKAGES)])
    finished.touch()
    return str(python)


def _find_uv() -> str:
    beside_the_project = PROJECT_ROOT / ".tools" / "bin" / "uv"
    found = os.environ.get("UV") or shutil.which("uv") or (beside_the_project.exists() and str(beside_the_project))
    if not found:
        raise PeerUnavailableError("uv was not found: run `make bench`, or leave the peer out with --no-peer")
    return found


def _run(command: list[str]) -> None:
    if subprocess.run(command, check=False, cwd=WORK).returncode != 0:
        raise PeerUnavailableError(f"`{' '.join(command[:3])}` failed: see above, or leave the peer out with --no-peer")
