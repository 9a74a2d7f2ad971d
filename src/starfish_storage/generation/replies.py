"""The replies of an attempt to its paid steps: which stored one may be used again, and how a new one is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from starfish_storage.errors import AttemptOverError, RequestNotStoredError, StorageError
from starfish_storage.generation.reuse import FoundAnswer, StoredAnswers
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.generation.storing import Outbox
from starfish_storage.generation.suspicion import Course
from starfish_storage.generation.under_way import StepKey, UnderWay, under_way
from starfish_storage.interface import RunLedger
from starfish_storage.redaction import redacted_beginning
from starfish_storage.runs import ClaimedInput, Step
from starfish_storage.surrogates import escaped
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Reask = Literal["auto", "never", "last", "all"]
REASKS: tuple[Reask, ...] = ("auto", "never", "last", "all")

_LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class StepRules:
    """What the steps of all inputs of a worker share.

    Attributes:
        ledger: has the stored replies.
        outbox: takes new ones to the store.
        reask: the option of the run.
        code: returns the identity of the function's code.
        answers: has the answers of other inputs, as far as the options of the run want them.
    """

    ledger: RunLedger
    outbox: Outbox
    reask: Reask
    code: Callable[[], str]
    answers: StoredAnswers


class Replies:
    """The replies of one attempt to its paid steps, whether the function names them or its HTTP client records them.

    Args:
        rules: what the steps of all inputs share.
        claimed: the input.
        attempt: the number of the attempt.
        loop: the event loop of the run.

    Attributes:
        claimed: the input.
        attempt: the number of the attempt.
        loop: the event loop of the run.
        course: what has happened in the attempt.
        failure: the error of the store, if it failed to read or write a step, or that the run stopped meanwhile.
        is_over: whether the attempt has ended.
        has_paid: whether a call was made.
        refusal: the first call that was refused because its answer is not stored; the attempt fails with it.
    """

    def __init__(self, rules: StepRules, claimed: ClaimedInput, attempt: int, loop: asyncio.AbstractEventLoop) -> None:
        self.claimed = claimed
        self.attempt = attempt
        self.loop = loop
        self.course = Course()
        self.failure: StorageError | StoppedError | None = None
        self.is_over = self.has_paid = False
        self.refusal: RequestNotStoredError | None = None
        self._rules = rules
        self._forgetting: dict[str, asyncio.Future[int]] = {}
        self._failed_before: int | None = None

    @property
    def calls(self) -> UnderWay:
        """The calls of the store that are under way."""
        return under_way(self._rules.ledger)

    # --- one reply ------------------------------------------------------------------------------------------------

    async def stored(self, key: StepKey) -> list[Step]:
        """Return the stored replies that may be used, the latest first."""
        return self.usable(await self.all_stored(key))

    async def all_stored(self, key: StepKey) -> list[Step]:
        """Return all stored replies, the oldest first."""
        with self.noting_failure():
            if key.name in self._forgetting:
                await asyncio.shield(self._forgetting[key.name])
            sought = (key.job_id, key.name, key.call)
            look = partial(self._rules.ledger.list_replies, *sought, request_key=key.request_key)
            found = await self._rules.outbox.insist(look)
            if found and self._rules.reask == "all" and self._failed_before is None:
                attempts = await self._rules.outbox.insist(partial(self._rules.ledger.list_attempts, key.job_id))
                self._failed_before = max((one.number for one in attempts if one.status == "failed"), default=0)
        return found

    def usable(self, found: list[Step]) -> list[Step]:
        """Return those of the stored replies that may be used, the latest first."""
        return [step for step in reversed(found) if self._may_use(step)]

    @property
    def answers(self) -> StoredAnswers:
        """The answers of other inputs."""
        return self._rules.answers

    async def found_elsewhere(self, key: StepKey) -> FoundAnswer | None:
        """Return the answer to a request that another input has stored."""
        with self.noting_failure():
            return await self._rules.outbox.insist(partial(self.answers.find, key))

    async def refused(self, key: StepKey, packed: str | None = None) -> RequestNotStoredError:
        """Note that a call is not made because its answer is not stored; return the error that says so."""
        with self.noting_failure():
            error = await self._rules.outbox.insist(partial(self.answers.not_stored, key, packed, self.attempt))
        self.refusal = self.refusal or error
        self.course.failure(error)
        return error

    async def ready(self, key: StepKey) -> None:
        """Return when the call of a step may begin.

        Raises:
            AttemptOverError: the attempt has ended.
            StoppedError: the worker stops.
        """
        with self.noting_failure():
            await self._rules.outbox.ready()
        self.refuse_if_over(key)

    async def keep(self, key: StepKey, step: Step) -> Step:
        """Store a reply, also if the caller is cancelled meanwhile; return it with its number.

        Raises:
            StorageError: the store refuses it, or the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        try:
            with self.noting_failure():
                number = await self._rules.outbox.save_step(step)
        except (StorageError, StoppedError) as error:
            if self.is_over:
                logger.warning("%s ended after its attempt, and its reply is not stored: %r", key, error)
            raise
        return replace(step, reply=number)

    async def mark(self, step: Step, status: Literal["kept", "rejected"], reason: str | None) -> None:
        """Store whether later attempts are given a reply, and why not."""
        code = None if status == "kept" else self._rules.code()
        said = None if reason is None else storable(reason)
        with self.noting_failure():
            marked = (step.job_id, step.name, step.call, step.reply, status)
            words = {"reason": said, "rejected_by": code, "request_key": step.request_key}
            mark = partial(self._rules.ledger.mark_step, *marked, **words)
            await self._rules.outbox.insist(mark)

    def forget(self, name: str) -> asyncio.Future[int]:
        """Forget the replies to the steps of a name. Called in the event loop's thread."""
        self.course.forget(name)
        claimed, ledger = self.claimed, self._rules.ledger
        work = partial(ledger.forget_steps, claimed.master_job_id, [name], job_ids=[claimed.job_id])
        task = self._forgetting[name] = asyncio.ensure_future(self._rules.outbox.insist(work))
        return task

    def refuse_if_over(self, key: StepKey) -> None:
        """Refuse a call of an attempt that has ended.

        Raises:
            AttemptOverError: it has.
        """
        if self.is_over:
            raise AttemptOverError(key.job_id, self.attempt)

    @contextmanager
    def noting_failure(self) -> Generator[None]:
        """Note an error of the store, which ends the run even if the function catches it."""
        try:
            yield
        except (StorageError, StoppedError) as error:
            self.failure = error
            raise

    def _may_use(self, step: Step) -> bool:
        reask = self._rules.reask
        if step.status == "forgotten" or step.attempt <= (self._failed_before or 0):
            return False
        if step.status == "kept":
            return True
        if not is_whole(step):
            return False  # whatever the code
        return reask == "never" or (reask == "auto" and step.rejected_by != self._rules.code())

    # --- the end of the attempt -----------------------------------------------------------------------------------

    def only_tried(self, error: BaseException, *, timed_out: bool) -> bool:
        """Return whether the attempt made no call and failed at a stored reply, which no later one is given.

        Args:
            error: ended the attempt.
            timed_out: whether the attempt ran out of its time.
        """
        if self.has_paid or self._rules.reask == "never":
            return False
        return self.course.suspect(error, timed_out=timed_out) is not None

    async def judge(self, error: BaseException | None, *, timed_out: bool = False) -> None:
        """Mark what the attempt says about the replies that it had, once it is stored.

        Afterwards, not before: a process that is killed in between reads a bad reply once more, and pays nothing.

        Args:
            error: ended the attempt; None if the function returned.
            timed_out: whether the attempt ran out of its time.
        """
        for forgetting in self._forgetting.values():
            with self.noting_failure():
                await forgetting
        if error is None:
            for came in self.course.replies:
                if came.step.status == "rejected":  # other code could make nothing of it
                    await self.mark(came.step, "kept", None)
            return
        suspect = self.course.suspect(error, timed_out=timed_out)
        if suspect is not None:
            await self.mark(suspect, "rejected", f"{type(error).__name__} after it: {_text_of(error)}")


def is_whole(step: Step) -> bool:
    """Return whether a reply came to its end; code that rejects a whole one says which it is."""
    return step.status != "rejected" or step.rejected_by is not None


def storable(text: str) -> str:
    """Return a text that a database can hold, without secrets; the beginning of a long one."""
    return escaped(redacted_beginning(text, _LONGEST_REASON))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (any code)
        return "it cannot be shown"
