"""Tests with the real clients of models: skipped where their group is not installed."""

from __future__ import annotations

import importlib.util

import pytest

CLIENTS = ("openai", "anthropic", "litellm")
MISSING = [name for name in CLIENTS if importlib.util.find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this directory that need a client."""
    # `.ci/run` installs them; a clone without the network runs all other tests.
    if MISSING:
        skip = pytest.mark.skip(reason=f"no {', '.join(MISSING)}: they come with `make .venv/clients`")
        for item in items:
            if item.path.parent.name == "clients":
                item.add_marker(skip)
