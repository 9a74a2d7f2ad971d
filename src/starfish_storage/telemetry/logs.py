"""Loggers whose records say what they are about, for programs that format records themselves.

Each record of this library has the attributes ``event``, a word, and ``run`` and ``worker``, ids or None. So a format
may name them, and a formatter of JSON that takes all attributes shows them.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_about: ContextVar[tuple[str | None, str | None]] = ContextVar("about", default=(None, None))


class AboutLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds to each record what it is about, unless it is given with the record."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """See `logging.LoggerAdapter.process`."""
        run, worker = _about.get()
        kwargs["extra"] = {"event": "log", "run": run, "worker": worker, **(kwargs.get("extra") or {})}
        return msg, kwargs


def get_logger(name: str) -> AboutLogger:
    """Return the logger of a module.

    >>> logger = get_logger("starfish_storage.generation.gate")
    >>> with about("run-1", "worker-1"):
    ...     logger.process("calls are paused", {})
    ('calls are paused', {'extra': {'event': 'log', 'run': 'run-1', 'worker': 'worker-1'}})
    """
    return AboutLogger(logging.getLogger(name), None)


@contextmanager
def about(run: str | None, worker: str | None = None) -> Generator[None]:
    """Say which run and worker it is about what is logged from here on, also by tasks and threads that begin here."""
    token = _about.set((run, worker))
    try:
        yield
    finally:
        _about.reset(token)


def what_about() -> tuple[str | None, str | None]:
    """Return the run and the worker that it is about now."""
    return _about.get()
