"""The paid steps of an attempt: which stored reply is used again, and which is asked for again."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from starfish_storage.codec import decode, encode
from starfish_storage.errors import (
    AttemptOverError,
    InvalidDataError,
    InvalidInputError,
    StepRejectedError,
    StorageError,
    shorten,
)
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.generation.paid_step import Made, PaidStep
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.generation.storing import Outbox
from starfish_storage.generation.suspicion import Course
from starfish_storage.generation.threads import Handoff
from starfish_storage.generation.under_way import StepKey, UnderWay, under_way
from starfish_storage.interface import RunLedger
from starfish_storage.models import utc_now
from starfish_storage.runs import ClaimedInput, Step, Usage

logger = logging.getLogger(__name__)

Reask = Literal["auto", "never", "last", "all"]
REASKS: tuple[Reask, ...] = ("auto", "never", "last", "all")

_LONGEST_REASON = 2_000
_CANCELLED = "the call was cancelled, and returned all the same: the reply may not be whole"

used_in_step: ContextVar[list[Usage] | None] = ContextVar("used_in_step", default=None)
"""Collects the usage that is reported within a call."""

Check = Callable[[Any], Any]
Invoke = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class StepRules:
    """What the steps of all inputs of a worker share.

    Attributes:
        ledger: has the stored replies.
        outbox: takes new ones to the store.
        reask: the option of the run.
        code: returns the identity of the function's code.
    """

    ledger: RunLedger
    outbox: Outbox
    reask: Reask
    code: Callable[[], str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call of ``once``.

    Attributes:
        key: the step.
        made: makes it.
        check: says whether a reply will do.
        most: how many replies to ask for at most.
        invoke: calls something where the user's code runs: in the event loop, or in a thread.
        called: its place among the events of the attempt.
    """

    key: StepKey
    made: Made
    check: Check | None
    most: int
    invoke: Invoke
    called: int


