"""Waking idle workers, over the database of the metadata."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from starfish_storage.errors import StorageError
from starfish_storage.interface.waking import WakingLedger
from starfish_storage.metadata import values
from starfish_storage.metadata.ledger_access import LedgerAccess

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Between two looks of a worker that hears of nothing: each pause is twice as long as the one before."""
_HEARING_PAUSE = 30.0
"""Of one that hears of everything, in case that it does not."""
_TELLING_PAUSE = 0.5
"""Between two looks while inputs are there that this worker cannot claim: a budget may get room, which nobody tells."""


class SQLWakingLedger(LedgerAccess, WakingLedger):
    """See `WakingLedger`, whatever the engine."""

    async def watch_inputs(self, master_job_id: str, tell: Callable[[], object]) -> None:
        """See `WakingLedger.watch_inputs`."""
        values.text("master_job_id", master_job_id)
        loop = asyncio.get_running_loop()
        async with self._database.signals_of_inputs(master_job_id) as signals:
            pause, told_at = _SHORTEST_PAUSE, -math.inf
            while True:
                has_news, now = await self._has_news(master_job_id), loop.time()
                if not has_news:
                    told_at = -math.inf
                    pause = _HEARING_PAUSE if signals.is_hearing else min(2 * pause, _LONGEST_PAUSE)
                elif now - told_at >= _TELLING_PAUSE:
                    tell()
                    told_at, pause = now, _TELLING_PAUSE
                # What is heard may concern something else, many times a second.
                await signals.wait(pause)

    async def _has_news(self, master_job_id: str) -> bool:
        """Return whether an input waits for a worker, or none has one any more; also if that cannot be told."""
        try:
            found = await self._first("has_open_inputs", (master_job_id, master_job_id))
        except StorageError:
            return True  # the worker meets it, and knows for how long it waits
        waits, is_running = (False, False) if found is None else found
        return bool(waits) or not is_running
