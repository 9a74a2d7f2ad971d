"""What the run keeps of an attempt: what it used, its paid steps, and what comes when its row is stored already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from starfish_storage.errors import RequestNotStoredError, StorageError
from starfish_storage.generation.conversion import Notes
from starfish_storage.generation.replies import Replies, StepRules
from starfish_storage.generation.requests import Requests
from starfish_storage.generation.steps import Steps, used_in_step
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.generation.under_way import StepKey, under_way
from starfish_storage.runs import CallCounts, ClaimedInput, Usage
from starfish_storage.runs.calls import UNPRICED
from starfish_storage.telemetry import current

_making = threading.Lock()  # of what few attempts have
_counting = threading.Lock()  # which usage is in the row of its attempt, and which came after it


class AttemptAccount:
    """What an attempt used, and its paid steps.

    Args:
        rules: what the paid steps of all inputs share.
        claimed: the input.
        attempt: the number of the attempt.
        on_cost: gets the cost of each reported call.

    Attributes:
        complaint: what is wrong with the usage that was reported; None if nothing is.
        loop: the event loop of the run.
    """

    __slots__ = (
        *("_attempt", "_claimed", "_goes_on", "_is_over", "_is_stored", "_late", "_on_cost", "_replies", "_requests"),
        *("_rules", "_steps", "_thread", "_unreported", "_usage", "complaint", "loop"),
    )

    def __init__(self, rules: StepRules, claimed: ClaimedInput, attempt: int, on_cost: Callable[[float], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._rules = rules
        self._claimed = claimed
        self._attempt = attempt
        self._on_cost = on_cost
        self._usage: list[Usage] = []
        self._late: list[Usage] | None = None
        self._is_over = self._is_stored = self._goes_on = False
        self.complaint: str | None = None
        self._replies: Replies | None = None
        self._steps: Steps | None = None
        self._requests: Requests | None = None
        self._unreported: list[tuple[Usage, bool]] = []  # of requests, and whether it counts here

    @property
    def is_in_loop(self) -> bool:
        """Whether the event loop's thread asks."""
        return threading.get_ident() == self._thread

    @property
    def usage(self) -> tuple[Usage, ...]:
        """The usage reported so far."""
        return tuple(self._usage)

    @property
    def steps(self) -> Steps:
        """The paid steps. Any thread may ask for them."""
        with _making:
            if self._steps is None:
                self._steps = Steps(self._made_replies())
            return self._steps

    @property
    def requests(self) -> Requests:
        """The requests that a recording client makes. Any thread may ask for them."""
        with _making:
            if self._requests is None:
                self._requests = Requests(self._made_replies(), self._log_paid, self._log_stored)
            return self._requests

    @property
    def calls(self) -> CallCounts | None:
        """How the requests were answered; None if there was none."""
        return None if self._requests is None else self._requests.counts()

    def _made_replies(self) -> Replies:
        if self._replies is None:
            self._replies = Replies(self._rules, self._claimed, self._attempt, self.loop)
            self._replies.is_over = self._is_over
        return self._replies

    def log_usage(self, used: Usage, complaint: str | None) -> None:
        """Note what a call used, and what is wrong with how it was reported. Any thread may call this."""
        if complaint is not None and self.complaint is None:
            self.complaint = f"log_usage: {complaint}"
        if self._unreported and self._is_known(used):
            return
        in_step = used_in_step.get()
        if in_step is not None:
            in_step.append(used)
        current().used(used)
        self._add(used)

    def _log_paid(self, used: Usage) -> None:
        """Note what a recorded answer used, which the function may report too."""
        with _counting:
            self._unreported.append((used, True))
        self._add(used)

    def _log_stored(self, used: Usage) -> None:
        """Note what an answer used when it was paid for, which the function may report now."""
        with _counting:
            self._unreported.append((used, False))

    def _is_known(self, reported: Usage) -> bool:
        """Return whether the function reports an answer that was recorded: the same model and tokens.

        What it says beyond what the answer says wins, such as a cost.
        """
        with _counting:
            for known in self._unreported:
                used, counts_here = known
                if not _is_same(reported, used):
                    continue
                self._unreported.remove(known)
                if not counts_here or not reported.cost:
                    return True
                self._usage[self._usage.index(used)] = with_cost(used, reported.cost)
                if self._requests is not None:
                    self._requests.unpriced -= UNPRICED in used.counts
                break
            else:
                return False
        self._on_cost(reported.cost - used.cost)
        current().corrected(reported.cost - used.cost)
        return True

    def _add(self, used: Usage) -> None:
        with _counting:
            self._usage.append(used)
            if self._late is not None:
                self._late.append(used)
            is_stored = self._is_stored
        self._on_cost(used.cost)
        if is_stored and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._store_late)

    @property
    def failure(self) -> StorageError | StoppedError | None:
        """The error of the store, if it failed to read or write a step."""
        return None if self._replies is None else self._replies.failure

    @property
    def sends_nothing(self) -> bool:
        """Whether what is not stored is refused."""
        return self._rules.answers.sends_nothing

    @property
    def refusal(self) -> RequestNotStoredError | None:
        """The error of a call that was refused because its answer is not stored, if there was one."""
        return None if self._replies is None else self._replies.refusal

    @property
    def conversions(self) -> Sequence[Notes]:
        """What was converted in the replies of steps."""
        return () if self._steps is None else self._steps.conversions

    def end(self) -> None:
        """Pay for nothing more: the attempt is over. Calls that are under way go on, and store what comes of them."""
        self._is_over = True
        if self._replies is not None:
            self._replies.is_over = True
        if self._requests is not None and not self._goes_on:
            self._requests.end()

    def outlive(self, goes_on: bool) -> None:
        """Note that the thread of the function goes on though the attempt ends, or that it has ended too.

        Until then it reads its streams, which nobody else does.
        """
        self._goes_on = goes_on
        if not goes_on and self._is_over and self._requests is not None:
            self._requests.end()

    def forget(self, name: str) -> Coroutine[Any, Any, None]:
        """See `Context.forget`. Called in the event loop's thread."""
        if self._requests is not None:
            self._requests.forget(name)
        return self.steps.forget(name)

    def take_usage(self) -> tuple[Usage, ...]:
        """Return the usage for the row of the attempt. What is reported later is added to that row, once it is stored.

        If the row is made again, it has all usage until then.
        """
        with _counting:
            self._late = []
            return tuple(self._usage)

    def only_tried(self, error: BaseException, *, timed_out: bool) -> bool:
        """Return whether the attempt has paid nothing, and another one will go on without the reply that it failed at.

        Args:
            error: ended the attempt.
            timed_out: whether the attempt ran out of its time.
        """
        replies = self._replies
        return replies is not None and not self._usage and replies.only_tried(error, timed_out=timed_out)

    async def stored(self, error: BaseException | None, *, timed_out: bool = False) -> None:
        """Note that the row of the attempt is stored.

        Args:
            error: ended the attempt; None if the function returned.
            timed_out: whether the attempt ran out of its time.
        """
        self.note_stored()
        if self._requests is not None:
            await self._requests.kept_parts()
        if self._replies is not None:
            await self._replies.judge(error, timed_out=timed_out)

    def note_stored(self) -> None:
        """Note that the row of the attempt is stored, and nothing is to be said about its steps."""
        with _counting:
            self._is_stored = True
        if self._late:
            self._store_late()

    def _store_late(self) -> None:
        """Add usage to the stored attempt. Called in the event loop's thread."""
        with _counting:
            late, self._late = self._late or [], []
        if late:
            calls = under_way(self._rules.ledger)
            work = self._rules.outbox.add_usage(self._claimed.job_id, self._attempt, late)
            calls.store_late(StepKey(self._claimed.master_job_id, self._claimed.job_id, "usage", 0), work)


attempt_under_way: ContextVar[AttemptAccount | None] = ContextVar("attempt_under_way", default=None)
"""The attempt whose function runs here, also in its tasks and threads: a recording client asks for it."""

checks_send_nothing: ContextVar[bool] = ContextVar("checks_send_nothing", default=False)
"""Whether checks run here, of no attempt, that may send nothing."""


def with_cost(used: Usage, cost: float) -> Usage:
    """Return usage whose price is known."""
    counts = {name: count for name, count in used.counts.items() if name != UNPRICED}
    return replace(used, cost=cost, counts=counts)


def _is_same(reported: Usage, used: Usage) -> bool:
    """Return whether a reported call may be a recorded one: equal tokens, and of no other model."""
    tokens = (reported.input_tokens, reported.output_tokens)
    is_named = reported.model is not None and used.model is not None
    return (
        any(tokens)
        and tokens == (used.input_tokens, used.output_tokens)
        and not (is_named and reported.model != used.model)
    )
