"""What a run's function can do for the input it works on: report usage, and keep the result of a paid step."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, SupportsFloat, TypeVar

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.account import AttemptAccount
from starfish_storage.generation.steps import Check
from starfish_storage.runs import ClaimedInput, Usage
from starfish_storage.usage.reading import read_usage

Result = TypeVar("Result")


class Context:
    """The attempt at one input, as the function sees it. A function asks for it: ``async def answer(x, context)``.

    Args:
        claimed: the input.
        attempt: the number of this attempt, from 1, counted over all resumes.
        worker_id: the worker that makes it.
        account: what the run keeps of the attempt.

    Attributes:
        master_job_id: the run.
        job_id: the execution job of the input.
        position: the place of the input among those of the run, from 0.
        attempt: the number of this attempt.
        worker_id: the worker that makes it.
    """

    def __init__(self, claimed: ClaimedInput, attempt: int, worker_id: str, account: AttemptAccount) -> None:
        self.master_job_id = claimed.master_job_id
        self.job_id = claimed.job_id
        self.position = claimed.position
        self.attempt = attempt
        self.worker_id = worker_id
        self._account = account

    @property
    def usage(self) -> tuple[Usage, ...]:
        """The usage reported so far in this attempt."""
        return self._account.usage

    def log_usage(
        self,
        usage: object = None,
        /,
        *,
        model: str | None = None,
        input_tokens: SupportsFloat | None = None,
        output_tokens: SupportsFloat | None = None,
        cost: SupportsFloat | None = None,
        **counts: SupportsFloat | None,
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
        self._account.log_usage(reported.usage(), reported.complaint)

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
            return self._account.steps.once(name, call, check, most_replies if callable(call) else 1)
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
        if self._account.is_in_loop:
            raise InvalidInputError("once_blocking would block the event loop here; use 'await context.once(...)'.")
        if inspect.iscoroutinefunction(call) or not callable(call):
            raise InvalidInputError(
                f"once_blocking needs a plain function for step {shorten(name)}; it awaits nothing."
            )
        return self._account.steps.once_blocking(name, call, check, most_replies)

    def forget(self, name: str) -> Awaitable[None]:
        """Forget the replies that are stored for the steps of a name: they stay in the history, and are not used again.

        The next call of the name is its first again, and is asked. A request of a recording client has method, host and
        path for its name; each different request is then the first of its kind again. Any thread may call this; a
        thread waits until that is durable, and an async function may await it.

        Raises:
            InvalidInputError: the name is not text.
        """
        _check_step(name, None, 1)
        if self._account.is_in_loop:
            return _Begun(self._account.forget(name))
        asyncio.run_coroutine_threadsafe(self._forgotten(name), self._account.loop).result()
        return _Begun(None)

    async def _forgotten(self, name: str) -> None:
        await self._account.forget(name)


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
