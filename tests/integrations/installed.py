"""A plugin for the framework's own tests, which then store through this library.

``pytest -p integrations.installed TESTS``; ``STARFISH_STORAGE_OPTIONS`` holds the arguments of `install`, as JSON.
"""

from __future__ import annotations

import json
import os

from starfish_storage.integrations.starfish import install, uninstall


def pytest_configure() -> None:
    install(**json.loads(os.environ.get("STARFISH_STORAGE_OPTIONS", "{}")))


def pytest_unconfigure() -> None:
    uninstall()
