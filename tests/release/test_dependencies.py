"""What the package needs: how many packages, what each is for, and what is imported when."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "dependencies.md").read_text("utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCKED: dict[str, dict[str, Any]] = {
    one["name"]: one for one in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
}
MOST_PACKAGES = 18


def name_of(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0]


def base_install() -> set[str]:
    """Return the packages that the base install brings on Linux, by uv.lock."""
    found, pending = set[str](), ["starfish-storage"]
    while pending:
        for needed in LOCKED[pending.pop()].get("dependencies", []):
            if needed["name"] not in found and "win32" not in needed.get("marker", ""):
                found.add(needed["name"])
                pending.append(needed["name"])
    return found


def rows(heading: str) -> list[list[str]]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in table]


def test_the_base_install_has_no_more_packages_than_promised():
    assert len(base_install()) <= MOST_PACKAGES, sorted(base_install())


def test_the_page_says_what_each_is_for():
    of_page = [(row[0].strip("`"), row[1]) for row in rows("What every installation has")]
    assert [name for name, _ in of_page] == sorted(map(name_of, PROJECT["dependencies"]))
    section = PAGE.partition("They bring ")[2].partition("\n\n")[0]
    assert {name for name, _ in of_page} | set(re.findall(r"`([\w-]+)`", section)) == base_install()
    assert all(what for _, what in of_page)


def test_the_page_says_what_extras_add():
    of_page = {row[0].strip("`"): sorted(re.findall(r"`([\w-]+)`", row[1])) for row in rows("What extras add")}
    extras: dict[str, list[str]] = {}
    for extra, requirements in sorted(PROJECT["optional-dependencies"].items()):
        for requirement in requirements:
            extras.setdefault(name_of(requirement), []).append(extra)
    assert of_page == extras


def test_importing_the_package_imports_none_of_them():
    code = "import sys; before = {*sys.modules}; import starfish_storage; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    heavy = {"asyncio", "dataclasses", "inspect", "json", "ssl", "subprocess"}  # of Python itself
    needed = {name_of(requirement) for requirement in PROJECT["dependencies"]}
    assert (heavy | needed) & set(loaded) == set()
    ours = {name for name in loaded if name.startswith("starfish_storage.")}
    assert {name.split(".")[1] for name in ours} == {"errors", "wording"}
