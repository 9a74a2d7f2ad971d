"""How many inputs a worker holds beside those whose calls it makes: some are being stored, some are next to begin."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

_WEIGHT = 0.1  # of what was measured last
_CYCLES = 2  # what comes while a group is being stored waits for the next one
_LONGEST_WAIT = 1.0  # seconds that an input may wait for its call while another worker might be idle
_NEWCOMER_SECONDS = 5.0  # until a worker that has just begun has seen that there is room for its calls


class Ahead:
    """Says how many inputs a worker may claim ahead of its calls.

    As many as calls end within a second, or while outcomes are stored if that takes longer: so calls do not wait for
    the store. At most one for each call that the worker may make at a time: what a worker that is killed has paid for,
    and not stored, is twice its share at most. None where calls are long, since the input would wait for the end of one
    while another worker might be idle; none near the end of a run that others work on; and none of a worker that makes
    one call at a time, each of which begins when the outcome of the last is stored.

    Args:
        share: returns how many calls this worker may make at a time.
    """

    def __init__(self, share: Callable[[], int]) -> None:
        self._share = share
        self._call_seconds = self._store_seconds = -1.0  # not known yet
        self._living = 1
        self._none_until = 0.0
        self._is_near_end = False

    @property
    def limit(self) -> int:
        """How many inputs the worker may have in hand: claimed, and not known to be stored."""
        share = self._share()
        return share + min(share, self._wanted(share))

    def note(self, called: timedelta, store_seconds: float) -> None:
        """Note how long a call took, and the storing of its outcome in seconds."""
        call_seconds = max(called.total_seconds(), 0.0)  # the clock may have been set back
        if self._store_seconds < 0:
            self._call_seconds, self._store_seconds = call_seconds, store_seconds
            return
        self._call_seconds += _WEIGHT * (call_seconds - self._call_seconds)
        self._store_seconds += _WEIGHT * (store_seconds - self._store_seconds)

    def look(self, living: int, pending: int) -> None:
        """Note how many workers there are, and how many inputs nobody has claimed. Any thread may call this."""
        if living > self._living:  # it counts what the others have claimed as calls
            self._none_until = time.monotonic() + _NEWCOMER_SECONDS
        self._living = living
        self._is_near_end = living > 1 and pending <= 2 * living * max(self._share(), 1)

    def _wanted(self, share: int) -> int:
        if share <= 1 or self._store_seconds < 0 or self._is_near_end or time.monotonic() < self._none_until:
            return 0
        seconds = max(_LONGEST_WAIT, _CYCLES * self._store_seconds)
        return share if self._call_seconds <= seconds else round(share * seconds / self._call_seconds)
