"""How long a call goes on trying while a server cannot be reached, and how long a run does."""

from __future__ import annotations

import math
import os
import time

from starfish_storage.errors import InvalidInputError

RETRY_VARIABLE = "STARFISH_STORAGE_RETRY_SECONDS"
"""The environment variable that says for how long, in seconds."""

DEFAULT_RETRY_SECONDS = 60.0


class Patience:
    """The patience of one call, which all its requests share: it ends when nothing has worked for so long.

    Shared, because a thousand requests that each waited for a minute of their own would keep a caller for a quarter
    of an hour.

    Args:
        seconds: how long; 0 to try everything once, until something fails.

    Attributes:
        exhausted: why it has ended for one of the requests; the others are not made any more.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.exhausted: str | None = None
        self._since = time.monotonic()

    @property
    def left(self) -> float:
        """How many seconds are left."""
        return max(0.0, self._since + self.seconds - time.monotonic())

    def renew(self) -> None:
        """Start again from now: something has worked."""
        self._since = time.monotonic()


def allowed_seconds(given: float | None, default: float = DEFAULT_RETRY_SECONDS) -> float:
    """Return for how long to try: what was given, or what the environment says, or the default.

    Raises:
        InvalidInputError: that is not a number of seconds.
    """
    value: object = os.environ.get(RETRY_VARIABLE, default) if given is None else given
    try:
        seconds = float(value)  # pyright: ignore[reportArgumentType] (whatever else it is raises)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidInputError(f"{RETRY_VARIABLE} must be a number of seconds, 0 or more, not {value!a}.")
    return seconds
