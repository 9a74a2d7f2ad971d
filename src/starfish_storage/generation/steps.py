"""The paid steps that a function names: asks for each, unless a stored reply will do."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidDataError, InvalidInputError, StepRejectedError, shorten
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.generation.paid_step import Made, PaidStep
from starfish_storage.generation.replies import Replies, storable
from starfish_storage.generation.threads import Handoff
from starfish_storage.generation.under_way import StepKey
from starfish_storage.runs import Step, Usage
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

_CANCELLED = "the call was cancelled, and returned all the same: the reply may not be whole"

used_in_step: ContextVar[list[Usage] | None] = ContextVar("used_in_step", default=None)
"""Collects the usage that is reported within a call."""

Check = Callable[[Any], Any]
Invoke = Callable[[Callable[[], Any]], Awaitable[Any]]


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
    """The steps of one attempt that its function names.

    Args:
        replies: the replies of the attempt.

    Attributes:
        conversions: what was converted in replies, so that they could be stored.
    """

    def __init__(self, replies: Replies) -> None:
        self.conversions: list[Notes] = []
        self._replies = replies
        self._course = replies.course
        self._numbers: dict[str, int] = {}
        self._numbering = threading.Lock()

    # --- what the function calls ----------------------------------------------------------------------------------

    def once(self, name: str, made: Made, check: Check | None, most: int) -> PaidStep:
        """See `Context.once`."""
        asked = _Asked(self._numbered(name), made, check, most, _in_place, self._course.now())
        return PaidStep(self._reply(asked), made)

    def once_blocking(self, name: str, made: Callable[[], Any], check: Check | None, most: int) -> Any:
        """See `Context.once_blocking`."""
        handoff = Handoff(self._replies.loop)
        asked = _Asked(self._numbered(name), made, check, most, handoff.call, self._course.now())
        return handoff.serve(self._reply(asked))

    def forget(self, name: str) -> Coroutine[Any, Any, None]:
        """See `Context.forget`. Called in the event loop's thread."""
        with self._numbering:
            self._numbers.pop(name, None)
        task = self._replies.forget(name)

        async def forgotten() -> None:
            with self._replies.noting_failure():
                await asyncio.shield(task)

        return forgotten()

    def _numbered(self, name: str) -> StepKey:
        with self._numbering:
            call = self._numbers[name] = self._numbers.get(name, 0) + 1
        claimed = self._replies.claimed
        return StepKey(claimed.master_job_id, claimed.job_id, name, call)

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
        key, replies = asked.key, self._replies
        async with replies.calls.turn(key):
            replies.refuse_if_over(key)
            for step in await replies.stored(key):
                if await self._refusal(asked, step) is None:
                    return step.result["result"]
            reason = ""
            for _ in range(asked.most):
                step = await self._paid(asked)
                reason = await self._refusal(asked, step)
                if reason is None:
                    return step.result["result"]
        error = StepRejectedError(key.job_id, key.name, asked.most, reason)
        self._course.failure(error)
        raise error

    async def _paid(self, asked: _Asked) -> Step:
        """Make the call, and return its reply once it is durable."""
        replies = self._replies
        if replies.answers.sends_nothing:
            raise await replies.refused(asked.key)
        await replies.ready(asked.key)
        used: list[Usage] = []
        with replies.calls.paying(asked.key, lambda: replies.is_over):
            before = _cancellings()
            replies.has_paid = True
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
        step = Step(key.job_id, key.name, stored, self._replies.attempt, utc_now(), tuple(used), call=key.call)
        if problem is not None or not is_whole:
            step = replace(step, status="rejected", reason=_CANCELLED if problem is None else storable(problem))
        step = await self._replies.keep(key, step)
        if not is_whole:
            raise asyncio.CancelledError
        if problem is not None:
            path, _, reason = problem.removeprefix("at ").partition(": ")
            error = InvalidDataError(f"the reply to step {key.name!r}", path, f"{reason}; the rest of it is stored")
            self._course.failure(error)
            raise error
        return step

    def _stored_form(self, result: object) -> tuple[dict[str, Any], str | None]:
        """Return a result as it is stored and reads back, and what of it nothing can convert."""
        try:
            return decode(encode({"result": result}, "a reply", joins=False)), None
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
            await self._replies.mark(step, "rejected", reason)
        return reason


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
