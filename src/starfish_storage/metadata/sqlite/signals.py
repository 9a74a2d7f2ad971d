"""How idle workers hear of inputs in SQLite: by its counter of changes, which costs next to nothing to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from starfish_storage.errors import StorageError

_LOOK_SECONDS = 0.1


class CountedChanges:
    """See `metadata.signals.Signals`. Every commit of any process is heard, be it of inputs or not.

    Args:
        count: returns a number that is another one after each commit.
    """

    is_hearing = True

    def __init__(self, count: Callable[[], object]) -> None:
        self._count = count
        self._last: object = None

    async def __aenter__(self) -> Self:
        """See `Signals`."""
        self._last = self._now()
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `Signals`."""

    async def wait(self, seconds: float) -> bool:
        """See `Signals.wait`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._now() == self._last:
            left = end - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, _LOOK_SECONDS))  # SQLite tells nobody
        self._last = self._now()
        return True

    def _now(self) -> object:
        try:
            return self._count()
        except StorageError:
            return None  # whoever is woken meets it
