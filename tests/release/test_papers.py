"""What accompanies a release agrees with it: version, changelog, licences."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from starfish_storage import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_version_stands_in_one_place_and_is_cited():
    assert PROJECT["project"]["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (citation["version"], citation["license"]) == (__version__, PROJECT["project"]["license"])


def test_the_newest_section_of_the_changelog_is_of_this_version_and_fragments_join_before_it():
    towncrier = PROJECT["tool"]["towncrier"]
    _, marker, sections = (ROOT / "CHANGELOG.md").read_text("utf-8").partition(towncrier["start_string"])
    assert marker
    assert sections.lstrip().startswith(f"## {__version__}")


def test_every_fragment_has_a_kind():
    """Else `towncrier` would leave it lying, and the release would not tell of it."""
    kinds = [kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]]
    names = {path.name for path in (ROOT / "changes").iterdir()} - {"README.md"}
    assert [name for name in names if not re.fullmatch(rf"(\d+|\+[\w-]+)\.({'|'.join(kinds)})\.md", name)] == []


def test_every_vendored_script_has_its_licence_in_the_wheel():
    vendored = ROOT / "src" / "starfish_storage" / "viewer" / "static" / "vendor"
    licences = {one for pattern in PROJECT["project"]["license-files"] for one in ROOT.glob(pattern)}
    for script in vendored.glob("*.js"):
        assert vendored / f"{script.name.partition('-')[0]}-LICENSE.txt" in licences
    assert ROOT / "src/starfish_storage/demo/model_solutions-LICENSE.txt" in licences
