"""What fails in a run while it goes on: which failure is the most frequent, and when the run should stop for it."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

from starfish_storage.generation.provider_errors import is_forbidden, is_refused
from starfish_storage.runs import Attempt, Outcome

FAILING = "failing: "
"""How the reason of a stop for failures begins: other workers know by it that calls in flight may end in their time."""

_FIRST, _IN_A_ROW = 20, 50
"""When so many outcomes fail alike, at the beginning or in a row, the others would too."""

_LEAST_OF_SHARE = 20  # outcomes before a share of them says something
_LONGEST = 300  # characters of an error that are compared, and shown as the reason of a stop
_MOST_KINDS = 1000
_VARYING = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|(?<![\w.+-])[\w.+-]*\d[\w.+-]*""")


class Stop(NamedTuple):
    """Why a run should stop.

    Attributes:
        reason: why, for people.
        is_certain: whether nothing that is begun can succeed; otherwise a stop is worth it only if work is left.
    """

    reason: str
    is_certain: bool = False


class Failures:
    """Counts the failures of one worker since it began.

    Args:
        limit: how many inputs, or which share of them, may fail; infinity for any number. None for the default: a run
            stops when its first 20 outcomes, or 50 in a row, fail with the same error.

    Attributes:
        reason: why the run stops for failures; None if it does not.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.reason: str | None = None
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._outcomes = self._failed = self._alike = 0
        self._kind: str | None = None  # of the last outcomes, if they failed alike
        self._again: list[str] = []  # the inputs of these

    @property
    def most_frequent(self) -> tuple[str, int] | None:
        """The failure that occurred most often, and how often; None without failures."""
        for kind, count in self._counts.most_common(1):
            return self._examples[kind], count
        return None

    @property
    def again(self) -> list[str]:
        """The inputs that were stored as failed, and failed as those that the run stops for: they should run again."""
        return self._again if self._kind is not None and self._is_meant(self._kind) else []

    def succeeded(self) -> None:
        """Note an outcome that did not fail."""
        self._outcomes += 1
        if self._kind is not None:
            self._kind, self._alike = None, 0
            self._again.clear()

    def count(self, attempt: Attempt) -> None:
        """Count a failed attempt."""
        self._count(brief(attempt))

    def failed(self, outcome: Outcome, error: BaseException | None) -> Stop | None:
        """Note an outcome that failed; return why the run should stop for it, if it should.

        Args:
            outcome: the outcome.
            error: what the function raised, if it did not return.
        """
        example = _brief_of(outcome)
        kind = self._count(example)
        has_succeeded = self._outcomes > self._failed
        self._outcomes += 1
        self._failed += 1
        if kind != self._kind:
            self._kind, self._alike = kind, 0
            self._again.clear()
        self._alike += 1
        if self._limit == math.inf:
            return None
        if outcome.attempt.status == "failed" and error is not None:
            # What is refused with 403 may be this request. But not if nothing else was answered either.
            if is_refused(error) or (is_forbidden(error) and (self._alike > 1 or not has_succeeded)):
                return Stop(f"{FAILING}{example}", is_certain=True)
            if self._limit is None and not _has_data(outcome):
                self._again.append(outcome.claimed.job_id)
        return self._too_many(example)

    def takes_back(self, outcome: Outcome) -> bool:
        """Return whether an input that failed should run again after the stop, instead of being stored as failed.

        Not if it has data, which is kept, and over which the checks can run again.
        """
        is_without = outcome.attempt.status == "failed" and not _has_data(outcome)
        return is_without and self._is_meant(_alike(_brief_of(outcome)))

    def _too_many(self, example: str) -> Stop | None:
        if self._limit is None:
            if self._alike == self._outcomes >= _FIRST:
                return Stop(f"{FAILING}the first {self._alike} inputs ended with {example}")
            if self._alike >= _IN_A_ROW:
                return Stop(f"{FAILING}{self._alike} inputs in a row ended with {example}")
            return None
        if self._limit >= 1:
            return Stop(f"{FAILING}max_failures {self._limit:g} reached") if self._failed >= self._limit else None
        if self._outcomes >= _LEAST_OF_SHARE and self._failed >= self._limit * self._outcomes:
            return Stop(f"{FAILING}{self._failed} of {self._outcomes} inputs, max_failures {self._limit:g} reached")
        return None

    def _is_meant(self, kind: str) -> bool:
        """Return whether the run stops for failures of this kind, also where another worker gave the reason."""
        return self.reason is not None and kind in _alike(self.reason)

    def _count(self, example: str) -> str:
        """Count a failure, and return its kind."""
        kind = _alike(example)
        if kind in self._counts or len(self._counts) < _MOST_KINDS:
            self._counts[kind] += 1
            self._examples.setdefault(kind, example)
        return kind


def brief(attempt: Attempt) -> str:
    """Return the error of an attempt on one line, of a long one the beginning."""
    return _on_one_line(f"{attempt.error_type}: {attempt.error_message}")


def _brief_of(outcome: Outcome) -> str:
    return brief(outcome.attempt) if outcome.attempt.error_type else _on_one_line(outcome.error_message or "")


def _has_data(outcome: Outcome) -> bool:
    return any(output.data is not None for output in outcome.outputs)


def _on_one_line(text: str) -> str:
    text = " ".join(text[: 2 * _LONGEST].split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _alike(text: str) -> str:
    """Return what is the same in all errors of a kind: not the numbers, the ids, and what they quote."""
    return _VARYING.sub("#", text.removesuffix("..."))
