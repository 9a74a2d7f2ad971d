"""One try of an input by the framework: it calls the function once or twice, and stores what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starfish_storage.errors import InvalidDataError
from starfish_storage.generation.account import AttemptAccount, attempt_under_way
from starfish_storage.generation.returned import as_list
from starfish_storage.generation.tracebacks import error_texts
from starfish_storage.runs import Attempt, ClaimedInput, Conversion, Outcome, Output, StatusAttempt, status_of_input
from starfish_storage.statuses import StatusRecord
from starfish_storage.times import utc_now

if TYPE_CHECKING:
    from starfish_storage.integrations.starfish.factory_run import FactoryRun

_NOTHING: Any = object()


class Trial:
    """One try of an input: the calls of the function until the framework takes a result, or gives up.

    Args:
        run: the run.
        claimed: the input.

    Attributes:
        is_stored: what came of it is stored, or is about to be.
    """

    def __init__(self, run: FactoryRun, claimed: ClaimedInput) -> None:
        self.is_stored = False
        self._run = run
        self._claimed = claimed
        self._start = self._end = utc_now()
        self._account: AttemptAccount | None = None
        self._error: BaseException | None = None
        self._texts: tuple[str, str, str] | None = None  # of the error, as it left the function
        self._returned: Any = _NOTHING
        self._conversions: tuple[Conversion, ...] = ()

    async def call(self, function: Callable[..., Awaitable[Any]], fields: dict[str, Any]) -> Any:
        """Call the function, as an attempt of its own. What the framework calls again has failed before."""
        await self._store_failed_call()
        self._start = utc_now()
        self._returned = _NOTHING
        self._account = account = self._run.account(self._claimed)
        token = attempt_under_way.set(account)
        try:
            self._returned = await uncancelled(function(**fields))
        except Exception as error:
            self.note_error(error)
            raise
        finally:
            attempt_under_way.reset(token)
            account.end()
            self._end = utc_now()
        if account.failure is not None:
            raise account.failure  # the store did not keep what was paid for
        return self._returned

    def note_error(self, error: BaseException) -> None:
        """Note what the try has failed with. The framework raises again what it got: its frames say nothing."""
        if error is not self._error:
            self._error, self._texts = error, error_texts(error)

    async def save(self, returned: Sequence[Any], status: StatusRecord) -> list[str]:
        """Store a result, and return the references of its records.

        Raises:
            InvalidDataError: it is no list; what the function returned is stored as failed.
            StorageError: the store does not take it.
        """
        if not isinstance(returned, list | tuple):
            error = InvalidDataError(
                "what the function returned", "$", f"Starfish takes lists of objects, not a {type(returned).__name__}"
            )
            self.note_error(error)
            await self.fail()
            raise error
        self.is_stored = True
        checked = await self._run.checks.check(returned)
        if checked.notes is not None:
            self._conversions = checked.notes.conversions()
        said = None if status == "completed" else f"on_record_complete returned {status!r}"
        outputs = [
            replace(one, status=status, error_message=said) if one.status == "completed" else one
            for one in checked.outputs
        ]
        refused = next((one.error_message for one in outputs if one.status == "failed"), None)
        why = refused if outputs and status_of_input([one.status for one in outputs]) == "failed" else None
        references = await self._finish(self._described("completed"), outputs, why)
        if status != "completed" and self._account is not None and self._account.calls is not None:
            # A hook wants another answer: the framework asks again, and is not to get the same one.
            await self._run.forget_answers(self._claimed)
        if why is not None:
            raise InvalidDataError("what the function returned", "$", why)
        return references

    async def fail(self) -> None:
        """Store that it failed, with what the function had returned before."""
        self.is_stored = True
        attempt = self._described("failed")
        why = f"{attempt.error_type}: {attempt.error_message}"
        outputs = self._kept(why)
        await self._finish(attempt, outputs or [Output("failed", None, why)], why)

    async def release(self) -> None:
        """Store that it was stopped, if a call was under way."""
        if self._account is not None and not self.is_stored:
            self.is_stored = True
            await self._run.release(self._described("cancelled"), self._kept("the job stopped meanwhile"))
            self._account.note_stored()

    # --- parts ----------------------------------------------------------------------------------------------------

    async def _store_failed_call(self) -> None:
        if self._account is not None and self._error is not None:
            account, error = self._account, self._error
            await self._run.save_failed(self._described("failed"))
            self._account = self._error = self._texts = None
            await account.stored(error)

    async def _finish(self, attempt: Attempt, outputs: list[Output], why: str | None) -> list[str]:
        outcome = Outcome(self._claimed, self._run.worker_id, attempt, outputs, why)
        references = await self._run.finish(outcome)
        if self._account is not None:
            await self._account.stored(self._error, timed_out=isinstance(self._error, TimeoutError))
        return references

    def _kept(self, why: str) -> list[Output]:
        """Return what the function had returned, if anything, as failed outputs: it was paid for."""
        if self._returned is None or self._returned is _NOTHING:
            return []
        checked = self._run.checks.unchecked(as_list(self._returned), is_whole=False)
        return [replace(one, error_message=why) for one in checked.outputs]

    def _described(self, status: StatusAttempt) -> Attempt:
        claimed, account = self._claimed, self._account
        kind, message, trace = (None, None, None) if status != "failed" or self._texts is None else self._texts
        return Attempt(
            claimed.job_id,
            claimed.master_job_id,
            0,
            self._run.worker_id,
            status,
            self._start,
            self._end,
            kind,
            message,
            trace,
            () if account is None else account.take_usage(),
            self._conversions,
            self._run.segment,
            calls=None if account is None else account.calls,
        )


async def uncancelled(call: Awaitable[Any]) -> Any:
    """Await a call; an end by cancellation that nobody asked for is an error of it.

    The framework would wait for ever for a task that ended so.
    """
    try:
        return await call
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("the function awaited something that was cancelled") from error


trial_under_way: ContextVar[Trial | None] = ContextVar("starfish_trial_under_way", default=None)
"""The try of an input whose task this is, or was started by it."""
