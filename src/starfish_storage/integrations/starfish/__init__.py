"""Puts this storage under the Starfish framework, by one call.

>>> from starfish_storage.integrations.starfish import install, uninstall
"""

from __future__ import annotations

from starfish_storage.integrations.starfish.installing import install, uninstall

__all__ = ["install", "uninstall"]
