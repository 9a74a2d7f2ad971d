"""What a run's function can ask of the job it works on: report usage, and keep the result of a paid step."""

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
    """The job of one input, as its function sees it. A function gets it by asking: ``async def answer(x, context)``.

    Args:
        ledger: where results of paid steps are stored.
        claimed: the input.
        attempt: the number of this attempt, from 1, counted over all resumes.
        worker_id: who makes it.
        on_cost: told what each reported call cost.

    Attributes:
        master_job_id: the run.
        job_id: the execution job of the input.
        position: the place of the input among those of the run, from 0.
        attempt: the number of this attempt.
        worker_id: who makes it.
        failure: why the store could not be read or written for a step: not the function's fault.
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
        """What was reported so far in this attempt."""
        return tuple(self._usage)

    def log_usage(
        self, *, model: str | None = None, input_tokens: int = 0, output_tokens: int = 0, cost: float = 0.0
    ) -> None:
        """Report what one call of a model used; it counts even if the attempt fails. May be called in any thread.

        Args:
            model: its name.
            input_tokens: tokens sent.
            output_tokens: tokens received.
            cost: what it cost, in the currency that ``max_cost`` is in.

        Raises:
            InvalidInputError: a number is negative or none.
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
        """Return the result of a paid step, which is made once for this input, whatever happens afterwards.

        The result is durable before this returns. A retry, a resume, or a function corrected a week later gets the
        stored result and does not pay again.

        Args:
            name: of the step, unique within the function.
            call: makes the step: called without arguments, and awaited if it returns an awaitable; or a coroutine.

        Returns:
            The result as it reads back from JSON, at the first time as well: tuples are lists.

        Raises:
            InvalidInputError: the name is no text.
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
                call.close()  # not needed, or done

    def once_blocking(self, name: str, call: Callable[[], Any]) -> Any:
        """Do as `once` from a plain function, which runs in a thread; ``call`` is called in that thread.

        Raises:
            InvalidInputError: it is called in the event loop's thread; or as for `once`.
            InvalidDataError: as for `once`.
        """
        _check_name(name)
        if threading.get_ident() == self._loop_thread:
            raise InvalidInputError("once_blocking would hold up the event loop here: use 'await context.once(...)'.")
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
            coroutine.close()  # the loop is closed: the run is over, and this call was given up
            raise

    async def _stored(self, name: str) -> Step | None:
        with self._noting_failure():
            return await self._ledger.get_step(self.job_id, name)

    @contextmanager
    def _noting_failure(self) -> Generator[None]:
        try:
            yield
        except StorageError as error:
            self.failure = error
            raise

    async def _keep(self, name: str, result: object, used: list[Usage]) -> Any:
        """Store the result of a step, and return it as it reads back."""
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
    """Collect what is reported meanwhile."""
    used: list[Usage] = []
    token = _used_in_step.set(used)
    try:
        yield used
    finally:
        _used_in_step.reset(token)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"a step needs a name that is a text, such as 'model-call', not {type(name).__name__}.")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidInputError("the name of a step has a lone surrogate, which is not a character; replace it.")
