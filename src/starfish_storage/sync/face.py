"""What every synchronous face is made of."""

from __future__ import annotations

from typing import Any


class Face:
    """Has an asynchronous object to call."""

    def __init__(self, asynchronous: Any) -> None:
        self._asynchronous: Any = asynchronous
