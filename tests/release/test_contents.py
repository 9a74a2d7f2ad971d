"""What is in the wheel and in the sdist, and what is not. `make dist` runs this, over what it has built."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from starfish_storage import __version__

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "starfish_storage"
INFO = f"starfish_storage-{__version__}.dist-info"
LARGEST = 200_000  # bytes of a file: nothing that is packed with the code is a picture or data of that size


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with both: the one that `make dist` names, or else a new one."""
    if named := os.environ.get("STARFISH_STORAGE_DIST"):
        return Path(named)
    place = tmp_path_factory.mktemp("dist")
    subprocess.run([os.environ.get("UV", "uv"), "build", "--quiet", "--out-dir", str(place)], cwd=ROOT, check=True)
    return place


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, int]:
    """Names and sizes of the files in the wheel."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {one.filename: one.file_size for one in archive.infolist()}


def files_of_package() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (PACKAGE / name).is_file()]


@pytest.mark.slow  # it builds; `make dist` runs it over what is built
def test_the_wheel_is_the_package_and_nothing_else(wheel: dict[str, int]):
    files = {f"starfish_storage/{name}" for name in files_of_package()}
    of_all_kinds = ("py.typed", "schema.sql", "base.html", "viewer.css", "bundle.js", "model_solutions.jsonl")
    assert all(any(name.endswith(f"/{kind}") for name in files) for kind in of_all_kinds)
    licences = [
        *("LICENSE", "src/starfish_storage/demo/model_solutions-LICENSE.txt"),
        *(f"src/starfish_storage/viewer/static/vendor/{name}-LICENSE.txt" for name in ("htmx", "uPlot")),
    ]
    info = {f"{INFO}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    assert wheel.keys() == files | info | {f"{INFO}/licenses/{name}" for name in licences}
    assert {name: size for name, size in wheel.items() if size > LARGEST} == {}
    assert sum(wheel.values()) < 8_000_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_nothing_is_in_it_that_only_this_repository_needs(built: Path, wheel: dict[str, int], kind: str):
    names = set(wheel) if kind == "wheel" else names_in_sdist(built)
    parts = [name.split("/") for name in names]
    for wrong in ("tests", "benchmarks", "scripts", "__pycache__", ".venv", ".tools", ".ci", "uv.lock"):
        assert [one for one in parts if wrong in one] == []
    assert [name for name in names if name.endswith((".pyc", ".png", ".db", ".so"))] == []


@pytest.mark.slow
def test_the_sdist_has_what_the_wheel_is_built_of(built: Path, wheel: dict[str, int]):
    names = names_in_sdist(built)
    assert {name for name in wheel if not name.startswith(INFO)} <= {name.removeprefix("src/") for name in names}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CITATION.cff"} <= names


def names_in_sdist(built: Path) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    return {name.removeprefix(f"starfish_storage-{__version__}/") for name in names}
