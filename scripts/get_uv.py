"""Get ``uv`` onto a machine that has only Python: into a directory of the project, nothing system-wide."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NEEDED = (3, 11)


def main(target: str) -> int:
    """Install uv below ``target``, so that ``target/bin/uv`` runs."""
    if sys.version_info < NEEDED:
        print(f"Python {NEEDED[0]}.{NEEDED[1]} or newer is needed, this is {sys.version.split()[0]}.", file=sys.stderr)
        return 1
    directory = Path(target)
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        # Debian's Python comes without pip; the one that Python bundles is put beside uv.
        pip_home = directory / "pip"
        if not _bundled_pip(pip_home):
            print("This Python has no pip and cannot make one: install uv yourself (see its documentation).")
            return 1
        pip = [str(pip_home / "bin" / "python"), "-m", "pip"]
    install = [*pip, "install", "--quiet", "--disable-pip-version-check", "--target", str(directory / "lib"), "uv"]
    if subprocess.run(install, check=False).returncode != 0:
        print("uv could not be installed; is the package index reachable?", file=sys.stderr)
        return 1
    binary = directory / "bin" / "uv"
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.unlink(missing_ok=True)
    binary.symlink_to(Path("..") / "lib" / "bin" / "uv")
    return 0


def _bundled_pip(home: Path) -> bool:
    return subprocess.run([sys.executable, "-m", "venv", str(home)], check=False).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ".tools"))
