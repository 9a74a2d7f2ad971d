"""The metrics that are told to OpenTelemetry. Each label has few values: no id is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.metrics import Counter, Histogram, Meter

from starfish_storage.telemetry.conventions import (
    ERROR,
    INPUT_TOKENS,
    MODEL,
    OPERATION,
    OTHER,
    OUTPUT_TOKENS,
    PROVIDER,
    REASON,
    STATUS,
    TOKEN_TYPE,
    model_attribute,
)

# As the conventions ask for.
_TOKENS = tuple(float(4**power) for power in range(14))
_CALL_SECONDS = tuple(0.01 * 2**power for power in range(14))
_STORE_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_WAIT_SECONDS = (0.01, 0.1, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
_OPERATIONS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

_OF_CALLS = (OPERATION, PROVIDER, MODEL)
_UNKNOWN_CALL = {OPERATION: OTHER, PROVIDER: OTHER}


class Instruments:
    """The metrics.

    Args:
        meter: makes them.
    """

    def __init__(self, meter: Meter) -> None:
        def counter(name: str, unit: str, text: str) -> Counter:
            return meter.create_counter(name, unit, text)

        def histogram(name: str, unit: str, text: str, borders: Sequence[float]) -> Histogram:
            return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=borders)

        own = "starfish_storage"
        self._tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens of calls of models.", _TOKENS)
        self._calls = histogram("gen_ai.client.operation.duration", "s", "Calls of models.", _CALL_SECONDS)
        self._cost = counter(f"{own}.cost", "{cost}", "What calls have cost, in the currency that is reported.")
        self._attempts = histogram(f"{own}.attempt.duration", "s", "Attempts at inputs.", _CALL_SECONDS)
        self._inputs = counter(f"{own}.inputs", "{input}", "Inputs whose outcome was stored.")
        self._records = counter(f"{own}.records", "{record}", "Records that were stored with them.")
        self._waits = histogram(f"{own}.wait.duration", "s", "Waits for a turn or for the store.", _WAIT_SECONDS)
        self._pauses = histogram(f"{own}.pause.duration", "s", "Pauses that providers ask for.", _WAIT_SECONDS)
        self._groups = histogram("db.client.operation.duration", "s", "Commits of groups.", _STORE_SECONDS)
        self._sizes = histogram(f"{own}.group.operations", "{operation}", "Operations of a group.", _OPERATIONS)
        self._round_trips = counter(f"{own}.round_trips", "{round_trip}", "Requests to servers of the store.")

    def call(self, seconds: float, attributes: Mapping[str, str]) -> None:
        """A model was asked."""
        self._calls.record(seconds, attributes)

    def tokens(self, used: Mapping[str, int], cost: float, of_call: Mapping[str, str]) -> None:
        """A call used tokens, by `INPUT_TOKENS` and `OUTPUT_TOKENS`, and cost something."""
        labels = {name: of_call[name] for name in _OF_CALLS if name in of_call}
        for name, kind in ((INPUT_TOKENS, "input"), (OUTPUT_TOKENS, "output")):
            if used.get(name):
                self._tokens.record(used[name], {**_UNKNOWN_CALL, **labels, TOKEN_TYPE: kind})
        self.cost(cost, labels.get(MODEL))

    def cost(self, cost: float, model: str | None = None) -> None:
        """Something has cost so much more; less is not told, because a counter only grows."""
        if cost > 0:
            self._cost.add(cost, model_attribute(model))

    def attempt(self, seconds: float, status: str, error: str | None) -> None:
        """An attempt has ended."""
        self._attempts.record(seconds, _with_error({STATUS: status}, error))

    def input(self, status: str, records: Sequence[str]) -> None:
        """The outcome of an input was stored, with records of these statuses."""
        self._inputs.add(1, {STATUS: status})
        for one in records:
            self._records.add(1, {STATUS: one})

    def wait(self, seconds: float, reason: str) -> None:
        """Something has waited."""
        self._waits.record(seconds, {REASON: reason})

    def pause(self, seconds: float) -> None:
        """Calls are paused."""
        self._pauses.record(seconds)

    def group(self, system: str, seconds: float, operations: int, failed: int) -> None:
        """A group was committed."""
        labels = {"db.system.name": system, "db.operation.name": "commit"}
        self._groups.record(seconds, _with_error(labels, OTHER if failed == operations else None))
        self._sizes.record(operations, {"db.system.name": system})

    def round_trip(self, server: str) -> None:
        """A server was asked."""
        self._round_trips.add(1, {"starfish_storage.server": server})


def _with_error(labels: dict[str, str], error: str | None) -> dict[str, str]:
    return labels if error is None else {**labels, ERROR: error}
