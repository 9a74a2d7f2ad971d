"""Ctrl-C and SIGTERM during a run: the first asks it to stop, the second forces it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from starfish_storage.generation.notebooks import is_notebook

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IN_PLACE = 3
"""Which Ctrl-C ends a program at once: its event loop is blocked and has not dealt with the two before."""


@dataclass(slots=True, eq=False)
class Interruption:
    """The signal that came, if one did.

    Attributes:
        on_first: called in the event loop at the first signal, with a text that says how to cancel the calls in flight.
        on_second: called in the event loop at each further signal.
        signal: the number of the first signal; None before it.
    """

    on_first: Callable[[str], None]
    on_second: Callable[[], None]
    signal: int | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def raise_if_any(self) -> None:
        """End the program as the signal would have, after everything is stored.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            SystemExit: after SIGTERM, with the status that a shell expects.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)

    def came(self, number: int) -> None:
        """Pass a signal to the event loop and wake it."""
        try:
            self._loop.call_soon_threadsafe(self._deal_with, number)
        except RuntimeError:
            pass  # the loop is closed: there is nothing to interrupt

    def _deal_with(self, number: int) -> None:
        if self.signal is None:
            self.signal = number
            by_keys = "interrupt the kernel again" if is_notebook() else "press Ctrl-C again"
            self.on_first(by_keys if number == signal.SIGINT else "send the signal again")
        else:
            self.on_second()


class _Handlers:
    """The signal handlers of this process, installed while at least one run watches.

    They are Python's, not those of `asyncio.loop.add_signal_handler`: these restore the earlier handler, whoever
    installed it, and work with every event loop. The runs of a process share them, in whatever order they begin and
    end.
    """

    def __init__(self) -> None:
        self.watching: list[Interruption] = []
        self._installed = 0
        self._before: dict[int, Any] = {}
        self._received = 0

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        """Receive signals; in the main thread only."""
        if not self._installed:
            self._received = 0
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                # Ignored, as by nohup: the program is to go on. None: not Python's, so it cannot be restored.
                if handler is not signal.SIG_IGN and handler is not None:
                    signal.signal(number, self._came)
                    self._before[number] = handler
        self._installed += 1
        try:
            yield
        finally:
            self._installed -= 1
            if not self._installed:
                self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._came:  # otherwise somebody has replaced it meanwhile
                signal.signal(number, handler)
        self._before.clear()

    def _came(self, number: int, frame: object) -> None:
        watching = tuple(self.watching)
        if not watching:
            self._as_before(number, frame)
            return
        self._received += 1
        for interruption in watching:
            interruption.came(number)
        if self._received >= _IN_PLACE and number == signal.SIGINT:
            raise KeyboardInterrupt

    def _as_before(self, number: int, frame: object) -> None:
        """Do what the signal did before: a run that is to watch has not begun yet, or is over."""
        handler = self._before.get(number)
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


_handlers = _Handlers()
_relayed: ContextVar[bool] = ContextVar("starfish_storage_relayed_signals", default=False)


@contextlib.contextmanager
def relayed() -> Generator[None]:
    """Let a run that another thread carries out, while this one waits for it, see the signals that come meanwhile.

    Only the main thread gets signals; in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    token = _relayed.set(True)
    try:
        with _handlers.installed():
            yield
    finally:
        _relayed.reset(token)


@contextlib.contextmanager
def watched(on_first: Callable[[str], None], on_second: Callable[[], None]) -> Generator[Interruption]:
    """Call ``on_first`` at the first signal and ``on_second`` at each further one, in the event loop's thread.

    In a thread other than the main one, and for which that one does not wait in `relayed`, this watches nothing.
    """
    seen = Interruption(on_first, on_second)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main and not _relayed.get():
        yield seen
        return
    with _handlers.installed() if is_main else contextlib.nullcontext():
        _handlers.watching.append(seen)
        try:
            yield seen
        finally:
            _handlers.watching.remove(seen)


@contextlib.contextmanager
def ignored(on_first: Callable[[str], None], on_second: Callable[[], None]) -> Generator[Interruption]:
    """Leave signals to the caller."""
    yield Interruption(on_first, on_second)
