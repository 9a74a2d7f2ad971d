"""The portal: one thread with an event loop, in which asynchronous calls run for code that has none.

A process has at most one. It starts with the first call, serves any number of threads at a time, and ends with the
interpreter, after the objects that it was asked to close. A fork of the process starts its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import importlib
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar

from starfish_storage.errors import StorageError, StorageStateError
from starfish_storage.files.processes import in_forked_children

Result = TypeVar("Result")

_MOST_AHEAD, _SECONDS_AHEAD = 100, 0.001
"""How much of an asynchronous iterator is fetched in one call: a call costs as much as ten records."""
_LAST_SECONDS = 10.0  # for closing stores at the end of the interpreter: a server may be away


class Closable(Protocol):
    """What is closed at the end of the interpreter."""

    async def close(self) -> None:
        """Close it."""


def call(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in the portal's event loop, wait for its end, and return what it returns.

    It runs in a copy of the caller's context. What it raises is raised here, with its own traceback. Ctrl-C cancels
    it, and is raised once it has ended; a second Ctrl-C does not wait for that.

    Raises:
        StorageStateError: this is the portal's own thread, where waiting would never end; or the interpreter ends.
    """
    try:
        portal = _running()
        portal.refuse_in_its_thread()
    except StorageError:
        work.close()  # or Python would warn that nobody has awaited it
        raise
    return _PortalCall(work, portal).result()


