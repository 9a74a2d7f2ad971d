"""What the tests of recorded functions share: where a store is, which is closed and sound when they are done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from generation.conftest import postgres_uri as postgres_uri  # noqa: PLC0414 (a fixture, handed on)
from starfish_storage.decorating.opened import close_all
from starfish_storage.maintenance import verify
from starfish_storage.portal import call


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str | None]]:
    """Where a store is, and its data."""
    root = str(tmp_path / "store")
    found = (root, None) if request.param == "sqlite" else (request.getfixturevalue("postgres_uri"), root)
    yield found
    call(close_all())
    report = verify(*found)
    assert report.is_sound, str(report)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """Where a local store is."""
    found = str(tmp_path / "store")
    yield found
    call(close_all())
    report = verify(found)
    assert report.is_sound, str(report)