class Steps:
    """The paid steps of one attempt at an input.

    Args:
        rules: what the steps of all inputs share.
        claimed: the input.
        attempt: the number of the attempt.

    Attributes:
        failure: the error of the store, if it failed to read or write a step, or that the run stopped meanwhile.
        conversions: what was converted in replies, so that they could be stored.
    """

    def __init__(self, rules: StepRules, claimed: ClaimedInput, attempt: int, loop: asyncio.AbstractEventLoop) -> None:
        self.failure: StorageError | StoppedError | None = None
        self.conversions: list[Notes] = []
        self._rules = rules
        self._claimed = claimed
        self._attempt = attempt
        self._loop = loop
        self._course = Course()
        self._numbers: dict[str, int] = {}
        self._numbering = threading.Lock()
        self._forgetting: dict[str, asyncio.Future[Any]] = {}
        self._failed_before: int | None = None
        self._is_over = self._has_paid = False

    # --- what the function calls ----------------------------------------------------------------------------------

    def once(self, name: str, made: Made, check: Check | None, most: int) -> PaidStep:
        """See `Context.once`."""
        asked = _Asked(self._numbered(name), made, check, most, _in_place, self._course.now())
        return PaidStep(self._reply(asked), made)

    def once_blocking(self, name: str, made: Callable[[], Any], check: Check | None, most: int) -> Any:
        """See `Context.once_blocking`."""
        handoff = Handoff(self._loop)
        asked = _Asked(self._numbered(name), made, check, most, handoff.call, self._course.now())
        return handoff.serve(self._reply(asked))

    def forget(self, name: str) -> Coroutine[Any, Any, None]:
        """See `Context.forget`. Called in the event loop's thread."""
        with self._numbering:
            self._numbers.pop(name, None)
        self._course.forget(name)
        claimed, ledger = self._claimed, self._rules.ledger
        work = partial(ledger.forget_steps, claimed.master_job_id, [name], job_ids=[claimed.job_id])
        task = self._forgetting[name] = asyncio.ensure_future(self._rules.outbox.insist(work))

        async def forgotten() -> None:
            with self._noting_failure():
                await asyncio.shield(task)

        return forgotten()

    def _numbered(self, name: str) -> StepKey:
        with self._numbering:
            call = self._numbers[name] = self._numbers.get(name, 0) + 1
        return StepKey(self._claimed.master_job_id, self._claimed.job_id, name, call)

    # --- the end of the attempt -----------------------------------------------------------------------------------

    def end(self) -> None:
        """Make no further call: the attempt is over. Those that are under way go on, and store what comes of them."""
        self._is_over = True

    def only_tried(self, error: BaseException, *, timed_out: bool) -> bool:
        """Return whether the attempt made no call and failed at a stored reply, which no later one is given.

        Args:
            error: ended the attempt.
            timed_out: whether the attempt ran out of its time.
        """
        if self._has_paid or self._rules.reask == "never":
            return False
        return self._course.suspect(error, timed_out=timed_out) is not None

    async def judge(self, error: BaseException | None, *, timed_out: bool = False) -> None:
        """Mark what the attempt says about the replies that it had, once it is stored.

        Afterwards, not before: a process that is killed in between reads a bad reply once more, and pays nothing.

        Args:
            error: ended the attempt; None if the function returned.
            timed_out: whether the attempt ran out of its time.
        """
        for forgetting in self._forgetting.values():
            with self._noting_failure():
                await forgetting
        if error is None:
            for came in self._course.replies:
                if came.step.status == "rejected":  # other code could make nothing of it
                    await self._mark(came.step, "kept", None)
            return
        suspect = self._course.suspect(error, timed_out=timed_out)
        if suspect is not None:
            await self._mark(suspect, "rejected", f"{type(error).__name__} after it: {_text_of(error)}")

    async def _mark(self, step: Step, status: Literal["kept", "rejected"], reason: str | None) -> None:
        code = None if status == "kept" else self._rules.code()
        said = None if reason is None else _storable(reason)
        with self._noting_failure():
            marked = (step.job_id, step.name, step.call, step.reply, status)
            mark = partial(self._rules.ledger.mark_step, *marked, reason=said, rejected_by=code)
            await self._rules.outbox.insist(mark)

    # --- one step -------------------------------------------------------------------------------------------------

    async def _reply(self, asked: _Asked) -> Any:
        """Return the reply to a step: a stored one that will do, or a new one."""
        self._course.calling += 1
        try:
            return await self._found_or_paid(asked)
        except asyncio.CancelledError as error:
            self._course.failure(error)  # the attempt ran out of time here, also if it waited for another's call
            raise
        finally:
            self._course.calling -= 1

    async def _found_or_paid(self, asked: _Asked) -> Any:
        key, calls = asked.key, under_way(self._rules.ledger)
        async with calls.turn(key):
            self._refuse_if_over(key)
            for step in await self._stored(key):
                if await self._refusal(asked, step) is None:
                    return step.result["result"]
            reason = ""
            for _ in range(asked.most):
                step = await self._paid(asked, calls)
                reason = await self._refusal(asked, step)
                if reason is None:
                    return step.result["result"]
        error = StepRejectedError(key.job_id, key.name, asked.most, reason)
        self._course.failure(error)
        raise error

    async def _stored(self, key: StepKey) -> list[Step]:
        """Return the stored replies to try, the latest first."""
        with self._noting_failure():
            if key.name in self._forgetting:
                await asyncio.shield(self._forgetting[key.name])
            look = partial(self._rules.ledger.list_replies, key.job_id, key.name, key.call)
            found = await self._rules.outbox.insist(look)
            if found and self._rules.reask == "all" and self._failed_before is None:
                attempts = await self._rules.outbox.insist(partial(self._rules.ledger.list_attempts, key.job_id))
                self._failed_before = max((one.number for one in attempts if one.status == "failed"), default=0)
        return [step for step in reversed(found) if self._may_use(step)]

    def _may_use(self, step: Step) -> bool:
        reask = self._rules.reask
        if step.status == "forgotten" or step.attempt <= (self._failed_before or 0):
            return False
        if step.status == "kept":
            return True
        if step.rejected_by is None:
            return False  # not whole, whatever the code
        return reask == "never" or (reask == "auto" and step.rejected_by != self._rules.code())

    async def _paid(self, asked: _Asked, calls: UnderWay) -> Step:
        """Make the call, and return its reply once it is durable."""
        with self._noting_failure():
            await self._rules.outbox.ready()
        self._refuse_if_over(asked.key)
        used: list[Usage] = []
        with calls.paying(asked.key, lambda: self._is_over):
            before = _cancellings()
            self._has_paid = True
            try:
                result = await asked.invoke(partial(_collecting, asked.made, used))
            except BaseException as error:
                self._course.failure(error)
                if isinstance(error, asyncio.CancelledError) and asked.invoke is not _in_place:
                    # The program has closed its event loop, and there is no way to the store any more.
                    logger.warning("%s was still under way when the program ended; its reply is lost", asked.key)
                raise
            is_whole = _cancellings() <= before
            return await self._kept(asked.key, result, used, is_whole=is_whole)

    async def _kept(self, key: StepKey, result: object, used: list[Usage], *, is_whole: bool) -> Step:
        """Store a reply, whatever it is.

        Raises:
            InvalidDataError: nothing can convert a part of it; the rest is stored.
            asyncio.CancelledError: the call was cancelled and did not say so.
        """
        stored, problem = self._stored_form(result)
        step = Step(key.job_id, key.name, stored, self._attempt, utc_now(), tuple(used), call=key.call)
        if problem is not None or not is_whole:
            step = replace(step, status="rejected", reason=_CANCELLED if problem is None else _storable(problem))
        try:
            with self._noting_failure():
                number = await self._rules.outbox.save_step(step)
        except (StorageError, StoppedError) as error:
            if self._is_over:
                logger.warning("%s ended after its attempt, and its reply is not stored: %r", key, error)
            raise
        if not is_whole:
            raise asyncio.CancelledError
        if problem is not None:
            path, _, reason = problem.removeprefix("at ").partition(": ")
            error = InvalidDataError(f"the reply to step {key.name!r}", path, f"{reason}; the rest of it is stored")
            self._course.failure(error)
            raise error
        return replace(step, reply=number)

    def _stored_form(self, result: object) -> tuple[dict[str, Any], str | None]:
        """Return a result as it is stored and reads back, and what of it nothing can convert."""
        try:
            return decode(encode({"result": result}, "a reply")), None
        except InvalidDataError:
            notes = Notes()
            converted = {"result": convert(result, notes, depth=2)}
            self.conversions.append(notes)
            return decode(encode(converted, "a reply")), notes.problem

    async def _refusal(self, asked: _Asked, step: Step) -> str | None:
        """Return why the check of a step refuses a reply, which is then marked; None if the function gets it."""
        reason = None
        if asked.check is not None:
            try:
                reason = _reason(await asked.invoke(partial(asked.check, step.result["result"])), step.name)
            except BaseException:
                self._course.reply(step, asked.called)  # an error of the program, after this reply
                raise
        if reason is None:
            self._course.reply(step, asked.called)
        else:
            await self._mark(step, "rejected", reason)
        return reason

    def _refuse_if_over(self, key: StepKey) -> None:
        if self._is_over:
            raise AttemptOverError(key.job_id, self._attempt)

    @contextmanager
    def _noting_failure(self) -> Generator[None]:
        try:
            yield
        except (StorageError, StoppedError) as error:
            self.failure = error
            raise