async def awaited(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in the portal's event loop, and await it in whichever loop this is. Cancelling this cancels it.

    Raises:
        StorageStateError: the interpreter ends.
    """
    if is_in_portal():
        return await work
    try:
        portal = _running()
    except StorageError:
        work.close()
        raise
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, portal.loop))


def iterate(found: AsyncIterator[Result]) -> Generator[Result]:
    """Yield what an asynchronous iterator yields. When this one is closed or abandoned, so is that one."""
    try:
        is_over = False
        while not is_over:
            ahead, is_over, error = call(_fetched(found))
            yield from ahead
            if error is not None:
                raise error
    finally:
        _close(found)


@contextmanager
def entered(manager: AbstractAsyncContextManager[Result]) -> Generator[Result]:
    """Enter an asynchronous context manager, and leave it."""
    value = call(manager.__aenter__())
    try:
        yield value
    except BaseException as error:
        if not call(manager.__aexit__(type(error), error, error.__traceback__)):
            raise
    else:
        call(manager.__aexit__(None, None, None))


def close_at_exit(opened: Closable) -> None:
    """Let the portal close something before the interpreter ends, unless nobody has it any more."""
    _running().closing.add(opened)


def is_in_portal() -> bool:
    """Return whether this is the portal's own thread, which must not wait for the portal."""
    return _portals.current is not None and _portals.current.is_here()


class _PortalCall(Generic[Result]):
    """A coroutine on its way through the portal."""

    __slots__ = ("_done", "_error", "_is_of_daemon", "_portal", "_result", "_task", "_work", "context", "is_awaited")

    def __init__(self, work: Coroutine[Any, Any, Result], portal: _Portal) -> None:
        self.context = contextvars.copy_context()
        self._is_of_daemon = threading.current_thread().daemon
        self.is_awaited = not self._is_of_daemon
        self._work = work
        self._portal = portal
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._result: Any = None
        self._done = threading.Lock()
        self._done.acquire()

    def result(self) -> Result:
        """Let it run, and return its result."""
        try:
            self._portal.run_soon(self._begin)
            self._done.acquire()
        except StorageError:
            self._work.close()  # or Python would warn that nobody has awaited it
            raise
        except BaseException:  # Ctrl-C, or what another handler of a signal raises
            self.is_awaited = False
            self._portal.run_soon(self._cancel)
            self._done.acquire()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback has this frame, and this frame has it
        return self._result

    def _begin(self) -> None:
        if self._portal.is_ending:
            self._work.close()
            self._error = _ended()
            self._done.release()
            return
        self._task = self._portal.loop.create_task(self._carried_out(), context=self.context)
        self._portal.calls[self._task] = self

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            # Once it has begun: a task that is cancelled before runs nothing, and would not release the lock.
            self._portal.loop.call_soon(self._task.cancel)
            return
        self._work.close()
        if self._done.locked():  # the interruption came before it was handed over, or when it had just ended
            self._done.release()

    async def _carried_out(self) -> None:
        try:
            self._result = await self._work
        except BaseException as error:  # noqa: BLE001 (also what would end the loop: `generate` raises Ctrl-C itself)
            self._error = error
        finally:
            if self._task is not None:
                del self._portal.calls[self._task]
            # A daemon thread would show that it was cancelled.
            if not (self._is_of_daemon and self._portal.is_ending):
                self._done.release()


class _Portal:
    """A running event loop and its thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.calls: dict[asyncio.Task[None], _PortalCall[Any]] = {}
        self.closing: weakref.WeakSet[Closable] = weakref.WeakSet()
        self.is_ending = False
        self._is_over = False
        self._posting = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="starfish-storage-portal", daemon=True)
        self._thread.start()

    def is_here(self) -> bool:
        return self._thread.ident == threading.get_ident()

    def refuse_in_its_thread(self) -> None:
        if self.is_here():
            raise StorageStateError(
                "the synchronous face was called inside a coroutine of its own event loop, and would wait for itself. "
                "Await the asynchronous method instead: of a store, 'await store.asynchronous.get_project(...)'; or "
                "let the function be a plain one, which runs in a thread."
            )

    def run_soon(self, callback: Callable[[], object]) -> None:
        with self._posting:
            if self._is_over:
                raise _ended()
            self.loop.call_soon_threadsafe(callback)

    def end(self) -> None:
        """Wait for calls that the interpreter waits for, close what is open, and stop the loop."""
        try:
            _PortalCall(self._last(), self).result()
        finally:
            with self._posting:  # whatever was posted before runs before the loop stops
                self._is_over = True
                self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(_LAST_SECONDS)

    async def _last(self) -> None:
        me = asyncio.current_task()
        while tasks := [task for task, one in self.calls.items() if task is not me and one.is_awaited]:
            await asyncio.wait(tasks)
        self.is_ending = True
        others = [task for task in asyncio.all_tasks() if task is not me]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=_LAST_SECONDS)
        closing = [asyncio.create_task(one.close()) for one in self.closing]
        if closing:
            await asyncio.wait(closing, timeout=_LAST_SECONDS)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_over:
            try:
                self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                pass  # a task raised it, and whoever awaits that task gets it; the others go on
        self.loop.close()


class _Portals:
    """The portal of this process, if it has been used."""

    def __init__(self) -> None:
        self.current: _Portal | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self._of_parents: list[_Portal | None] = []
        in_forked_children(self._forget)

    def running(self) -> _Portal:
        with self._lock:
            if self._is_over:
                raise _ended()
            if self.current is None:
                _at_exit(self._end)
                self.current = _Portal()
            return self.current

    def _forget(self) -> None:
        # The loop of the parent is kept as it is: closing it would take the parent's descriptors out of its selector.
        self._of_parents.append(self.current)
        self.current = None
        self._lock = threading.Lock()

    def _end(self) -> None:
        with self._lock:
            portal, self.current, self._is_over = self.current, None, True
        if portal is not None:
            portal.end()


_portals = _Portals()


def _running() -> _Portal:
    return _portals.current or _portals.running()


def _at_exit(end: Callable[[], None]) -> None:
    """Register what is called at the end of the interpreter, while threads still take work.

    `atexit` is later than that: `concurrent.futures`, in whose threads stores are read, has ended then. It hooks in
    like this itself.
    """
    importlib.import_module("concurrent.futures.thread")  # registered before this, it ends after it
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    try:
        register(end)
    except RuntimeError as error:
        raise _ended() from error


def _ended() -> StorageStateError:
    return StorageStateError(
        "the interpreter is ending, so the synchronous face takes no more calls. Let the main thread wait for the "
        "threads that use a store."
    )


async def _fetched(found: AsyncIterator[Result]) -> tuple[list[Result], bool, Exception | None]:
    """Return some values, whether they are the last ones, and what was raised behind them."""
    values: list[Result] = []
    until = time.monotonic() + _SECONDS_AHEAD
    try:
        async for value in found:
            values.append(value)
            if len(values) == _MOST_AHEAD or time.monotonic() >= until:
                return values, False, None
    except Exception as error:  # noqa: BLE001 (any; it is raised behind the values that came before it)
        return values, True, error
    return values, True, None


def _close(found: AsyncIterator[Any]) -> None:
    close = getattr(found, "aclose", None)
    if close is None or _portals.current is None or is_in_portal():
        return  # nothing to close, or the loop closes it as soon as nobody has it any more
    call(close())
