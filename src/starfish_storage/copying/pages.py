"""Reading pages ahead: the next one while the last is being written, and never more than that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar, cast

Row = TypeVar("Row")
Prepared = TypeVar("Prepared")

_FIRST, _LEAST, _MOST = 100, 1, 1000  # each page is a commit, for which others wait
_BYTES = 8 << 20  # of data in a page, about


class PageSize:
    """How many records a page has: as many as have about 8 MB of data, going by those read so far.

    Attributes:
        rows: how many the next page has.
    """

    def __init__(self) -> None:
        self.rows = _FIRST

    def note(self, size: int, count: int) -> None:
        """Take note of how large the data of a page was."""
        if count:
            each = max(1, size // count)
            self.rows = max(_LEAST, min(_MOST, self.rows * 2, _BYTES // each))
        else:
            self.rows = _MOST


async def read_ahead(
    page: Callable[[Row | None], Awaitable[list[Row]]],
    last: Callable[[list[Row]], Row],
    prepare: Callable[[list[Row]], Awaitable[Any]] | None = None,
) -> AsyncGenerator[Any]:
    """Yield pages, or what is prepared of them; the next one is read while the caller works on the last.

    Args:
        page: reads the page behind a row; an empty one ends it.
        last: the row behind which the next page begins.
        prepare: makes of a page what is yielded.
    """

    async def read(after: Row | None) -> tuple[list[Row], Any]:
        rows = await page(after)
        return rows, (await prepare(rows) if prepare is not None and rows else rows)

    reading = asyncio.ensure_future(read(None))
    try:
        while True:
            rows, prepared = await reading
            if not rows:
                return
            reading = asyncio.ensure_future(read(last(rows)))
            yield prepared
    finally:
        reading.cancel()
        await asyncio.gather(cast("asyncio.Future[Any]", reading), return_exceptions=True)
