"""The requests of an attempt that a recording HTTP client makes: each is a paid step, answered once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starfish_storage.codec import json_line
from starfish_storage.errors import StorageError
from starfish_storage.generation.replies import Replies, is_whole, storable
from starfish_storage.generation.reuse import copied
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.generation.under_way import StepKey
from starfish_storage.runs import MOST_NOTES, CallCounts, CallNote, Step, Usage
from starfish_storage.runs.calls import UNPRICED
from starfish_storage.runs.exchanges import CallResponse
from starfish_storage.telemetry import current
from starfish_storage.times import utc_now

_LONGEST_MESSAGE = 500
_NOT_STORED = 404


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be recorded.

    Attributes:
        name: of its step: method, host and path.
        key: its identity, `starfish_storage.runs.exchanges.CallRequest.key`.
        packed: itself, as it is stored; None if it is not to be.
        model: that it names; None if it names none.
    """

    name: str
    key: str
    packed: str | None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of a model, or what has come of it.

    Attributes:
        response: what came.
        usage: what it used, as far as it says so; None if it is none of a model.
    """

    response: CallResponse
    usage: Usage | None


class Requests:
    """The requests of one attempt. Only the event loop's thread uses it, but for `note`.

    Equal requests are numbered when they are sent: four equal samples are four steps, also when they are asked for at
    once. One that fails gives its number back, so that an SDK that sends it again asks for the same step.

    Args:
        replies: the replies of the attempt.
        on_paid: gets what each answer that was paid for used.
        on_stored: gets what each answer used that was paid for earlier.

    Attributes:
        replies: the replies of the attempt.
        unpriced: how many answers that were paid for have no known price.
        streamed: the calls whose answers the function gets piece by piece.
    """

    def __init__(self, replies: Replies, on_paid: Callable[[Usage], None], on_stored: Callable[[Usage], None]) -> None:
        self.replies = replies
        self._on_paid = on_paid
        self._on_stored = on_stored
        self._numbers: dict[tuple[str, str], set[int]] = {}  # that are taken, by name and key
        self._keeping: set[asyncio.Task[None]] = set()
        self.streamed: set[RequestUnderWay] = set()
        self._notes: Counter[tuple[str, str, str, str]] = Counter()
        self._asked = self._replayed = self._reused = 0
        self._saved_cost = 0.0
        self.unpriced = 0

    async def begin(self, asked: Asked) -> CallResponse | RequestUnderWay:
        """Return the stored answer to a request, or the call that is to be made now.

        Raises:
            AttemptOverError: the attempt has ended, so nothing is paid for it any more.
            StorageError: the store cannot be read.
            StoppedError: the worker stops.
        """
        replies, held = self.replies, ExitStack()
        course, called, (key, give_back) = replies.course, replies.course.now(), self._numbered(asked)
        course.calling += 1
        try:
            held.callback(await replies.calls.take_turn(key))
            replies.refuse_if_over(key)
            step = await self._found(asked, key, held)
            if step is None and replies.answers.sends_nothing:
                return await self._refused(asked, key, give_back, held)
            if step is None:
                await replies.ready(key)
        except BaseException as error:
            course.failure(error)
            course.calling -= 1
            held.close()
            give_back()
            raise
        if step is None:
            replies.has_paid = True
            held.enter_context(replies.calls.paying(key, lambda: replies.is_over))
            return RequestUnderWay(self, asked, key, called, give_back, held)
        course.calling -= 1
        held.close()
        for used in step.usage:
            self._on_stored(used)
        course.reply(step, called)
        return CallResponse.of_result(step.result)

    def note(self, asked: Asked, kind: str, message: str) -> None:
        """Note that a request was not recorded, and why. Any thread may call this."""
        self._notes[asked.name, asked.key, kind, storable(message)[:_LONGEST_MESSAGE]] += 1

    def counts(self) -> CallCounts | None:
        """Return how the requests were answered; None if there was none."""
        if not (self._asked or self._replayed or self._reused or self._notes):
            return None
        notes = tuple(CallNote(*what, count) for what, count in list(self._notes.items())[:MOST_NOTES])
        return CallCounts(self._asked, self._replayed, self._reused, self._saved_cost, self.unpriced, notes)

    def end(self) -> None:
        """Record no stream any more that is not read to its end: nobody may ever close it, and others wait for it."""
        for call in list(self.streamed):
            call.leave()

    def forget(self, name: str) -> None:
        """Number the requests of a name from 1 again. Those under way give numbers back to nobody any more."""
        self._numbers = {named: taken for named, taken in self._numbers.items() if named[0] != name}

    def keep_part(self, storing: Coroutine[Any, Any, None]) -> None:
        """Store what came of an answer, in a task of its own: who breaks an answer off does not wait."""
        task = self.replies.loop.create_task(storing)
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def kept_parts(self) -> None:
        """Wait until what came of answers is stored."""
        if self._keeping:
            await asyncio.wait(self._keeping)

    def _numbered(self, asked: Asked) -> tuple[StepKey, Callable[[], None]]:
        """Return the step of a request, and what lets the next request that equals it have its number."""
        taken = self._numbers.setdefault((asked.name, asked.key), set())
        number = next(one for one in range(1, len(taken) + 2) if one not in taken)
        taken.add(number)
        claimed = self.replies.claimed
        key = StepKey(claimed.master_job_id, claimed.job_id, asked.name, number, asked.key)
        return key, partial(taken.discard, number)

    async def _found(self, asked: Asked, key: StepKey, held: ExitStack) -> Step | None:
        """Return the stored reply that answers a request: one of the input, or a copy of that of another one.

        An input that has whole replies of its own, and can use none, asks for another: what others have would be no
        better.
        """
        replies = self.replies
        stored = await replies.all_stored(key)
        usable = replies.usable(stored)
        if usable:
            self._replayed += 1
            return usable[0]
        if any(map(is_whole, stored)) or not replies.answers.looks_elsewhere:
            return None
        turn = replies.answers.turn(key)
        # While the function reads a stream, it has the turn of that one. Whoever has one never waits for another: two
        # that waited for each other would wait for ever.
        if not (self.streamed and replies.calls.is_taken(turn)):
            held.callback(await replies.calls.take_turn(turn))
        found = await replies.found_elsewhere(key)
        if found is None:
            return None
        step = await replies.keep(key, copied(found, key, asked.packed, replies.attempt))
        self._reused += 1
        self._saved_cost += found.source.cost
        return step

    async def _refused(
        self, asked: Asked, key: StepKey, give_back: Callable[[], None], held: ExitStack
    ) -> CallResponse:
        """Return what the client gets in place of an answer that is not stored: SDKs do not send such a request again.

        The attempt fails with the error that is noted, whatever the function makes of this.
        """
        error = await self.replies.refused(key, asked.packed)
        self.note(asked, "not stored", str(error))
        self.replies.course.calling -= 1
        held.close()
        give_back()
        said = {"error": {"message": str(error), "type": error.code, "code": error.code}}
        return CallResponse(_NOT_STORED, "application/json", json_line(said))

    def count_paid(self, usage: Usage | None) -> None:
        """Count an answer that has come, and what it used."""
        self._asked += 1
        if usage is not None:
            self.unpriced += UNPRICED in usage.counts
            self._on_paid(usage)


class RequestUnderWay:
    """A request that is made now. Nobody else makes it until it has ended. The event loop's thread uses it.

    Attributes:
        part: returns what has come of the answer so far; None if that is nothing.
    """

    def __init__(
        self,
        requests: Requests,
        asked: Asked,
        key: StepKey,
        called: int,
        give_back: Callable[[], None],
        held: ExitStack,
    ) -> None:
        self.part: Callable[[], Answered | None] = lambda: None
        self._requests = requests
        self._asked = asked
        self._key = key
        self._called = called
        self._began = utc_now()
        self._give_back = give_back
        self._held = held
        self._is_streamed = self._has_ended = False
        self._observed = current().request(asked.name, asked.model)

    def stream(self) -> None:
        """Note that the function gets the answer piece by piece from now on."""
        self._is_streamed = True
        self._requests.replies.course.streaming += 1
        self._requests.streamed.add(self)

    async def keep(self, answer: Answered) -> None:
        """Store the answer; also if the caller is cancelled meanwhile, who may then ask for it again.

        Raises:
            StorageError: the store refuses it, or the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        if self._has_ended:
            return  # a stream that was read on after its attempt
        self._has_ended = True
        self._requests.count_paid(answer.usage)  # before it is stored: it was paid for either way
        self._observe(answer.usage)
        storing = asyncio.ensure_future(self._store(answer))
        try:
            await asyncio.shield(storing)
        except BaseException:
            self._give_back()
            raise

    def fail(self, kind: str, message: str, error: BaseException | None = None) -> None:
        """End the call without an answer to use, and note why; what has come of one is stored as rejected."""
        if self._has_ended:
            return
        self._has_ended = True
        if kind:
            self._requests.note(self._asked, kind, message)
        if error is not None:
            self._requests.replies.course.failure(error)
        self._give_back()
        answer = self.part()
        self._observe(None if answer is None else answer.usage, kind or "cancelled")
        if answer is None:
            self._close()
            return
        self._requests.count_paid(answer.usage)
        self._end_course()
        self._requests.keep_part(self._store_part(answer, f"{kind}: {message}"))

    def leave(self) -> None:
        """End a streamed call whose answer nobody reads to its end."""
        if not self._has_ended:
            self._requests.replies.course.left()
            self.fail("left", "the answer was not read to its end")

    async def _store(self, answer: Answered) -> None:
        replies = self._requests.replies
        try:
            replies.course.reply(await replies.keep(self._key, self._step(answer)), self._called)
        finally:
            self._close()

    async def _store_part(self, answer: Answered, reason: str) -> None:
        # Without the code that rejects it: it is not whole, whatever the code. The run ends with an error of the store,
        # as with that of a whole answer.
        step = replace(self._step(answer), status="rejected", reason=storable(reason))
        try:
            with suppress(StorageError, StoppedError):
                await self._requests.replies.keep(self._key, step)
        finally:
            self._held.close()

    def _step(self, answer: Answered) -> Step:
        key, asked, used = self._key, self._asked, answer.usage
        return Step(
            key.job_id, key.name, answer.response.to_result(), self._requests.replies.attempt, utc_now(),
            () if used is None else (used,),
            call=key.call, request_key=asked.key, request=asked.packed, asked_when=self._began,
        )  # fmt: skip

    def _observe(self, usage: Usage | None, error: str | None = None) -> None:
        if usage is not None:
            self._observed.used((usage,))
        self._observed.end(error)

    def _close(self) -> None:
        self._end_course()
        self._held.close()

    def _end_course(self) -> None:
        course = self._requests.replies.course
        course.calling -= 1
        if self._is_streamed:
            course.streaming -= 1
            self._requests.streamed.discard(self)
