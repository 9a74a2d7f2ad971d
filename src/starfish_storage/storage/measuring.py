"""Adding up the sizes of data, for as long as one may."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from contextlib import closing


def measured(pages: Generator[Sequence[int]], seconds: float | None) -> tuple[int, int, bool]:
    """Return the sum of sizes, how many they are, and whether those are all.

    Args:
        pages: the sizes.
        seconds: how long to look; None: to the end.

    >>> measured((one for one in ([1, 2], [3])), None), measured((one for one in ([1, 2], [3])), 0)
    ((6, 3, True), (3, 2, False))
    """
    until = math.inf if seconds is None else time.monotonic() + seconds
    size = number = 0
    with closing(pages):
        for page in pages:
            size += sum(page)
            number += len(page)
            if time.monotonic() >= until:
                return size, number, False
    return size, number, True
