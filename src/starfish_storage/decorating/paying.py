"""One call of a recorded function that nothing is stored for: an attempt at its input."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from starfish_storage.decorating.recording import CallTurn, Recording, within
from starfish_storage.errors import InvalidDataError
from starfish_storage.generation.account import AttemptAccount, attempt_under_way
from starfish_storage.generation.storing import Outbox, Stored
from starfish_storage.generation.tracebacks import error_texts
from starfish_storage.portal import awaited, is_in_portal
from starfish_storage.runs import Attempt, Conversion, Outcome, Output, StatusAttempt, Step, Usage
from starfish_storage.telemetry import current
from starfish_storage.times import utc_now


class PaidCall:
    """A call of the function. Made, ended and judged in one event loop: the function's own, or the portal's.

    Args:
        recording: the run of the function.
        turn: which input is called for.
    """

    def __init__(self, recording: Recording, turn: CallTurn) -> None:
        self._recording = recording
        self._turn = turn
        rules = turn.run.rules
        if not is_in_portal():
            rules = replace(rules, outbox=_OutboxElsewhere(rules.outbox))
        claimed = turn.claimed
        self._account = AttemptAccount(rules, claimed, claimed.attempts, turn.run.spending.report)
        self._start = utc_now()
        self._conversions: tuple[Conversion, ...] = ()

    @classmethod
    async def made(cls, recording: Recording, turn: CallTurn) -> PaidCall:
        """Return a call that is made in the event loop that runs."""
        return cls(recording, turn)

    @contextmanager
    def under_way(self) -> Generator[None]:
        """Let what runs inside be the attempt: recording clients find it."""
        claimed, account = self._turn.claimed, self._account
        calls = within.set((*within.get(), (self._recording, self._turn.digest)))
        token = attempt_under_way.set(account)
        try:
            told = current().attempt(claimed.master_job_id, claimed.job_id, claimed.attempts)
            with current().input(claimed.master_job_id, claimed.job_id), told as observed:
                try:
                    yield
                except BaseException as error:
                    observed.note("failed" if isinstance(error, Exception) else "cancelled", error)
                    raise
                finally:
                    observed.used(account.usage)
                observed.note("completed")
        finally:
            attempt_under_way.reset(token)
            within.reset(calls)

    async def completed(self, returned: object) -> list[dict[str, Any]]:
        """Store what the function returned, and return it as it is stored.

        Raises:
            InvalidDataError: JSON cannot hold it. It is stored as failed.
            StorageError: the store failed, now or when the function paid for something.
            RequestNotStoredError: what the function asked for is not stored, and nothing is sent.
        """
        account, checks = self._account, self._turn.run.checks
        account.end()
        error: BaseException | None = account.failure or account.refusal
        if error is not None:
            await self.failed(error, [returned])
            raise error
        checked = await checks.check(returned)
        as_json = checks.stored_as_json(checked.outputs)
        for notes in (checked.notes, as_json.notes):
            self._conversions += () if notes is None else notes.conversions()
        outputs = as_json.outputs
        why = next((one.error_message for one in outputs if one.status == "failed"), None)
        if why is not None:
            error = InvalidDataError("what the function returned", "$", why.removeprefix("return: "))
            await self._finish(self._described("failed", error), outputs, error)
            raise error
        await self._finish(self._described("completed"), outputs, None)
        return [one.data for one in outputs if one.data is not None]

    async def failed(self, error: BaseException, yielded: Sequence[object]) -> None:
        """Store that the function raised an error, with what it had yielded before.

        An end that is no error of the function, such as Ctrl-C, gives the input back.

        Raises:
            StorageError: the store failed.
        """
        account, checks = self._account, self._turn.run.checks
        account.end()
        kept = checks.unchecked(list(yielded), is_whole=False).outputs if yielded else []
        if isinstance(error, Exception):
            attempt = self._described("failed", error)
            why = f"{attempt.error_type}: {attempt.error_message}"
            outputs = [*(replace(one, error_message=why) for one in kept), Output("failed", None, why)]
            await self._finish(attempt, outputs, error)
            return
        try:
            await awaited(self._turn.run.release(self._described("cancelled"), kept))
            account.note_stored()
        finally:
            await self._ended(None)

    async def _finish(self, attempt: Attempt, outputs: Sequence[Output], error: BaseException | None) -> None:
        why = None if error is None else f"{attempt.error_type}: {attempt.error_message}"
        outcome = Outcome(self._turn.claimed, self._turn.run.worker_id, attempt, outputs, why)
        try:
            finished = await awaited(self._turn.run.store(outcome))
            current().finished(finished)
            await self._account.stored(error)
        finally:
            await self._ended(error)

    async def _ended(self, error: BaseException | None) -> None:
        async def end() -> None:
            self._recording.end(self._turn.digest, error)

        await asyncio.shield(asyncio.ensure_future(awaited(end())))

    def _described(self, status: StatusAttempt, error: BaseException | None = None) -> Attempt:
        claimed, account, run = self._turn.claimed, self._account, self._turn.run
        kind, message, trace = (None, None, None) if error is None else error_texts(error)
        return Attempt(
            claimed.job_id,
            claimed.master_job_id,
            0,
            run.worker_id,
            status,
            self._start,
            utc_now(),
            kind,
            message,
            trace,
            account.take_usage(),
            self._conversions,
            run.segment,
            calls=account.calls,
        )


class _OutboxElsewhere(Outbox):
    """An outbox that belongs to the portal's event loop, for a function that runs in another one."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def insist(self, call: Callable[[], Awaitable[Stored]]) -> Stored:
        """See `Outbox.insist`."""
        return await awaited(self._outbox.insist(call))

    async def save_step(self, step: Step) -> int:
        """See `Outbox.save_step`."""
        return await awaited(self._outbox.save_step(step))

    async def add_usage(self, job_id: str, number: int, usage: Sequence[Usage]) -> None:
        """See `Outbox.add_usage`."""
        await awaited(self._outbox.add_usage(job_id, number, usage))
