"""A marker that stands for content and secrets, and everything in which it could show."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
import warnings
from collections.abc import Awaitable, Callable

from starfish_storage.errors import StorageError

MARK = "qzLEAKqz"


class Listener(logging.Handler):
    """Keeps every line that any logger writes, as a file would show it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def shown(error: BaseException) -> str:
    """Return all that an error shows of itself and of those it came from."""
    parts: list[str] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is not None:
            parts += [str(one), repr(one), *getattr(one, "__notes__", ())]
            pending += [one.__cause__, one.__context__]
    # The lines of this file that a traceback quotes say MARK and not what it is.
    return "\n".join([*parts, *traceback.format_exception(error)])


def assert_shows_nothing(error: BaseException) -> None:
    assert MARK not in shown(error)
    if isinstance(error, StorageError):
        assert MARK not in shown(pickle.loads(pickle.dumps(error)))


def drive(listener: Listener, run: Callable[[], Awaitable[None]]) -> list[str]:
    """Run something in an event loop in debug mode that logs every callback, and return the log and the warnings."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0
        await run()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main(), debug=True)
    said = [*listener.lines, *(str(warning.message) for warning in caught)]
    assert any("Executing <Handle" in line for line in said), "the loop's own log is listened to"
    assert [line for line in said if MARK in line] == []
    return said
