"""The limit that the calls of a run share: its own, or one that runs of the store share by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.gate import Gate
from starfish_storage.generation.options import Options, check_limit_name
from starfish_storage.generation.rates import SharedRate
from starfish_storage.generation.run_options import RunOptions
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import RunLedger
from starfish_storage.runs import OWN_LIMIT, CallLimit, Grant, SlotAsk
from starfish_storage.runs.limits import check_priority


async def set_shared_limit(
    ledger: RunLedger,
    options: Options,
    given: RunOptions,
    note: Callable[[str], object],
    master_job_id: str | None = None,
) -> None:
    """Set the rates of the limit that a run names, and the priority of the run, if any are given now.

    What was given last holds for all runs that share it. What a run was started with does not come back with a resume,
    unless the store has no such limit, for example because the run was copied.

    Args:
        ledger: keeps the limits.
        options: of the run.
        given: those that are given now.
        note: tells people what changes.
        master_job_id: the run; None if it may not be there yet.

    Raises:
        InvalidInputError: the limit has no rates, neither here nor in the store, or its name cannot be used; or the
            priority that is given cannot be.
    """
    if given.get("priority") is not None:
        check_priority(given.get("priority"))
    if master_job_id is not None:
        await set_given_priority(ledger, master_job_id, given)
    name = options.limit
    if name is None:
        return
    there = await ledger.get_limit(name)
    rpm, tpm = given.get("rpm"), given.get("tpm")
    if there is None:
        rpm, tpm = options.rpm, options.tpm
    elif rpm is None and tpm is None:
        return
    if rpm is None and tpm is None:
        raise InvalidInputError(
            f"the store has no limit {name!r}: give its rates, such as rpm=600 (--rpm 600), or correct the name."
        )
    limit = await change_limit(ledger, name, rpm, tpm)
    if there is not None and (there.rpm, there.tpm) != (limit.rpm, limit.tpm):
        note(f"limit {name!r} is {limit} for all runs that share it; it was {there}")


async def set_given_priority(ledger: RunLedger, master_job_id: str, given: RunOptions) -> None:
    """Set the priority of a run, if one is given now. It is no option that is stored: it may change at any time."""
    priority = given.get("priority")
    if priority is not None:
        await ledger.set_priority(master_job_id, priority)


async def change_limit(ledger: RunLedger, name: str, rpm: float | None, tpm: float | None) -> CallLimit:
    """Set rates of a limit that runs share, and return it; a rate that is not given stays.

    Raises:
        InvalidInputError: the name, or a rate, cannot be used.
    """
    there = await ledger.get_limit(check_limit_name(name))
    if there is not None:
        rpm, tpm = there.rpm if rpm is None else rpm, there.tpm if tpm is None else tpm
    return await ledger.set_limit(name, rpm=rpm, tpm=tpm)


class CallLimiting:
    """What a worker does about the limit of its run's calls.

    Args:
        ledger: keeps the limit.
        master_job_id: the run.
        options: of the run.
        waiting: makes calls to the store again.

    Attributes:
        rate: lets calls begin; None if the run has no limit.
    """

    def __init__(self, ledger: RunLedger, master_job_id: str, options: Options, waiting: StoreWait) -> None:
        self._ledger = ledger
        self._run_id = master_job_id
        self._options = options
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._gate: Gate | None = None
        self._is_own = options.limit is None
        self._name = f"{OWN_LIMIT}{master_job_id}" if options.limit is None else options.limit
        has_limit = not (options.limit is None and options.rpm is None and options.tpm is None)
        self.rate = SharedRate(self._claim, self._hear) if has_limit else None

    async def begin(self, gate: Gate) -> None:
        """Set the run's own limit, if it has one. The gate hears of pauses from now on."""
        self._gate = gate
        if self.rate is not None and self._is_own:
            options = self._options
            await self._ledger.set_limit(self._name, rpm=options.rpm, tpm=options.tpm, master_job_id=self._run_id)

    async def announce(self, seconds: float, reason: str) -> datetime:
        """Tell the other workers of the run, and of runs that share its limit, of a pause; return its end."""
        if self.rate is not None:
            self.rate.void()
            await self._ledger.slow_down(self._name, self._run_id, seconds, reason)
        return await self._ledger.pause_run(self._run_id, seconds, reason)

    async def look(self) -> None:
        """Pause when a run that shares the limit has paused. Any thread may call this."""
        if self.rate is None or self._is_own:
            return  # its own workers hear of pauses of the run
        limit = await self._ledger.get_limit(self._name)
        if limit is not None and limit.paused_until is not None:
            left = limit.pause_left(await self._ledger.now())
            if left:
                self._loop.call_soon_threadsafe(self._hear, left, limit.pause_reason)

    async def _claim(self, ask: SlotAsk) -> Grant:
        return await self._waiting.insist(lambda: self._ledger.take_slots(self._name, self._run_id, ask))

    def _hear(self, seconds: float, reason: str | None) -> None:
        if self._gate is not None:
            self._gate.hear_of(seconds, reason)
