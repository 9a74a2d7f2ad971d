"""What a run's function can do for the input it works on: report usage, and keep the result of a paid step."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from starfish_storage.errors import InvalidInputError, StorageError, shorten
from starfish_storage.generation.conversion import Notes
from starfish_storage.generation.steps import Check, StepRules, Steps, used_in_step
from starfish_storage.generation.stopping import StoppedError
from starfish_storage.generation.under_way import StepKey, under_way
from starfish_storage.generation.usage import read_usage
from starfish_storage.runs import ClaimedInput, Usage

Result = TypeVar("Result")
Number = float | Decimal

_making = threading.Lock()  # of the steps of a context: few functions have any
_counting = threading.Lock()  # which usage is in the row of its attempt, and which came after it


class Context:
    """The attempt at one input, as the function sees it. A function asks for it: ``async def answer(x, context)``.

    Args:
        rules: what the paid steps of all inputs share.
        claimed: the input.
        attempt: the number of this attempt, from 1, counted over all resumes.
        worker_id: the worker that makes it.
        on_cost: gets the cost of each reported call.

    Attributes:
        master_job_id: the run.
        job_id: the execution job of the input.
        position: the place of the input among those of the run, from 0.
        attempt: the number of this attempt.
        worker_id: the worker that makes it.
        complaint: what is wrong with the usage that was reported; None if nothing is.
    """

    def __init__(
        self,
        rules: StepRules,
        claimed: ClaimedInput,
        attempt: int,
        worker_id: str,
        on_cost: Callable[[float], None],
    ) -> None:
        self.master_job_id = claimed.master_job_id
        self.job_id = claimed.job_id
        self.position = claimed.position
        self.attempt = attempt
        self.worker_id = worker_id
        self._rules = rules
        self._claimed = claimed
        self._on_cost = on_cost
        self._usage: list[Usage] = []
        self._late: list[Usage] | None = None
        self._is_over = self._is_stored = False
        self.complaint: str | None = None
        self._made_steps: Steps | None = None
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()

    @property
    def usage(self) -> tuple[Usage, ...]:
        """The usage reported so far in this attempt."""
        return tuple(self._usage)

    def log_usage(
        self,
        usage: object = None,
        /,
        *,
        model: str | None = None,
        input_tokens: Number | None = None,
        output_tokens: Number | None = None,
        cost: Number | None = None,
        **counts: Number | None,
    ) -> None:
        """Report what one call of a model used; it counts even if the attempt fails. Any thread may call this.

        This raises nothing. What makes no sense, such as a negative number, is left out, and the outputs of the attempt
        are ``failed`` for it, with their data.

        Args:
            usage: the response of an SDK, its usage object, or a dict of its fields: the names of OpenAI, Anthropic,
                Google, Amazon and DeepSeek are known. What is named beside it wins.
            model: its name.
            input_tokens: tokens sent.
            output_tokens: tokens received.
            cost: its price, in the currency of ``max_cost``.
            counts: anything else worth counting, by name, such as ``cached_tokens``, ``cache_write_tokens``,
                ``reasoning_tokens``. None is not reported; numbers may be of ``decimal`` and of numpy.
        """
        named = {"model": model, "input_tokens": input_tokens, "output_tokens": output_tokens, "cost": cost, **counts}
        reported = read_usage(usage, named)
        if reported.complaint is not None and self.complaint is None:
            self.complaint = f"log_usage: {reported.complaint}"
        used = reported.usage()
        in_step = used_in_step.get()
        if in_step is not None:
            in_step.append(used)
        with _counting:
            self._usage.append(used)
            if self._late is not None:
                self._late.append(used)
            is_stored = self._is_stored
        self._on_cost(used.cost)
        if is_stored and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._store_late)

    def once(
        self,
        name: str,
        call: Callable[[], Awaitable[Result] | Result] | Coroutine[Any, Any, Result],
        *,
        check: Callable[[Any], Any] | None = None,
        most_replies: int = 3,
    ) -> Coroutine[Any, Any, Any]:
        """Pay for a step once: make it and store its reply, or return the stored reply. Await what this returns.

        The reply is durable before the function gets it. A retry, a resume, or a function corrected a week later gets
        the stored reply and does not pay again. The n-th call of a name within an attempt is its n-th step, counted
        when this is called, not when it is awaited: four samples in `asyncio.gather` are four steps.

        A reply that its check refuses is kept, marked as rejected, and asked for again. An error that the function
        raises after a reply makes that reply suspect: see ``reask`` in `RunOptions`.

        Args:
            name: the name of the step.
            call: makes the step. It is called without arguments, and awaited if it returns an awaitable; it may also be
                a coroutine, but then it can be made only once.
            check: called with the reply, and awaited if it returns an awaitable: true if the reply will do; false, or
                a text (the reason), if it is to be asked for again. An error that it raises is one of the function.
            most_replies: how many replies to ask for until one passes the check.

        Returns:
            When awaited: the reply as it reads back from JSON, also the first time: tuples become lists, and objects
            such as those of SDKs their fields.

        Raises:
            InvalidInputError: the name is not text, or ``check`` or ``most_replies`` cannot be used.
            StepRejectedError: when awaited: the check refused every reply; all of them are stored.
            AttemptOverError: when awaited: the attempt has ended, so nothing is paid for it any more.
            InvalidDataError: when awaited: nothing can convert a part of the result, such as a client. The rest is
                stored, and not used again.
        """
        try:
            _check_step(name, check, most_replies)
            return self._steps.once(name, call, check, most_replies if callable(call) else 1)
        except BaseException:
            if inspect.iscoroutine(call):
                call.close()
            raise

    def once_blocking(
        self,
        name: str,
        call: Callable[[], Any],
        *,
        check: Callable[[Any], Any] | None = None,
        most_replies: int = 3,
    ) -> Any:
        """Do the same as `once` in a plain function, which runs in a thread; ``call`` is called in that thread.

        If the attempt runs out of its ``timeout`` meanwhile, the call goes on, and its reply and cost are stored when
        it ends; the next attempt waits for it, and does not pay beside it.

        Raises:
            InvalidInputError: the event loop's thread calls this, or ``call`` is a coroutine function; or as for
                `once`.
            StepRejectedError: as for `once`.
            AttemptOverError: as for `once`.
            InvalidDataError: as for `once`.
        """
        _check_step(name, check, most_replies)
        if threading.get_ident() == self._loop_thread:
            raise InvalidInputError("once_blocking would block the event loop here; use 'await context.once(...)'.")
        if inspect.iscoroutinefunction(call) or not callable(call):
            raise InvalidInputError(
                f"once_blocking needs a plain function for step {shorten(name)}; it awaits nothing."
            )
        return self._steps.once_blocking(name, call, check, most_replies)

    def forget(self, name: str) -> Awaitable[None]:
        """Forget the replies that are stored for the steps of a name: they stay in the history, and are not used again.

        The next call of the name is its first again, and is asked. Any thread may call this; a thread waits until that
        is durable, and an async function may await it.

        Raises:
            InvalidInputError: the name is not text.
        """
        _check_step(name, None, 1)
        if threading.get_ident() == self._loop_thread:
            return _Begun(self._steps.forget(name))
        asyncio.run_coroutine_threadsafe(self._forgotten(name), self._loop).result()
        return _Begun(None)

    async def _forgotten(self, name: str) -> None:
        await self._steps.forget(name)

    @property
    def _steps(self) -> Steps:
        with _making:
            if self._made_steps is None:
                self._made_steps = Steps(self._rules, self._claimed, self.attempt, self._loop)
                if self._is_over:
                    self._made_steps.end()
            return self._made_steps

    # --- for the run ----------------------------------------------------------------------------------------------

    @property
    def failure(self) -> StorageError | StoppedError | None:
        """The error of the store, if it failed to read or write a step."""
        return None if self._made_steps is None else self._made_steps.failure

    @property
    def conversions(self) -> Sequence[Notes]:
        """What was converted in the replies of steps."""
        return () if self._made_steps is None else self._made_steps.conversions

    def end(self) -> None:
        """Pay for nothing more: the attempt is over."""
        self._is_over = True
        if self._made_steps is not None:
            self._made_steps.end()

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
        steps = self._made_steps
        return steps is not None and not self._usage and steps.only_tried(error, timed_out=timed_out)

    async def stored(self, error: BaseException | None, *, timed_out: bool = False) -> None:
        """Note that the row of the attempt is stored.

        Args:
            error: ended the attempt; None if the function returned.
            timed_out: whether the attempt ran out of its time.
        """
        self.note_stored()
        if self._made_steps is not None:
            await self._made_steps.judge(error, timed_out=timed_out)

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
            work = self._rules.outbox.add_usage(self.job_id, self.attempt, late)
            calls.store_late(StepKey(self.master_job_id, self.job_id, "usage", 0), work)


class _Begun:
    """Something that has begun, and that may be awaited."""

    __slots__ = ("_work",)

    def __init__(self, work: Coroutine[Any, Any, None] | None) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, None, None]:
        if self._work is not None:
            yield from self._work.__await__()

    def __del__(self) -> None:
        if self._work is not None:
            self._work.close()


def _check_step(name: object, check: Check | None, most_replies: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"the name of a step must be text, such as 'model-call', not {type(name).__name__}.")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidInputError("the name of a step contains a lone surrogate, which is not a character; replace it.")
    if check is not None and not callable(check):
        raise InvalidInputError(f"the check of step {shorten(name)} must be a function, not {type(check).__name__}.")
    if not isinstance(most_replies, int) or isinstance(most_replies, bool) or most_replies < 1:
        raise InvalidInputError(f"most_replies of step {shorten(name)} must be an integer of 1 or more.")
