"""Lets the threads that a function starts belong to its attempt, as its tasks do.

Before Python 3.14 a thread begins with no context variables, and those of a pool never have those of who submits to
it. As OpenTelemetry's ThreadingInstrumentor does, this wraps the two methods by which threads get work; of the context,
only the attempt goes along, and where there is none, nothing is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, wraps
from typing import Any

from starfish_storage.generation.account import AttemptAccount, attempt_under_way

_wrapping = threading.Lock()
_is_wrapped = False
# Their threads work for whoever gives them work, not for who was the first to.
_POOLS = frozenset({"concurrent.futures.thread", "starfish_storage.generation.threads"})


def follow_threads() -> None:
    """Wrap ``Thread.start`` and ``ThreadPoolExecutor.submit``. Idempotent."""
    global _is_wrapped  # noqa: PLW0603 (so are the methods that this wraps)
    with _wrapping:
        if not _is_wrapped:
            for kind, name, wrapper in (
                (threading.Thread, "start", _started),
                (ThreadPoolExecutor, "submit", _submitted),
            ):
                setattr(kind, name, wrapper(getattr(kind, name)))
            _is_wrapped = True


def _started(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @wraps(start)
    def started(self: threading.Thread) -> None:
        account = attempt_under_way.get()
        target = getattr(self, "_target", None)
        if account is not None and getattr(target, "__module__", None) not in _POOLS:
            self.run = partial(_within, account, self.run)
        start(self)

    return started


def _submitted(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(submit)
    def submitted(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        account = attempt_under_way.get()
        return submit(self, fn if account is None else partial(_within, account, fn), *args, **kwargs)

    return submitted


def _within(account: AttemptAccount, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = attempt_under_way.set(account)
    try:
        return work(*args, **kwargs)
    finally:
        attempt_under_way.reset(token)
