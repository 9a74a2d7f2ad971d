"""The floors of the house: the contracts hold, have no circles, and say what CONTRIBUTING says."""

import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PACKAGE = "starfish_storage"


def contracts() -> list[dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]


def layers() -> list[list[str]]:
    (floors,) = [one for one in contracts() if one["type"] == "layers"]
    return [
        [name.strip().removeprefix(f"{PACKAGE}.") for name in line.split("|")]
        for line in floors["layers"]  # type: ignore[attr-defined]
    ]


def test_contributing_shows_the_floors_that_the_contract_holds() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.+?) \|", page, flags=re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == layers()


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem for path in (ROOT / "src" / PACKAGE).iterdir() if path.suffix == ".py" or path.is_dir()}
    apart = {"__init__", "__main__", "__pycache__", "py", "testing"}
    assert rooms - apart == {name for line in layers() for name in line}


def test_no_import_circles() -> None:
    """As `lint-imports` says, whose contract would find none if somebody took it out."""
    graph = grimp.build_graph(PACKAGE)
    rooms = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    while leaves := {name for name, imported in rooms.items() if not imported & rooms.keys()}:
        rooms = {name: imported for name, imported in rooms.items() if name not in leaves}
    assert not rooms, f"these import each other in a circle, or stand on one: {sorted(rooms)}"


def test_a_contract_refuses_circles_between_rooms() -> None:
    assert [one["ancestors"] for one in contracts() if one["type"] == "acyclic_siblings"] == [[PACKAGE]]
