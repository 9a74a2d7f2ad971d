"""The work on one input: attempts, until one of them settles what came of it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.context import Context
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.retrying import until_settled
from starfish_storage.interface import RunLedger
from starfish_storage.models import utc_now
from starfish_storage.runs import Attempt, ClaimedInput, Outcome, Output, StatusAttempt

_LONGEST_MESSAGE = 10_000
_LONGEST_TRACEBACK = 20_000


class StoppedError(Exception):
    """The run was stopped while an input waited for its next attempt: never reaches a caller."""


class Settings:
    """What is the same for every input of a worker.

    Args:
        ledger: where attempts are stored.
        worker_id: who works.
        function: what is called.
        checks: what is done with what it returns.
        options: how.
        sleep: waits between attempts, and raises when the run is stopped.
        on_cost: told what each reported call cost.
        on_stored: told what the attempts cost that have been stored.
    """

    def __init__(
        self,
        ledger: RunLedger,
        worker_id: str,
        function: BoundFunction,
        checks: OutputChecks,
        options: Options,
        sleep: Callable[[float], Awaitable[None]],
        on_cost: Callable[[float], None],
        on_stored: Callable[[float], None],
    ) -> None:
        self.ledger = ledger
        self.worker_id = worker_id
        self.function = function
        self.checks = checks
        self.options = options
        self.sleep = sleep
        self.on_cost = on_cost
        self.on_stored = on_stored


class Work:
    """The work on one claimed input.

    Args:
        settings: of the worker.
        claimed: the input.
    """

    __slots__ = ("_claimed", "_context", "_number", "_settings", "_start")

    def __init__(self, settings: Settings, claimed: ClaimedInput) -> None:
        self._settings = settings
        self._claimed = claimed
        self._number = claimed.attempts
        self._start: datetime = utc_now()
        self._context: Context | None = None

    async def outcome(self) -> Outcome:
        """Return what came of the input, after as many attempts as it took. Failed ones before the last are stored."""
        settings = self._settings
        try:
            outputs = await until_settled(
                settings.options.retry, self._attempt, before_wait=self._store_failed, sleep=settings.sleep
            )
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever the function raises is its outcome)
            attempt = self._described("failed", error)
            what = f"{attempt.error_type}: {attempt.error_message}"
            return Outcome(self._claimed, settings.worker_id, attempt, [Output("failed", None, what)], what)
        return Outcome(self._claimed, settings.worker_id, self._described("completed"), outputs)

    async def release(self) -> None:
        """Store the attempt that was under way as cancelled, and give the input back."""
        if self._context is not None:
            attempt = self._described("cancelled")
            await self._settings.ledger.release_input(attempt)
            self._settings.on_stored(attempt.cost)

    async def _attempt(self) -> list[Output]:
        settings = self._settings
        self._number += 1
        self._start = utc_now()
        self._context = Context(settings.ledger, self._claimed, self._number, settings.worker_id, settings.on_cost)
        returned = await self._called(self._context)
        return await settings.checks.outputs(returned)

    async def _called(self, context: Context) -> Any:
        limit = self._settings.options.timeout
        call = self._settings.function.call(self._claimed.run_config, context)
        if limit is None:
            return await call
        timer = asyncio.timeout(limit)
        try:
            async with timer:
                return await call
        except TimeoutError as error:
            if timer.expired():
                raise TimeoutError(f"it took longer than the {limit:g} s that an attempt may take") from error
            raise

    async def _store_failed(self, error: Exception, _seconds: float) -> None:
        attempt = self._described("failed", error)
        await self._settings.ledger.save_attempt(attempt)
        self._settings.on_stored(attempt.cost)
        self._context = None  # nothing is under way until the next one

    def _described(self, status: StatusAttempt, error: BaseException | None = None) -> Attempt:
        claimed, context = self._claimed, self._context
        kind = message = trace = None
        if error is not None:
            kind = type(error).__name__
            message = _storable(str(error), _LONGEST_MESSAGE)
            trace = _storable("".join(traceback.format_exception(error)), _LONGEST_TRACEBACK)
        return Attempt(
            claimed.job_id,
            claimed.master_job_id,
            self._number,
            self._settings.worker_id,
            status,
            self._start,
            utc_now(),
            kind,
            message,
            trace,
            () if context is None else context.usage,
        )


def _storable(text: str, most: int) -> str:
    """Return a text as a database can hold it: the end of a long one, where the reason stands."""
    if len(text) > most:
        text = f"... {text[-most:]}"
    return text.encode("utf-8", "backslashreplace").decode()
