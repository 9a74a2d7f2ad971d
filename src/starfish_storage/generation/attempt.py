"""The work on one input: attempts, until one of them settles its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from starfish_storage.errors import InvalidDataError, StorageError
from starfish_storage.generation.account import AttemptAccount, attempt_under_way
from starfish_storage.generation.answered import unchecked_answer
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.context import Context
from starfish_storage.generation.conversion import Notes
from starfish_storage.generation.failures import Failures, brief
from starfish_storage.generation.gate import Gate
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import ENDING, Checked, OutputChecks, complained
from starfish_storage.generation.provider_errors import is_limit, retry_after
from starfish_storage.generation.replies import StepRules
from starfish_storage.generation.retrying import OutputMisfitError, until_settled
from starfish_storage.generation.returned import as_list
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.generation.storing import Outbox
from starfish_storage.generation.tracebacks import error_texts, storable_text
from starfish_storage.runs import (
    Attempt,
    ClaimedInput,
    Conversion,
    Outcome,
    Output,
    StatusAttempt,
    Worker,
    status_of_input,
)
from starfish_storage.telemetry import current
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What all inputs of a worker share.

    Attributes:
        rules: what the paid steps of all inputs share.
        worker: the worker, with the segment that its attempts are made in.
        function: the user's function.
        checks: turn what it returns into outputs.
        options: the options of the run.
        gate: lets each call begin.
        failures: counts what fails.
        sleep: waits between attempts, and raises when the run stops.
        on_cost: gets the cost of each reported call.
        outbox: takes the attempts to the store.
    """

    rules: StepRules
    worker: Worker
    function: BoundFunction
    checks: OutputChecks
    options: Options
    gate: Gate
    failures: Failures
    sleep: Callable[[float], Awaitable[None]]
    on_cost: Callable[[float], None]
    outbox: Outbox


