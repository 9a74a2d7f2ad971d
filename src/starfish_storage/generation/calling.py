"""Calls the user's function: gives each parameter its value, and runs a plain function in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.account import attempt_under_way
from starfish_storage.generation.binding import Binding
from starfish_storage.generation.code_identity import code_identity
from starfish_storage.generation.loading import function_name, is_found_by_name, is_what_it_names, stored_name
from starfish_storage.generation.threads import Threads
from starfish_storage.value_forms import is_iterator

IN_RUNS = "__starfish_storage_in_runs__"
"""The method of what stands for a function and stores its calls itself: returns that function, and what runs call."""


class BoundFunction:
    """A user's function, which gets the fields of an input as `Binding` says.

    Attributes:
        name: ``"module:qualified.name"``.
        stored_name: the name by which another program finds it, as far as it has one.
        is_found_by_name: whether another program finds it by that.
        function: the function itself.
    """

    def __init__(self, function: Callable[..., Any], max_threads: int, *, context_type: type | None = None) -> None:
        """Inspect the function, without calling it.

        Args:
            function: coroutine function, plain function, (async) generator function, or a callable object.
            max_threads: how many calls of a plain function run at a time; abandoned ones do not count.
            context_type: the class of the context.

        Raises:
            InvalidInputError: it cannot be called.
        """
        if not callable(function):
            raise InvalidInputError(
                f"function must be callable, not an object of type {type(function).__name__}; pass the function itself."
            )
        self.name = function_name(function)
        self.stored_name = stored_name(function)
        self.is_found_by_name = is_found_by_name(self.stored_name) and is_what_it_names(function)
        in_runs = getattr(function, IN_RUNS, None)
        self.function, self._called = (function, function) if in_runs is None else in_runs()
        self._code: str | None = None
        self._is_async = _is_async(self._called)
        self._threads = Threads("starfish-storage-call")
        self._turn = asyncio.Semaphore(max_threads)
        self._binding = Binding(self.function, self.name, context_type)

    def check(self, run_config: dict[str, Any]) -> None:
        """Check that the function can be called with an input.

        Raises:
            InvalidInputError: it cannot: see `Binding.check`.
        """
        self._binding.check(run_config)

    async def call(self, run_config: dict[str, Any], context: object, yielded: list[Any]) -> Any:
        """Call the function with an input and return its result; for a generator, the list of what it yields.

        A plain function runs in a thread, with a copy of the caller's context variables. If the call is cancelled, the
        thread runs on to its end, and its result is dropped.

        Args:
            run_config: the input; the function gets a copy.
            context: for the parameter that asks for it.
            yielded: gets what a generator yields, also if an error follows.

        Raises:
            InvalidInputError: the input does not fit the function.
            RuntimeError: the function raised `StopIteration`, or a `CancelledError` though nobody cancelled it.
            Exception: what the function raised.
        """
        arguments, keywords = self._binding.arguments(run_config, context)
        call = functools.partial(self._called, *arguments, **keywords)
        try:
            result = call() if self._is_async else await self._in_thread(functools.partial(_plain_call, call, yielded))
            if inspect.isawaitable(result):
                result = await result
            if inspect.isasyncgen(result):
                async for item in result:
                    yielded.append(item)  # noqa: PERF401 (as in `_collected`)
                result = yielded
            elif is_iterator(result):
                result = await self._in_thread(functools.partial(_plain_call, lambda: result, yielded))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError(f"function {self.name} awaited something that was cancelled") from error
        except GeneratorExit as error:
            if not _is_in_task():
                raise  # Python closes the call, as at the end of an event loop
            raise RuntimeError(f"function {self.name} raised GeneratorExit") from error
        return result

    def code(self) -> str:
        """Return the identity of the function's code, `code_identity`; compute it only once, if at all."""
        if self._code is None:
            self._code = code_identity(self.function)
        return self._code

    def close(self) -> None:
        """Start no more calls in threads. Running calls go on, and nobody waits for them. Idempotent."""
        self._threads.close()

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        account = attempt_under_way.get()
        async with self._turn:  # released when the call is abandoned: one that hangs blocks no other
            return await self._threads.run(call, None if account is None else account.outlive)


def _plain_call(call: Callable[[], Any], yielded: list[Any]) -> Any:
    """Call a plain function in a thread; run a generator to its end."""
    try:
        result = call()
        return _collected(result, yielded) if is_iterator(result) else result
    except (StopIteration, GeneratorExit, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        # asyncio's futures refuse the first (the caller would wait forever), and mistake the others for the end of the
        # call.
        raise RuntimeError(f"the function raised {type(error).__name__}") from error


def _is_in_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def _collected(items: Any, yielded: list[Any]) -> list[Any]:
    for item in items:
        yielded.append(item)  # noqa: PERF402 (`extend` does not promise to keep what came before an error)
    return yielded


def _is_async(function: Any) -> bool:
    """Return whether a call only makes an awaitable, so that it needs no thread."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    calls = (function,) if isinstance(function, type) else (function, getattr(function, "__call__", None))  # noqa: B004 (its kind decides)
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in calls)
