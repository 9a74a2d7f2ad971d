"""Collecting ten thousand tests in three quarters of the time: each worker of a run does it anew.

A pytest plugin.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path

import pytest
from _pytest.doctest import DoctestModule

gc.disable()  # almost nothing of what is imported and collected is ever garbage


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for examples in the docstrings of a module only if there are any: finding none takes a look at each."""
    found = yield
    return [one for one in found if not isinstance(one, DoctestModule) or b">>>" in file_path.read_bytes()]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take what has been collected out of the garbage collector's sight: a hundred tests ask it for a whole round."""
    gc.collect()
    gc.freeze()
    gc.enable()
