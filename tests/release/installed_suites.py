"""A part of the suites, against the package that is installed: `make dist` copies this file to where no project is."""

from pathlib import Path

import pytest

import starfish_storage
from starfish_storage.testing.store import DirectoryStore
from starfish_storage.testing.suites.atomic_records import AtomicRecordTests
from starfish_storage.testing.suites.projects import ProjectTests
from starfish_storage.testing.suites.run_inputs import RunInputTests


def test_it_is_the_installed_package() -> None:
    assert "site-packages" in Path(starfish_storage.__file__).parts


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path, durability="process")


class TestRecords(AtomicRecordTests): ...


class TestProjects(ProjectTests): ...


class TestInputs(RunInputTests): ...
