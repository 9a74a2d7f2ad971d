"""Threads that nobody needs to wait for: nothing can stop a plain function, so a run abandons it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """Runs each call in an idle thread, or in a new one.

    Not a `ThreadPoolExecutor`: the interpreter waits at its exit for the threads of one, so a call that hangs would
    keep a program from ending; and abandoned calls would use up its threads, so that later ones would never begin. The
    caller limits how many run at a time.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0
        self._closed = False

    async def run(self, call: Callable[[], Any], outlive: Callable[[bool], object] | None = None) -> Any:
        """Make a call with a copy of the caller's context variables, and return its result.

        If this is cancelled, the call goes on and its result is dropped.

        Args:
            call: what to call.
            outlive: called with True if this is cancelled and the call goes on, and with False when that has ended. In
                the event loop's thread.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(call)
            except BaseException as raised:  # noqa: BLE001 (handed to who waits)
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error, outlive)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any longer

        with self._lock:
            if self._closed:
                raise RuntimeError("these threads are closed and take no more calls")
            if self._idle:
                self._idle -= 1
            else:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._work.put(work)
        try:
            return await future
        except asyncio.CancelledError:
            if outlive is not None and future.cancelled():  # else it has just ended
                outlive(True)  # noqa: FBT003
            raise

    def close(self) -> None:
        """End the idle threads now, and the others when their calls have ended. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in range(self._threads):
                    self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # else the objects that it holds would live until the next call
            with self._lock:
                self._idle += 1


class Handoff:
    """Lets a coroutine of the event loop make calls in a thread that waits for the coroutine.

    So the coroutine decides, and stores what comes of it, also when nobody waits for the thread any longer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()

    async def call(self, call: Callable[[], Any]) -> Any:
        """Make a call in the thread, and return its result."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._work.put((call, future))
        return await future

    def serve(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the event loop, make its calls here, and return its result. Called in the thread.

        Raises:
            RuntimeError: the loop is closed.
            Exception: any error of the coroutine.
        """
        try:
            running = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        running.add_done_callback(lambda _: self._work.put(None))
        while (wanted := self._work.get()) is not None:
            call, future = wanted
            result, error = None, None
            try:
                result = call()
            except (StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError) as raised:
                # A future refuses the first, and takes the others for its own.
                error = RuntimeError(f"the call raised {type(raised).__name__}")
                error.__cause__ = raised
            except Exception as raised:  # noqa: BLE001 (handed to who waits)
                error = raised
            except BaseException:
                # It ends this thread, and must not end the event loop.
                self._loop.call_soon_threadsafe(_settle, future, None, RuntimeError("the call ended its thread"))
                raise
            self._loop.call_soon_threadsafe(_settle, future, result, error)
        return running.result()


def _settle(
    future: asyncio.Future[Any],
    result: object,
    error: BaseException | None,
    outlived: Callable[[bool], object] | None = None,
) -> None:
    if future.done():  # cancelled: the caller has stopped waiting
        if outlived is not None:
            outlived(False)  # noqa: FBT003
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end, however often the caller is cancelled meanwhile; raise the cancellation afterwards.

    Not `asyncio.shield`: the work that it protects goes on alone once the caller is cancelled, and meets a storage that
    the caller has closed by then. So the work must be short.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile.
        Exception: any error of the work.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and task.exception() is not None:
            raise cancelled from task.exception()
        raise cancelled
    return task.result()
