"""What a run's function can do for the input it works on: report usage, and keep the result of a paid step."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidDataError, InvalidInputError, StorageError
from starfish_storage.interface import RunLedger
from starfish_storage.models import utc_now
from starfish_storage.runs import ClaimedInput, Step, Usage

Result = TypeVar("Result")

_used_in_step: ContextVar[list[Usage] | None] = ContextVar("_used_in_step", default=None)


class Context:
    """The attempt at one input, as the function sees it. A function asks for it: ``async def answer(x, context)``.

    Args:
        ledger: stores the results of paid steps.
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
        failure: the error of the store, if it failed to read or write a step.
    """

    def __init__(
        self,
        ledger: RunLedger,
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
        self._ledger = ledger
        self._on_cost = on_cost
        self._usage: list[Usage] = []
        self._locks: dict[str, asyncio.Lock] = {}
        self._thread_locks: dict[str, threading.RLock] = {}
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self.failure: StorageError | None = None

    @property
    def usage(self) -> tuple[Usage, ...]:
        """The usage reported so far in this attempt."""
        return tuple(self._usage)

    def log_usage(
        self, *, model: str | None = None, input_tokens: int = 0, output_tokens: int = 0, cost: float = 0.0
    ) -> None:
        """Report what one call of a model used; it counts even if the attempt fails. Any thread may call this.

        Args:
            model: its name.
            input_tokens: tokens sent.
            output_tokens: tokens received.
            cost: its price, in the currency of ``max_cost``.

        Raises:
            InvalidInputError: a number is negative or not a number.
        """
        used = Usage(model, input_tokens, output_tokens, cost).checked()
        self._usage.append(used)
        in_step = _used_in_step.get()
        if in_step is not None:
            in_step.append(used)
        self._on_cost(used.cost)

    async def once(
        self, name: str, call: Callable[[], Awaitable[Result] | Result] | Coroutine[Any, Any, Result]
    ) -> Any:
        """Pay for a step once: make it and store its result, or return the stored result.

        The result is durable before this returns. A retry, a resume, or a function corrected a week later gets the
        stored result and does not pay again.

        Args:
            name: the name of the step, unique within the function.
            call: makes the step. It is called without arguments, and awaited if it returns an awaitable; it may also be
                a coroutine.

        Returns:
            The result as it reads back from JSON, also the first time: tuples become lists.

        Raises:
            InvalidInputError: the name is not text.
            InvalidDataError: the result is not JSON. It was paid for and cannot be kept: return JSON from the step,
                such as ``response.model_dump()``.
        """
        try:
            _check_name(name)
            async with self._locks.setdefault(name, asyncio.Lock()):
                stored = await self._stored(name)
                if stored is not None:
                    return stored.result["result"]
                with _collected_usage() as used:
                    result: Any = call() if callable(call) else call
                    if inspect.isawaitable(result):
                        result = await result
                return await self._keep(name, result, used)
        finally:
            if inspect.iscoroutine(call):
                call.close()  # not needed, or finished

    def once_blocking(self, name: str, call: Callable[[], Any]) -> Any:
        """Do the same as `once` in a plain function, which runs in a thread; ``call`` is called in that thread.

        Raises:
            InvalidInputError: the event loop's thread calls this; or as for `once`.
            InvalidDataError: as for `once`.
        """
        _check_name(name)
        if threading.get_ident() == self._loop_thread:
            raise InvalidInputError("once_blocking would block the event loop here; use 'await context.once(...)'.")
        with self._thread_locks.setdefault(name, threading.RLock()):
            stored = self._wait_for(self._stored(name))
            if stored is not None:
                return stored.result["result"]
            with _collected_usage() as used:
                result = call()
            return self._wait_for(self._keep(name, result, used))

    def _wait_for(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except RuntimeError:
            coroutine.close()  # the loop is closed: the run is over, and this call was abandoned
            raise

    async def _stored(self, name: str) -> Step | None:
        with self._noting_failure():
            replies = await self._ledger.list_replies(self.job_id, name)
        return next((reply for reply in reversed(replies) if reply.status == "kept"), None)

    @contextmanager
    def _noting_failure(self) -> Generator[None]:
        try:
            yield
        except StorageError as error:
            self.failure = error
            raise

    async def _keep(self, name: str, result: object, used: list[Usage]) -> Any:
        """Store the result of a step and return it as it reads back."""
        what = f"the result of step {name!r}"
        try:
            kept: dict[str, Any] = decode(encode({"result": result}, what))
        except InvalidDataError as error:
            remedy = "return JSON from the step, such as response.model_dump()"
            raise InvalidDataError(what, error.path, f"{type(result).__name__} is not JSON; {remedy}") from error
        with self._noting_failure():
            await self._ledger.save_step(Step(self.job_id, name, kept, self.attempt, utc_now(), tuple(used)))
        return kept["result"]


@contextmanager
def _collected_usage() -> Generator[list[Usage]]:
    """Collect the usage that is reported meanwhile."""
    used: list[Usage] = []
    token = _used_in_step.set(used)
    try:
        yield used
    finally:
        _used_in_step.reset(token)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"the name of a step must be text, such as 'model-call', not {type(name).__name__}.")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidInputError("the name of a step contains a lone surrogate, which is not a character; replace it.")
