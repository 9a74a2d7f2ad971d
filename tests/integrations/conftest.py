"""One process that has imported Starfish for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.framework import Framework, needed

collect_ignore = ["contract_calls.py", "factories.py", "installed.py", "mended.py", "weather.py"]  # need Starfish


@pytest.fixture(scope="session")
def framework() -> Iterator[Framework]:
    needed()
    with Framework() as started:
        yield started
