# Made by scripts/make_sync.py from starfish_storage.interface.sizes: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.sizes`."""

from __future__ import annotations

from starfish_storage import portal
from starfish_storage.interface import sizes as asynchronous
from starfish_storage.interface.sizes import StoreSize
from starfish_storage.sync.face import Face


class SizeContract(Face):
    """Measuring a store."""

    @property
    def _called(self) -> asynchronous.SizeContract:
        return self._asynchronous

    def measure_size(self, *, seconds: float | None = None) -> StoreSize:
        """Return how much room the store takes, found by looking at each file or object in another thread.

        Args:
            seconds: look at data for no longer than this; None for as long as it takes.

        Raises:
            InvalidInputError: ``seconds`` is negative.
        """
        return portal.call(self._called.measure_size(seconds=seconds))
