"""Ctrl-C and SIGTERM while a run is under way: the first asks it to stop, the second makes it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Interruption:
    """Which signal came, if one did.

    Attributes:
        signal: the first.
    """

    signal: int | None = None

    def raise_if_any(self) -> None:
        """End the program as the signal would have, now that everything is stored.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            SystemExit: after SIGTERM, with the status that a shell expects.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextlib.contextmanager
def watched(on_first: Callable[[], None], on_second: Callable[[], None]) -> Generator[Interruption]:
    """Call ``on_first`` at the first signal and ``on_second`` at each further one, in the event loop's thread.

    Only the main thread gets signals; in another one nothing is watched.
    """
    seen = Interruption()
    loop = asyncio.get_running_loop()

    def came(number: int) -> None:
        if seen.signal is None:
            seen.signal = number
            on_first()
        else:
            on_second()

    before: dict[int, object] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is signal.SIG_IGN:
                continue  # somebody, such as nohup, wants it to go on
            try:
                loop.add_signal_handler(number, came, number)
            except (NotImplementedError, RuntimeError, ValueError):
                continue  # a loop that cannot
            before[number] = handler
    try:
        yield seen
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)  # pyright: ignore[reportArgumentType] (what getsignal returned)


@contextlib.contextmanager
def ignored(_on_first: Callable[[], None], _on_second: Callable[[], None]) -> Generator[Interruption]:
    """Leave signals to the caller."""
    yield Interruption()
