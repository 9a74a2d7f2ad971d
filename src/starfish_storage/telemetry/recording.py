"""Tells OpenTelemetry what happens. The only module, with `instruments`, that imports it.

Every hook is guarded: whatever a provider or an exporter raises, the run goes on, and the first time is logged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any, ParamSpec

from opentelemetry import context as context_api
from opentelemetry import metrics, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from starfish_storage.runs import Finished, Usage
from starfish_storage.telemetry.conventions import (
    ATTEMPT,
    COST,
    ERROR,
    INPUT_TOKENS,
    JOB,
    MODEL,
    OPERATION,
    OUTPUT_TOKENS,
    RUN,
    STATUS,
    WORKER,
    call_attributes,
    model_attribute,
)
from starfish_storage.telemetry.instruments import Instruments
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.telemetry.silent import Observed, Telemetry
from starfish_storage.times import utc_now

logger = get_logger(__name__)

P = ParamSpec("P")
_OWN = "starfish_storage"
_OF_API = ("opentelemetry.trace", "opentelemetry.metrics")
_has_failed = False


def _guarded(hook: Callable[P, Any]) -> Callable[P, None]:
    """Let nothing out of a hook."""

    @wraps(hook)
    def call(*given: P.args, **named: P.kwargs) -> None:
        try:
            hook(*given, **named)
        except Exception as error:  # noqa: BLE001 (anybody's provider)
            _note_failure(error)

    return call


def _note_failure(error: Exception) -> None:
    global _has_failed  # noqa: PLW0603 (more would fill the log)
    if not _has_failed:
        _has_failed = True
        kind = type(error).__name__  # its text may have a key of the exporter
        logger.warning("OpenTelemetry could not be told something (%s); said once, and nothing waits for it", kind)


class _Recorded(Observed):
    """Something under way, with its span."""

    __slots__ = ("_began", "_error", "_instruments", "_span", "_status", "_used", "of_call")

    def __init__(self, span: Span, instruments: Instruments, of_call: Mapping[str, str] | None = None) -> None:
        self._span = span
        self._instruments = instruments
        self._began: float | None = time.monotonic()
        self._status: str | None = None
        self._error: str | None = None
        self.of_call = of_call

    def note(self, status: str, error: BaseException | None = None) -> None:
        """See `Observed.note`."""
        self._status = status
        self._error = None if error is None else type(error).__name__

    @_guarded
    def used(self, usage: Iterable[Usage]) -> None:
        """See `Observed.used`."""
        known = list(usage)
        if not known:
            return
        tokens = {
            INPUT_TOKENS: sum(one.input_tokens for one in known),
            OUTPUT_TOKENS: sum(one.output_tokens for one in known),
        }
        cost = sum(one.cost for one in known)
        model = next((one.model for one in known if one.model), None)
        self._span.set_attributes({**tokens, COST: cost, **model_attribute(model)})
        if self.of_call is not None:
            self._instruments.tokens(tokens, cost, {**model_attribute(model), **self.of_call})

    @_guarded
    def end(self, error: str | None = None) -> None:
        """See `Observed.end`."""
        began, self._began = self._began, None
        if began is None:
            return
        error = error or self._error
        if self.of_call is not None:
            self._instruments.call(time.monotonic() - began, {**self.of_call, **({ERROR: error} if error else {})})
        if self._status is not None:
            self._span.set_attribute(STATUS, self._status)
        if error is not None:
            self._span.set_attribute(ERROR, error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _Attempt(_Recorded):
    __slots__ = ()

    def end(self, error: str | None = None) -> None:
        """Also count it."""
        self._count()
        super().end(error)

    @_guarded
    def _count(self) -> None:
        if self._began is not None and self._status is not None:
            self._instruments.attempt(time.monotonic() - self._began, self._status, self._error)


class OpenTelemetry(Telemetry):
    """See `Telemetry`.

    An input begins a trace of its own, with a link to its run: a run of a million inputs would be one trace that no
    backend takes, and a sampler decides for whole traces.
    """

    is_on = True

    def __init__(self, tracer: Tracer, instruments: Instruments) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self.waited = _guarded(instruments.wait)
        self.paused = _guarded(instruments.pause)
        self.round_trip = _guarded(instruments.round_trip)
        self.corrected = _guarded(instruments.cost)

    def run(self, run_id: str, worker_id: str) -> AbstractContextManager[Observed]:
        """See `Telemetry.run`."""
        return self._under_way("run", {RUN: run_id, WORKER: worker_id})

    def input(self, run_id: str, job_id: str) -> AbstractContextManager[Observed]:
        """See `Telemetry.input`."""
        return self._under_way("input", {RUN: run_id, JOB: job_id}, is_root=True)

    def attempt(self, run_id: str, job_id: str, number: int) -> AbstractContextManager[Observed]:
        """See `Telemetry.attempt`."""
        return self._under_way("attempt", {RUN: run_id, JOB: job_id, ATTEMPT: number}, _Attempt)

    def request(self, name: str, model: str | None) -> Observed:
        """See `Telemetry.request`."""
        try:
            of_call = call_attributes(name, model)
            title = f"{of_call[OPERATION]} {of_call.get(MODEL, '')}".rstrip()
            span = self._tracer.start_span(title, kind=SpanKind.CLIENT, attributes=of_call)
            return _Recorded(span, self._instruments, of_call)
        except Exception as error:  # noqa: BLE001 (as in `_guarded`)
            _note_failure(error)
            return Observed()

    @_guarded
    def used(self, usage: Usage) -> None:
        """See `Telemetry.used`."""
        tokens = {INPUT_TOKENS: usage.input_tokens, OUTPUT_TOKENS: usage.output_tokens}
        self._instruments.tokens(tokens, usage.cost, model_attribute(usage.model))

    @_guarded
    def finished(self, finished: Finished) -> None:
        """See `Telemetry.finished`."""
        if finished.status is not None:  # else another worker has finished it
            self._instruments.input(finished.status, finished.statuses)
            span = trace.get_current_span()
            span.set_attribute(STATUS, finished.status)
            if finished.status == "failed":
                span.set_status(Status(StatusCode.ERROR))

    @_guarded
    def group(self, system: str, seconds: float, operations: int, failed: int) -> None:
        """See `Telemetry.group`."""
        self._instruments.group(system, seconds, operations, failed)
        ended = int(utc_now().timestamp() * 1e9)
        span = self._tracer.start_span(
            f"{_OWN}.commit",
            context=context_api.Context(),
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": system, "db.operation.batch.size": operations},
            start_time=ended - int(seconds * 1e9),
        )
        if failed:
            span.set_attribute(f"{_OWN}.failed_operations", failed)
        span.end(ended)

    @contextmanager
    def _under_way(
        self,
        name: str,
        attributes: Mapping[str, str | int],
        kind: type[_Recorded] = _Recorded,
        *,
        is_root: bool = False,
    ) -> Generator[Observed]:
        token, observed = None, Observed()
        try:
            parent = trace.get_current_span().get_span_context()
            links = [Link(parent)] if is_root and parent.is_valid else None
            context = context_api.Context() if is_root else None
            span = self._tracer.start_span(f"{_OWN}.{name}", context, attributes=attributes, links=links)
            observed = kind(span, self._instruments)
            token = context_api.attach(trace.set_span_in_context(span))
        except Exception as error:  # noqa: BLE001 (as in `_guarded`)
            _note_failure(error)
        failed: str | None = None
        try:
            yield observed
        except BaseException as error:
            failed = type(error).__name__
            raise
        finally:
            observed.end(failed)
            if token is not None:
                context_api.detach(token)  # it logs what it fails with


_made: tuple[object, object, OpenTelemetry] | None = None


def recorder() -> Telemetry | None:
    """Return what tells the providers that the program has set; None if it has set none, or they do not work."""
    global _made  # noqa: PLW0603 (instruments are made once for a provider)
    try:
        tracers, meters = trace.get_tracer_provider(), metrics.get_meter_provider()
        if all(type(one).__module__.startswith(_OF_API) for one in (tracers, meters)):
            return None  # they are the API's own, which do nothing
        if _made is None or _made[0] is not tracers or _made[1] is not meters:
            release: str = sys.modules[_OWN].__version__  # an import of it would go up
            instruments = Instruments(meters.get_meter(_OWN, release))
            _made = tracers, meters, OpenTelemetry(tracers.get_tracer(_OWN, release), instruments)
    except Exception as error:  # noqa: BLE001 (as in `_guarded`)
        _note_failure(error)
        return None
    return _made[2]
