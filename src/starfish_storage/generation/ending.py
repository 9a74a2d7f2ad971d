"""Work that must be done to its end before a run can be left, however impatient the caller is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end, however often the caller is cancelled meanwhile; that is raised afterwards.

    Not `asyncio.shield`: what it protects goes on alone once the caller is cancelled, and meets a storage that the
    caller has closed by then. So what is awaited here must be short.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile.
        Exception: what the work raised.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and task.exception() is not None:
            raise cancelled from task.exception()
        raise cancelled
    return task.result()
