"""docs/explanation/architecture.md: the files that it names are there, and its picture has every floor."""

from __future__ import annotations

import itertools
import re
import tomllib

from docs.pages import PROJECT

PAGE = (PROJECT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
PACKAGE = PROJECT / "src" / "starfish_storage"


def test_every_file_and_room_that_it_names_is_there():
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", PAGE))
    assert len(named) > 15
    assert [one for one in named if not (PACKAGE / one).exists()] == []


def test_the_picture_has_the_floors_of_the_contract_in_their_order():
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (floors,) = [one["layers"] for one in contracts if one["type"] == "layers"]
    names = [re.findall(r"starfish_storage\.(\w+)", floor) for floor in floors]
    (picture,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    shown = [re.findall(r"\w+", line[:46]) for line in picture.splitlines()]
    order = {name: number for number, line in enumerate(shown) for name in line}
    rows = [{order[name] for name in floor} for floor in names]
    assert all(max(upper) <= min(lower) for upper, lower in itertools.pairwise(rows))
