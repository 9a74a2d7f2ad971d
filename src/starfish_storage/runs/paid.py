"""What was tried and paid for an input: attempts, replies to paid steps, and what they used. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.runs.calls import CallCounts, StepSource

StatusAttempt = Literal["completed", "failed", "cancelled", "interrupted", "superseded"]
"""``completed``: the function returned. ``failed``: it raised, ran out of time, or its output cannot be stored.
``cancelled``: the run stopped meanwhile. ``interrupted``: its worker died, or what it returned waits for the store.
``superseded``: others took its worker for dead, and another worker has the input."""

WAITS_FOR_STORE = "WaitsForStore"
"""The ``error_type`` of an ``interrupted`` attempt that has ended, and whose data the store has not taken yet."""


StatusStep = Literal["kept", "rejected", "forgotten"]
"""``kept``: a later attempt is given it. ``rejected``: a check refused it, or the attempt that had it failed.
``forgotten``: somebody asked for another one. None is ever removed."""

MOST_USED = 10**12
"""The most tokens, and the highest cost, of one call: more is a mistake, and a column must hold the totals of a run."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call of a model used.

    Attributes:
        model: its name, if reported.
        input_tokens: tokens sent.
        output_tokens: tokens received.
        cost: its price, in the currency that the caller chose.
        counts: what else it reported, such as ``cached_tokens``, ``cache_write_tokens`` and ``reasoning_tokens``:
            numbers by name.
    """

    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    counts: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def checked(self) -> Self:
        """Return the usage itself if it can be added to the totals.

        Raises:
            InvalidInputError: a number is negative or not a number, or the model is not text.
        """
        model, cost = cast("tuple[object, object]", (self.model, self.cost))  # whatever is declared
        if model is not None and not isinstance(model, str):
            raise InvalidInputError(f"model must be a string, not {type(model).__name__}.")
        tokens = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        for name, value in cast("dict[str, object]", tokens).items():
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_USED:
                raise InvalidInputError(f"{name} must be an integer of 0 or more, not {value!r}.")
        if not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 <= cost <= MOST_USED:
            raise InvalidInputError(f"cost must be a number of 0 or more, not {cost!r}.")
        for name, value in cast("dict[object, object]", self.counts).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not isinstance(name, str) or not is_number or not abs(cast("float", value)) <= MOST_USED:
                raise InvalidInputError(f"counts must be numbers by name, not {value!r}.")
        return self


@dataclass(frozen=True, slots=True)
class Conversion:
    """Values in the outputs of an attempt that were converted so that they could be stored.

    Attributes:
        kind: what was converted into what, in a stable word or two, such as ``"nan"``.
        count: how many values.
        paths: where they stand in the outputs, of up to 20.
    """

    kind: str
    count: int
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of the function for one input.

    Attributes:
        job_id: the execution job of the input.
        master_job_id: the run.
        number: 1 for the first attempt at this input, counted over all resumes.
        worker_id: the worker that made it.
        status: how it ended.
        start_time: when it began (UTC).
        end_time: when it ended (UTC); if it was interrupted, when somebody noticed that.
        error_type: class of the exception, such as ``"RateLimitError"``.
        error_message: its text.
        error_traceback: where it was raised.
        usage: what its model calls used.
        conversions: what had to be converted in its outputs.
        segment: number of the run's segment in which it was made; None if that is not known.
        calls: how its requests through a recording client were answered; None if it made none.
    """

    job_id: str
    master_job_id: str
    number: int
    worker_id: str | None
    status: StatusAttempt
    start_time: datetime
    end_time: datetime
    error_type: str | None = None
    error_message: str | None = None
    error_traceback: str | None = None
    usage: tuple[Usage, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    segment: int | None = None
    calls: CallCounts | None = None

    @property
    def input_tokens(self) -> int:
        """Tokens sent, over all its calls."""
        return sum(one.input_tokens for one in self.usage)

    @property
    def output_tokens(self) -> int:
        """Tokens received, over all its calls."""
        return sum(one.output_tokens for one in self.usage)

    @property
    def cost(self) -> float:
        """What all its calls cost."""
        return sum(one.cost for one in self.usage)


@dataclass(frozen=True, slots=True)
class Step:
    """A stored reply to a paid step of an input.

    Attributes:
        job_id: the execution job of the input.
        name: the name of the step.
        result: a JSON object that holds it under ``"result"``.
        attempt: the number of the attempt that paid for it.
        saved_when: when it was stored (UTC).
        usage: what its model calls used.
        call: which call of that name within an attempt, from 1.
        reply: which reply to that call, from 1, over all attempts; the store numbers them.
        status: whether a later attempt is given it.
        reason: why not.
        rejected_by: identity of the function's code whose attempt rejected it.
        request_key: identity of the request that it answers, in hex; empty for a step that is none. Calls are numbered
            among equal requests.
        request: the request itself, in a form that is opaque to the store; None if it was not kept.
        asked_when: when it was asked (UTC); None if that is not known.
        reused_from: where it was stored before; None if it was paid for here.
    """

    job_id: str
    name: str
    result: dict[str, Any]
    attempt: int
    saved_when: datetime
    usage: tuple[Usage, ...] = ()
    call: int = 1
    reply: int = 1
    status: StatusStep = "kept"
    reason: str | None = None
    rejected_by: str | None = None
    request_key: str = ""
    request: str | None = None
    asked_when: datetime | None = None
    reused_from: StepSource | None = None


@dataclass(frozen=True, slots=True)
class StepTotal:
    """What the stored replies to the steps of one name add up to in a run.

    Attributes:
        name: the name of the steps.
        kept: replies that later attempts are given.
        rejected: replies that were rejected.
        forgotten: replies that were forgotten.
        input_tokens: tokens sent, for all of them; so are the next two.
        output_tokens: tokens received.
        cost: what they cost.
    """

    name: str
    kept: int
    rejected: int
    forgotten: int
    input_tokens: int
    output_tokens: int
    cost: float