async def _in_place(call: Callable[[], Any]) -> Any:
    """Call something in the event loop."""
    result = call()
    return await result if inspect.isawaitable(result) else result


def _collecting(made: Made, used: list[Usage]) -> Any:
    """Begin a call, and collect the usage that is reported meanwhile."""
    token = used_in_step.set(used)
    try:
        result = made() if callable(made) else made
    finally:
        used_in_step.reset(token)
    return _awaited_collecting(result, used) if inspect.isawaitable(result) else result


async def _awaited_collecting(result: Awaitable[Any], used: list[Usage]) -> Any:
    token = used_in_step.set(used)
    try:
        return await result
    finally:
        used_in_step.reset(token)


def _reason(said: object, name: str) -> str | None:
    """Return why a check refuses a reply; None if it does not.

    Raises:
        InvalidInputError: it returned nothing, or in a thread something to await.
    """
    if inspect.iscoroutine(said):
        said.close()
        raise InvalidInputError(f"the check of step {shorten(name)} must be a plain function here, not an async one.")
    if said is None:
        raise InvalidInputError(
            f"the check of step {shorten(name)} returned nothing; return True, or False or the reason (text)."
        )
    if isinstance(said, str):
        return said or "its check refused it"
    return None if said else "its check refused it"


def _cancellings() -> int:
    """Return how often the task that runs was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (any code)
        return "it cannot be shown"


def _storable(text: str) -> str:
    """Return a text that a database can hold; the beginning of a long one."""
    return text[:_LONGEST_REASON].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
