"""What is told to OpenTelemetry: traces and metrics, by its API alone, where a program has set a provider.

`current` is called wherever something is worth telling. What it returns tells nobody, at the cost of an empty call,
unless `look` has seen a provider: OpenTelemetry is not even imported before somebody else has.
"""

from __future__ import annotations

import os
import sys

from starfish_storage.telemetry.silent import Observed, Telemetry

_API = ("opentelemetry.trace", "opentelemetry.metrics")
_VARIABLES = ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER")  # by which the API finds a provider itself
_SILENT = Telemetry()
_current = _SILENT


def current() -> Telemetry:
    """Return what is told of what happens now."""
    return _current


def look() -> Telemetry:
    """See whether the program has set a provider, and return what is told from now on. Cheap, and never raises."""
    global _current  # noqa: PLW0603 (one for the process, like the providers)
    found: Telemetry | None = None
    if any(name in sys.modules for name in _API) or any(name in os.environ for name in _VARIABLES):
        try:
            from starfish_storage.telemetry.recording import recorder
        except ImportError:  # a part of it is missing
            pass
        else:
            found = recorder()
    _current = found or _SILENT
    return _current


__all__ = ["Observed", "Telemetry", "current", "look"]
