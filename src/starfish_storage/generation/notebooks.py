"""What a run shows in a notebook: a live line below the cell, and a bar where ipywidgets is installed.

Nothing is imported for that: in a notebook, IPython is there already.
"""

from __future__ import annotations

import contextvars
import html
import importlib
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_SECONDS_BETWEEN_UPDATES = 0.2


class HasCounts(Protocol):
    """The progress of a run, of which this needs no more."""

    @property
    def done(self) -> int:
        """How many inputs have ended."""
        ...

    @property
    def total(self) -> int | None:
        """How many there are, if that is known."""
        ...


def is_notebook() -> bool:
    """Return whether this program is a kernel, whose output people see in cells. A terminal of IPython is none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else getattr(ipython, "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookReporter:
    """Shows progress in the cell that runs. See `starfish_storage.generation.progress.Reporter`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0.0
        self._line: Any = None
        self._bar: Any = None
        self._cell: contextvars.Context | None = None

    def begin(self, progress: HasCounts) -> None:
        """See `Reporter.begin`."""
        self._cell = contextvars.copy_context()
        self._guarded(lambda: self._begin(progress))

    def update(self, progress: HasCounts) -> None:
        """See `Reporter.update`."""
        if self._line is not None and self._clock() - self._last >= _SECONDS_BETWEEN_UPDATES:
            self._guarded(lambda: self._draw(progress))

    def note(self, text: str) -> bool:
        """See `Reporter.note`. The text stands below the line."""
        self._guarded(lambda: _display(_line_of(text)))
        return True

    def end(self, progress: HasCounts) -> None:
        """See `Reporter.end`. The bar goes, and the line stays in the notebook."""
        if self._line is None:
            return
        self._guarded(lambda: self._draw(progress))
        self._line = None
        if self._bar is not None:
            self._guarded(self._bar.close)

    def _begin(self, progress: HasCounts) -> None:
        if find_spec("ipywidgets") is not None:
            widgets: Any = importlib.import_module("ipywidgets")
            self._bar = widgets.IntProgress(min=0, max=1)
            _display(self._bar, raw=False)
        self._line = _display(_line_of(str(progress)), display_id=True)
        self._draw(progress)

    def _draw(self, progress: HasCounts) -> None:
        self._last = self._clock()
        if self._bar is not None:
            self._bar.max, self._bar.value = progress.total or max(progress.done, 1), progress.done
        self._line.update(_line_of(str(progress)), raw=True)

    def _guarded(self, action: Callable[[], object]) -> None:
        # A signal, or another thread, tells things in a context of its own, which belongs to no cell.
        try:
            (self._cell or contextvars.copy_context()).copy().run(action)
        except Exception as error:  # noqa: BLE001 (a notebook that shows nothing must not end a run)
            logger.debug("could not show the progress: %s", type(error).__name__)


def _line_of(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}


def _display(what: object, **how: Any) -> Any:
    shown_by: Any = importlib.import_module("IPython.display")  # which a kernel has
    return shown_by.display(what, **{"raw": True, **how})