class Attempts:
    """The attempts at one claimed input.

    Args:
        settings: what all inputs of the worker share.
        claimed: the input.
    """

    __slots__ = (
        *("_claimed", "_account", "_kept", "_notes", "_number", "_raised", "_settings", "_start", "_timed_out"),
        *("_yielded", "_waited", "_replacement", "_is_checking"),
    )

    def __init__(self, settings: Settings, claimed: ClaimedInput) -> None:
        self._settings = settings
        self._claimed = claimed
        self._number = claimed.attempts
        self._start: datetime = utc_now()
        self._account: AttemptAccount | None = None
        self._raised: BaseException | None = None
        self._timed_out = False
        self._kept: list[Output] = []  # of the current attempt: they stand, though it failed
        self._yielded: list[Any] = []  # by it, if its function is a generator
        self._notes: Notes | None = None
        self._is_checking = False  # all that the function returns
        self._waited = 0.0  # seconds, because of limits
        self._replacement: Outcome | None = None

    @property
    def failed_when_stored(self) -> Outcome | None:
        """The outcome that was stored, if only then something was found that is not JSON, and it failed for it."""
        stored = self._replacement
        return None if stored is None or stored.error_message is None else stored

    @property
    def raised(self) -> BaseException | None:
        """What the function raised in its last attempt."""
        return self._raised

    async def outcome(self) -> Outcome:
        """Return the outcome of the input, after as many attempts as it takes. Stores each failed one but the last."""
        settings = self._settings
        if self._claimed.attempts and settings.checks.may_wait and (answered := await self._answered_before()):
            return answered
        try:
            outputs = await until_settled(
                settings.options.retry,
                self._observed_attempt if current().is_on else self._attempt,
                before_wait=self._store_failed,
                sleep=settings.sleep,
                outlast=self._outlast,
            )
        except BaseException as error:
            if error is not self._raised:
                raise  # the function did not raise it: the store failed, or the run was stopped
            if isinstance(error, OutputMisfitError):
                return self._returned(self._kept)
            return self.failed(error)
        return self._returned(outputs)

    async def _answered_before(self) -> Outcome | None:
        """Check the answer of an earlier attempt that was stopped while its checks ran; None if there is none."""
        settings = self._settings
        if settings.options.retry_on_misfit:
            return None
        ledger = settings.rules.ledger
        answer = await settings.outbox.insist(partial(unchecked_answer, ledger, self._claimed))
        if not answer:
            return None
        self._number += 1
        return self._returned([await settings.checks.check_again(one) for one in answer])

    def refused(self, outcome: Outcome, error: Exception) -> Outcome:
        """Return the outcome to store in place of one that the store refused, with its data converted into JSON."""
        checked = self._settings.checks.stored_as_json(outcome.outputs)
        if all(new is old for new, old in zip(checked.outputs, outcome.outputs, strict=True)):
            self._replacement = self.failed(error)  # it was not the data
            return self._replacement
        self._note(checked)
        if outcome.attempt.status == "completed":
            self._replacement = self._returned(checked.outputs)
        else:
            attempt = replace(outcome.attempt, conversions=self._conversions())
            self._replacement = replace(outcome, attempt=attempt, outputs=checked.outputs)
        return self._replacement

    def failed(self, error: BaseException) -> Outcome:
        """Return the outcome of an input whose last attempt failed: what it yielded stands, and the error follows."""
        attempt = self._described("failed", error)
        what = f"{attempt.error_type}: {attempt.error_message}"
        outputs = [*self._kept, Output("failed", None, what)]
        return Outcome(self._claimed, self._settings.worker.worker_id, attempt, outputs, what)

    def _returned(self, outputs: list[Output]) -> Outcome:
        """Return the outcome of an input whose last attempt returned."""
        outputs = [_with_storable_message(one) for one in outputs]
        why = None
        if outputs and status_of_input([one.status for one in outputs]) == "failed":
            why = next(one.error_message for one in outputs if one.status == "failed")
        return Outcome(self._claimed, self._settings.worker.worker_id, self._described("completed"), outputs, why)

    async def release(self, error: BaseException) -> None:
        """Store the current attempt as cancelled by an error, and release the input."""
        if self._account is None:
            return
        outputs = self._kept
        if self._yielded and not outputs:
            checked = self._settings.checks.unchecked(list(self._yielded), is_whole=self._is_checking)
            self._note(checked)
            outputs = checked.outputs
        attempt = self._described("cancelled", None if isinstance(error, asyncio.CancelledError) else error)
        try:
            await self._settings.outbox.release(attempt, outputs)
        except StorageError as another:
            if isinstance(error, asyncio.CancelledError):
                raise
            logger.warning("could not store an attempt at input %s: %s", attempt.job_id, another.code)
        else:
            self._account.note_stored()

    async def stored(self, *, is_kept: bool) -> None:
        """Do what comes after the outcome has been stored: say which replies of paid steps the attempt could use.

        Args:
            is_kept: whether the outcome was kept; otherwise others work on the input.
        """
        if self._account is not None and not is_kept:
            self._account.note_stored()
        elif self._account is not None:
            # The function did its part if its output did not fit, unless a misfit is to be tried again.
            is_misfit = isinstance(self._raised, OutputMisfitError) and not self._settings.options.retry_on_misfit
            await self._account.stored(None if is_misfit else self._raised, timed_out=self._timed_out)

    async def _observed_attempt(self) -> list[Output]:
        claimed = self._claimed
        with current().attempt(claimed.master_job_id, claimed.job_id, self._number + 1) as observed:
            try:
                outputs = await self._attempt()
            except BaseException as error:
                observed.note("cancelled" if isinstance(error, (*ENDING, StoppedError)) else "failed", error)
                raise
            finally:
                if self._account is not None:
                    observed.used(self._account.usage)
            observed.note("completed")
            return outputs

    async def _attempt(self) -> list[Output]:
        settings = self._settings
        await settings.outbox.ready()
        gate = settings.gate
        if not gate.admit():
            await gate.enter()
        self._kept, self._yielded, self._notes, self._is_checking = [], [], None, False
        succeeded = False
        self._number += 1
        self._start = utc_now()
        account = AttemptAccount(settings.rules, self._claimed, self._number, settings.on_cost)
        context = Context(self._claimed, self._number, settings.worker.worker_id, account)
        self._account, self._raised, self._timed_out = account, None, False
        token = attempt_under_way.set(account)
        try:
            try:
                returned = await self._called(context)
            except BaseException as error:
                if self._yielded and not isinstance(error, ENDING):
                    await self._keep()
                raise
            outputs = await self._checked(returned, account)
            succeeded = True
        except BaseException as error:
            if isinstance(error, ENDING):
                raise
            if account.failure is not None:
                raise account.failure from error
            self._raised = account.refusal or error
            if self._raised is not error:
                raise self._raised from error
            raise
        finally:
            attempt_under_way.reset(token)
            account.end()
            gate.leave(account.usage, succeeded=succeeded)
        if account.failure is not None:
            raise account.failure  # even if the function caught it: the store did not keep what was paid for
        if account.refusal is not None:
            self._raised = account.refusal
            raise self._raised  # even if the function made do without: it did not get what it asked for
        return outputs

    async def _checked(self, returned: object, account: AttemptAccount) -> list[Output]:
        if self._settings.checks.may_wait:
            self._yielded, self._is_checking = self._yielded or as_list(returned), True
        checked = await self._settings.checks.check(returned)
        self._note(checked)
        if checked.misfit is not None:
            self._raised = OutputMisfitError(checked.misfit)
            if self._settings.options.retry_on_misfit:
                self._keep_checked(checked)
                raise self._raised
        if account.complaint is not None:
            return complained(checked.outputs, account.complaint)
        return checked.outputs

    def _note(self, checked: Checked) -> None:
        if checked.notes is None:
            return
        self._settings.checks.warn_of(checked.notes, self._claimed)
        if self._notes is None:
            self._notes = checked.notes
        else:
            self._notes.take_over(checked.notes)

    def _conversions(self) -> tuple[Conversion, ...]:
        of_steps = () if self._account is None else self._account.conversions
        if not of_steps:
            return () if self._notes is None else self._notes.conversions()
        both = Notes()
        for notes in of_steps:
            self._settings.checks.warn_of(notes, self._claimed)
            both.take_over(notes)
        if self._notes is not None:
            both.take_over(self._notes)
        return both.conversions()

    async def _keep(self) -> None:
        """Check what a generator yielded before it failed: it was paid for."""
        try:
            checked = await self._settings.checks.check(list(self._yielded))
        except InvalidDataError:
            return  # it yielded nothing but None
        self._note(checked)
        self._keep_checked(checked)

    def _keep_checked(self, checked: Checked) -> None:
        """Keep outputs of an attempt that failed: as outputs of the input if it is the last, else as versions."""
        as_json = self._settings.checks.stored_as_json(checked.outputs)
        self._note(as_json)
        self._kept = [_with_storable_message(one) for one in as_json.outputs]

    async def _called(self, context: Context) -> Any:
        limit = self._settings.options.timeout
        call = self._settings.function.call(self._claimed.run_config, context, self._yielded)
        if limit is None:
            return await call
        timer = asyncio.timeout(limit)
        try:
            async with timer:
                return await call
        except TimeoutError as error:
            if timer.expired():
                self._timed_out = True
                raise TimeoutError(f"the attempt took longer than its timeout of {limit:g} s") from error
            raise

    async def _store_failed(self, error: Exception, _seconds: float) -> None:
        await self._save(self._described("failed", error), error)

    async def _save(self, attempt: Attempt, error: Exception) -> None:
        account = self._account
        self._account = None  # no attempt is under way until the next; the ledger finishes what it has been given
        self._settings.failures.count(attempt)
        await self._settings.outbox.save_failed(attempt, self._kept)
        if account is not None:
            await account.stored(error, timed_out=self._timed_out)

    async def _outlast(self, error: Exception) -> bool:
        """Return whether a failed attempt does not count: it only tried stored replies, or met a limit.

        After a limit, wait as long as the provider asks all calls to wait.
        """
        settings, now = self._settings, utc_now()
        retry = settings.options.retry
        if not retry.is_worth(error):
            return False
        if self._account is not None and self._account.only_tried(error, timed_out=self._timed_out):
            await self._save(self._described("failed", error), error)
            return True
        if not is_limit(error, now):
            return False
        attempt, gate = self._described("failed", error), settings.gate
        await gate.slow_down(retry_after(error, now), retry.longest_retry_after, brief(attempt))
        if self._waited + gate.pause_left > settings.options.longest_limit_wait:
            return False
        await self._save(attempt, error)
        self._waited += await gate.wait_out_pause()
        return True

    def _described(self, status: StatusAttempt, error: BaseException | None = None) -> Attempt:
        claimed, account = self._claimed, self._account
        kind = message = trace = None
        if error is not None:
            kind, message, trace = error_texts(error)
        return Attempt(
            claimed.job_id,
            claimed.master_job_id,
            self._number,
            self._settings.worker.worker_id,
            status,
            self._start,
            utc_now(),
            kind,
            message,
            trace,
            () if account is None else account.take_usage(),
            self._conversions(),
            self._settings.worker.segment,
            calls=None if account is None else account.calls,
        )


def _with_storable_message(output: Output) -> Output:
    """Return an output whose reason a database can hold: the reason may quote a model's answer."""
    message = output.error_message
    return output if message is None else replace(output, error_message=storable_text(message))
