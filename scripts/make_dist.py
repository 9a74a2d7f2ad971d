"""Build what is released into ``dist/``, twice, and try the wheel as people get it.

1. Build sdist and wheel, and both again from a copy in another directory: the bytes must be the same.
2. Check what is in them: `twine check`, `check-wheel-contents`, and tests/release.
3. For every Python of 3.11 to 3.14 that is on this machine (none is downloaded): install the wheel alone in a fresh
   environment, compare its packages with the promise, and run the demo; then add the extra `testing` and run a part of
   the suites, against the installed package. One that is not there is named.
4. Run the command by `uv tool install` and by `uvx`.

``--quick`` takes the newest Python only, and leaves out what needs further downloads: the suites, and step 4.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
MOST_PACKAGES = 18  # that the base install brings; promised in docs/explanation/dependencies.md, like its size
MOST_BYTES = 30 << 20
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SUITES = ROOT / "tests" / "release" / "installed_suites.py"
UV = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")


def main(words: list[str]) -> int:
    """Do all of it; a step that fails ends it."""
    quick = "--quick" in words
    with tempfile.TemporaryDirectory(prefix="starfish-storage-dist-") as scratch:
        build(DIST, Path(scratch))
        check(DIST)
        (wheel,) = DIST.glob("*.whl")
        found = list(pythons())
        if not found:
            raise SystemExit(f"none of Python {', '.join(PYTHONS)} was found")
        for version, python in found[-1:] if quick else found:
            try_wheel(wheel, version, python, Path(scratch) / version, quick=quick)
        if not quick:
            missing = [version for version in PYTHONS if version not in dict(found)]
            print(f"not on this machine, so not tried: Python {', '.join(missing) or '(none)'}")
            try_as_tool(wheel, found[-1][1], Path(scratch) / "tools")
    for path in sorted(DIST.iterdir()):
        if path.name != ".gitignore":
            print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  dist/{path.name}  {path.stat().st_size:,} bytes")
    return 0


def build(to: Path, scratch: Path) -> None:
    """Build twice: sdist and the wheel of it here, and both from a copy of the files that git knows.

    Raises:
        SystemExit: the bytes differ.
    """
    if to.exists():
        shutil.rmtree(to)
    run(UV, "build", "--quiet", "--out-dir", str(to), cwd=ROOT, env={"SOURCE_DATE_EPOCH": epoch()})
    copy, again = scratch / "a copy", scratch / "again"
    for name in listed():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)  # with other times and modes
    words = ("build", "--quiet", "--sdist", "--wheel", "--out-dir", str(again))  # the wheel from the tree this time
    run(UV, *words, cwd=copy, env={"SOURCE_DATE_EPOCH": epoch(), "TZ": "Pacific/Chatham", "LC_ALL": "C"})
    for path in again.iterdir():
        if path.name != ".gitignore" and path.read_bytes() != (to / path.name).read_bytes():
            raise SystemExit(f"{path.name} is not reproducible: a build from another directory has other bytes")


def epoch() -> str:
    """Return the time that files of the release bear: that of the last commit, unless the environment says another."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    return said or capture("git", "log", "-1", "--format=%ct").strip()


def listed() -> list[str]:
    """Return the files of the project; what lies around besides is not built from."""
    names = capture("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def check(built: Path) -> None:
    """Check metadata and contents."""
    tools = Path(sys.executable).parent
    files = [str(path) for path in built.iterdir() if path.name != ".gitignore"]
    run(str(tools / "twine"), "check", "--strict", *files)
    run(str(tools / "check-wheel-contents"), *(name for name in files if name.endswith(".whl")))
    run(str(tools / "towncrier"), "build", "--draft", "--version", "0", quiet=True)  # every fragment is one
    words = ("-m", "pytest", "-q", "-n", "0", "-m", "slow or not slow", "tests/release/test_contents.py")
    run(sys.executable, *words, cwd=ROOT, env={"STARFISH_STORAGE_DIST": str(built)})


def pythons() -> Iterator[tuple[str, str]]:
    """Yield the Pythons of this machine, as version and path: those that uv finds, and those that pyenv has."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in PYTHONS:
        words = [UV, "python", "find", "--no-python-downloads", "--no-project", version]
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
        others = sorted(home.glob(f"versions/{version}.*/bin/python"))
        if found or others:
            yield version, found or str(others[-1])


def try_wheel(wheel: Path, version: str, python: str, place: Path, *, quick: bool) -> None:
    """Install the wheel and nothing else, and use it from a directory where the project is not."""
    home, here = place / "environment", place / "here"
    here.mkdir(parents=True)
    run(UV, "venv", "--quiet", "--python", python, str(home), cwd=here)
    install = (UV, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"))
    run(*install, str(wheel), cwd=here)
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    packages = len(list(home.glob("lib/python*/site-packages/*.dist-info"))) - 1  # beside this one
    print(f"Python {version}: {packages} packages, {size / (1 << 20):.1f} MB")
    if packages > MOST_PACKAGES or size > MOST_BYTES:
        raise SystemExit(f"the base install has more than {MOST_PACKAGES} packages or {MOST_BYTES >> 20} MB")
    command = str(home / "bin" / "starfish-storage")
    run(command, "demo", "--store", "tried", "--no-view", cwd=here, quiet=True)
    run(command, "verify", "--store", "tried", cwd=here, quiet=True)
    if not quick:
        run(*install, f"{wheel}[testing]", cwd=here)
        shutil.copyfile(SUITES, here / "test_installed.py")
        words = ("-m", "pytest", "-q", "-o", "asyncio_mode=auto", "--rootdir", str(here), "test_installed.py")
        run(str(home / "bin" / "python"), *words, cwd=here)


def try_as_tool(wheel: Path, python: str, place: Path) -> None:
    """Run the command as `uv tool install` and `uvx` bring it."""
    place.mkdir()
    env = {"UV_TOOL_DIR": str(place / "tools"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    run(UV, "tool", "install", "--quiet", "--python", python, str(wheel), cwd=place, env=env)
    run(str(place / "bin" / "starfish-storage"), "--version", cwd=place)
    run(
        UV, "tool", "run", "--python", python, "--from", str(wheel), "starfish-storage", "--version", cwd=place, env=env
    )


def run(*command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, quiet: bool = False) -> None:
    """Run a command without what would show it the project; what a quiet one says is shown where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=cwd, env=environment | dict(env or {}), capture_output=quiet, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: failed with {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")


def capture(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
