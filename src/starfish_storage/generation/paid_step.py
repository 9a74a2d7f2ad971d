"""What a function awaits for a paid step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Made = Callable[[], Any] | Coroutine[Any, Any, Any]
"""What makes a step: a function without parameters, or a coroutine."""


class PaidStep(Coroutine[Any, Any, Any]):
    """What ``context.once`` returns: awaited once, like a coroutine, or given to ``create_task``.

    Not the coroutine of the work itself: Python warns of one that nobody awaits, and a coroutine that was given would
    never be closed. A step that nobody awaits pays nothing.
    """

    __slots__ = ("_given", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], given: Made) -> None:
        self._work = work
        self._given = given

    def send(self, value: Any) -> Any:
        """Go on with the work."""
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in the work."""
        return self._work.throw(*error)

    def close(self) -> None:
        """End the work."""
        self._work.close()
        if inspect.iscoroutine(self._given):
            self._given.close()  # not needed, or finished

    def __await__(self) -> Generator[Any, None, Any]:
        return (yield from self._work.__await__())  # not just returned: nobody else holds this object meanwhile

    def __del__(self) -> None:
        self.close()
