"""The options of a run: checked, stored with the run, and restored when it is resumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, cast

from pydantic import BaseModel

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.loading import load_stored_function, stored_name
from starfish_storage.generation.outcomes import OnEmpty
from starfish_storage.generation.replies import REASKS, Reask
from starfish_storage.generation.retrying import Retry, is_worth_retrying
from starfish_storage.generation.reuse import REPLAYS, REUSES, Replay, Reuse
from starfish_storage.generation.sources import OnBadInput
from starfish_storage.identifiers import check_id
from starfish_storage.runs import OWN_LIMIT

OutputSchema = type[BaseModel] | dict[str, Any]
Accept = Callable[[Any], Any]
UniqueBy = str | Sequence[str] | Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run.

    Attributes:
        max_concurrency: calls at a time, of all workers of the run.
        retry: which failed attempts are retried, how often and when.
        timeout: seconds that one attempt may take; None for no limit.
        accept: checks each output.
        unique_by: finds duplicates.
        max_cost: the cost at which the run stops; None for no limit.
        on_empty: whether an attempt that returns nothing fails or has no output.
        retry_on_misfit: whether an attempt is retried because an output does not fit the schema.
        max_failures: at how many failed inputs, or which share of them, the run stops; None for the default stops.
        limit: the name of a limit of the store that runs share; None: ``rpm`` and ``tpm`` are the run's own.
        rpm: requests a minute, of all workers of the run; None for no limit.
        tpm: tokens a minute, likewise.
        longest_limit_wait: seconds that an input waits because of limits, without using up attempts.
        on_bad_input: whether inputs that cannot be run stop the run or are skipped.
        allow_secrets: whether inputs may hold what looks like a key.
        grace: seconds that calls in flight get to end after an interruption.
        lease: seconds for which a silent worker keeps its inputs.
        reask: which stored replies of paid steps are asked for again after a failure.
        patience: seconds for which the run waits for a store that takes nothing; None for what the environment says,
            or an hour.
        reuse: where answers to recorded requests are looked for, beyond the input itself.
        replay: whether a request that is not stored is an error.
    """

    max_concurrency: int = 10
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    accept: Accept | None = None
    unique_by: UniqueBy | None = None
    max_cost: float | None = None
    on_empty: OnEmpty = "fail"
    retry_on_misfit: bool = False
    max_failures: float | None = None
    limit: str | None = None
    rpm: float | None = None
    tpm: float | None = None
    longest_limit_wait: float = 3600.0
    on_bad_input: OnBadInput = "stop"
    allow_secrets: bool = False
    grace: float = 30.0
    lease: float = 60.0
    reask: Reask = "auto"
    patience: float | None = None
    reuse: Reuse = "run"
    replay: Replay = "off"

    def __post_init__(self) -> None:
        _number("max_concurrency", self.max_concurrency, 1, whole=True)
        for name in ("timeout", "max_cost", "patience"):
            value = getattr(self, name)
            if value is not None:
                _number(name, value, 0)
        for name in ("rpm", "tpm"):
            value = getattr(self, name)
            if value is not None:
                _number(name, value, 1)
        if self.limit is not None:
            check_limit_name(self.limit)
        _max_failures(self.max_failures)
        _number("longest_limit_wait", self.longest_limit_wait, 0)
        _number("grace", self.grace, 0)
        _number("lease", self.lease, 1)
        for name, known in _CHOICES.items():
            _choice(name, getattr(self, name), known)
        if type(self.retry_on_misfit) is not bool:
            raise InvalidInputError(f"retry_on_misfit must be True or False, not {self.retry_on_misfit!r}.")
        if self.accept is not None and not callable(self.accept):
            raise InvalidInputError(f"accept must be a function of a record's data, not {type(self.accept).__name__}.")

    def with_given(self, given: Mapping[str, Any]) -> Self:
        """Return the options, with those given now (and not None) in place of the old ones."""
        known = {one.name for one in fields(self)}
        new = {name: value for name, value in given.items() if name in known and value is not None}
        if "retry" in new:
            # A number of attempts leaves the waits as they were.
            many = type(new["retry"]) is int
            new["retry"] = replace(self.retry, attempts=new["retry"]) if many else Retry.of(new["retry"])
        return replace(self, **new)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that is stored with the run. Functions are stored by name."""
        unique_by: Any = self.unique_by
        retry = self.retry
        is_default = retry.worth_retrying is is_worth_retrying
        return {
            "max_concurrency": self.max_concurrency,
            "attempts": retry.attempts,
            "first_wait": retry.first_wait,
            "longest_wait": retry.longest_wait,
            "jitter": retry.jitter,
            "longest_retry_after": retry.longest_retry_after,
            "worth_retrying": None if is_default else stored_name(retry.worth_retrying),
            "timeout": self.timeout,
            "accept": None if self.accept is None else stored_name(self.accept),
            "unique_by": {"function": stored_name(unique_by)} if callable(unique_by) else unique_by,
            "max_cost": self.max_cost,
            "on_empty": self.on_empty,
            "retry_on_misfit": self.retry_on_misfit,
            "max_failures": str(self.max_failures) if self.max_failures == math.inf else self.max_failures,
            "limit": self.limit,
            "rpm": self.rpm,
            "tpm": self.tpm,
            "longest_limit_wait": self.longest_limit_wait,
            "on_bad_input": self.on_bad_input,
            "allow_secrets": self.allow_secrets,
            "grace": self.grace,
            "lease": self.lease,
            "reask": self.reask,
            "patience": self.patience,
            "reuse": self.reuse,
            "replay": self.replay,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], given: Mapping[str, Any]) -> Self:
        """Return the options that a run was started with, with those given now in place of the old ones.

        Raises:
            InvalidInputError: a function that the run was started with is not given and cannot be found by its name.
        """
        old = dict(stored)
        retry = {name: old.pop(name) for name in _OF_RETRY if name in old}
        worth = old.pop("worth_retrying", None)
        if worth is not None and not isinstance(given.get("retry"), Retry):
            retry["worth_retrying"] = _found_again("retry", worth)
        if old.get("max_failures") == str(math.inf):  # JSON has no infinity
            old["max_failures"] = math.inf
        for name in ("accept", "unique_by"):
            value: Any = old.get(name)
            if isinstance(value, dict):
                value = cast("dict[str, str]", value)["function"]
            elif name == "unique_by":
                continue
            if given.get(name) is not None or value is None:
                old.pop(name, None)
            else:
                old[name] = _found_again(name, value)
        return cls(retry=Retry(**retry)).with_given(old).with_given(given)


def check_limit_name(name: object) -> str:
    """Return the name of a limit that runs share.

    Raises:
        InvalidInputError: it is no id, or begins as those of runs' own limits do.
    """
    checked = check_id("limit", name)
    if checked.startswith(OWN_LIMIT):
        raise InvalidInputError(f"limit {shorten(name)} begins with {OWN_LIMIT!r}, as limits of one run do: rename it.")
    return checked


_OF_RETRY = ("attempts", "first_wait", "longest_wait", "jitter", "longest_retry_after")


def _found_again(option: str, name: str) -> Callable[..., Any]:
    try:
        return load_stored_function(name)
    except InvalidInputError as error:
        raise InvalidInputError(f"the run was started with {option}={name!r}; pass {option}= again: {error}") from error


def _number(name: str, value: object, least: float, *, whole: bool = False) -> None:
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= cast("float", value) < math.inf:
        kind = "an integer" if whole else "a number"
        raise InvalidInputError(f"{name} must be {kind} of {least:g} or more, not {value!r}.")


_CHOICES: dict[str, tuple[str, ...]] = {
    "on_bad_input": ("stop", "skip"),
    "on_empty": ("fail", "skip"),
    "reask": REASKS,
    "reuse": REUSES,
    "replay": REPLAYS,
}
"""The options that are one of a few words."""


def _choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        *others, last = map(repr, known)
        raise InvalidInputError(f"{name} must be {', '.join(others)} or {last}, not {shorten(value)}.")


def _max_failures(value: object) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 < value < 1 or value == math.inf or (value >= 1 and float(value).is_integer()):
            return
    elif value is None:
        return
    given = repr(value) if isinstance(value, int | float) else shorten(value)
    raise InvalidInputError(
        f"max_failures must be a whole number of inputs, a share of them such as 0.1, or infinity, not {given}."
    )
