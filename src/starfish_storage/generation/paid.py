"""What a worker has paid for and wants to have stored: how it is stored, recognised, and written to a spool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import RunLedger
from starfish_storage.runs import WAITS_FOR_STORE, Attempt, Finished, Outcome, Output, Step, Usage

Stored = TypeVar("Stored")


class Paid(ABC, Generic[Stored]):
    """Something that was paid for. It is stored once, however often that is tried."""

    kind: ClassVar[str]

    @abstractmethod
    async def stored(self, ledger: RunLedger) -> Stored | None:
        """Return what `store` returned, if the ledger has it, be it by a call whose answer was lost; else None."""

    @abstractmethod
    async def store(self, ledger: RunLedger) -> Stored:
        """Store it, though it may be stored already."""

    @abstractmethod
    def value(self) -> object:
        """Return what it is, for the spool."""

    def interrupted(self) -> Attempt | None:
        """Return the attempt that says what it has cost as long as its data cannot be stored; None without data."""
        return None

    def line(self) -> bytes:
        """Return it as a line of a spool.

        Raises:
            InvalidDataError: it is not JSON.
        """
        return encode({"kind": self.kind, self.kind: _json(self.value())}, f"a waiting {self.kind}")


@dataclass(frozen=True, slots=True, eq=False)
class PaidOutcome(Paid[Finished]):
    """The outcome of an input."""

    kind = "outcome"
    outcome: Outcome

    async def stored(self, ledger: RunLedger) -> Finished | None:
        """See `Paid.stored`. The next input that the lost call may have claimed is not found out."""
        found = await _found(self.outcome.attempt, ledger)
        if found is None or found.status == "superseded":
            return None if found is None else Finished()
        return Finished("failed" if found.status == "failed" else "completed")

    async def store(self, ledger: RunLedger) -> Finished:
        """See `Paid.store`."""
        return await ledger.finish_input(self.outcome)

    def value(self) -> object:
        """See `Paid.value`."""
        return self.outcome

    def interrupted(self) -> Attempt | None:
        """See `Paid.interrupted`."""
        if all(output.data is None for output in self.outcome.outputs):
            return None
        return _waiting(self.outcome.attempt)


@dataclass(frozen=True, slots=True, eq=False)
class PaidAttempt(Paid[int]):
    """A failed attempt, after which the input is tried again; storing it returns its number."""

    kind = "attempt"
    attempt: Attempt

    async def stored(self, ledger: RunLedger) -> int | None:
        """See `Paid.stored`."""
        found = await _found(self.attempt, ledger)
        return None if found is None else found.number

    async def store(self, ledger: RunLedger) -> int:
        """See `Paid.store`."""
        return await ledger.save_attempt(self.attempt)

    def value(self) -> object:
        """See `Paid.value`."""
        return self.attempt


@dataclass(frozen=True, slots=True, eq=False)
class StoppedAttempt(PaidAttempt):
    """An attempt that was stopped; its input is given back."""

    kind = "release"

    async def store(self, ledger: RunLedger) -> int:
        """See `Paid.store`."""
        await ledger.release_input(self.attempt)
        return self.attempt.number


@dataclass(frozen=True, slots=True)
class KeptAttempt:
    """An attempt that did not end its input, and what it had made before.

    Attributes:
        attempt: the attempt.
        outputs: what it had made.
        release: it was stopped; its input is given back.
    """

    attempt: Attempt
    outputs: tuple[Output, ...]
    release: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PaidOutputs(Paid[int]):
    """An attempt that did not end its input, and what it had made before; storing it returns its number."""

    kind = "outputs"
    kept: KeptAttempt

    async def stored(self, ledger: RunLedger) -> int | None:
        """See `Paid.stored`."""
        found = await _found(self.kept.attempt, ledger)
        return None if found is None else found.number

    async def store(self, ledger: RunLedger) -> int:
        """See `Paid.store`."""
        return await ledger.keep_attempt(self.kept.attempt, self.kept.outputs, release=self.kept.release)

    def value(self) -> object:
        """See `Paid.value`."""
        return self.kept

    def interrupted(self) -> Attempt | None:
        """See `Paid.interrupted`."""
        return _waiting(self.kept.attempt)


@dataclass(frozen=True, slots=True, eq=False)
class PaidReply(Paid[int]):
    """The reply to a paid step; storing it returns its number."""

    kind = "step"
    step: Step

    async def stored(self, ledger: RunLedger) -> int | None:
        """See `Paid.stored`."""
        mine = self.step
        replies = await ledger.list_replies(mine.job_id, mine.name, mine.call, mine.request_key)
        same = (one for one in replies if (one.attempt, one.saved_when) == (mine.attempt, mine.saved_when))
        return next((one.reply for one in same), None)

    async def store(self, ledger: RunLedger) -> int:
        """See `Paid.store`."""
        return await ledger.save_step(self.step)

    def value(self) -> object:
        """See `Paid.value`."""
        return self.step


@dataclass(frozen=True, slots=True)
class LateUsage:
    """What an attempt used after it was stored.

    Attributes:
        job_id: the execution job of the input.
        number: the attempt.
        usage: what it used.
    """

    job_id: str
    number: int
    usage: tuple[Usage, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PaidUsage(Paid[int]):
    """What an attempt used after it was stored; storing it returns the number of the attempt."""

    kind = "usage"
    late: LateUsage

    async def stored(self, ledger: RunLedger) -> int | None:
        """See `Paid.stored`. What an attempt used late comes last."""
        late = self.late
        found = {one.number: one.usage for one in await ledger.list_attempts(late.job_id)}
        return late.number if found.get(late.number, ())[-len(late.usage) :] == late.usage else None

    async def store(self, ledger: RunLedger) -> int:
        """See `Paid.store`."""
        await ledger.add_usage(self.late.job_id, self.late.number, self.late.usage)
        return self.late.number

    def value(self) -> object:
        """See `Paid.value`."""
        return self.late


def read(entry: Mapping[str, Any]) -> Paid[Any]:
    """Return what a line of a spool holds.

    Raises:
        InvalidInputError: it is not what this release writes.
    """
    kind = str(entry.get("kind"))
    try:
        if kind == PaidOutcome.kind:
            return PaidOutcome(_adapter(Outcome).validate_python(entry[kind]))
        if kind == PaidAttempt.kind:
            return PaidAttempt(_adapter(Attempt).validate_python(entry[kind]))
        if kind == StoppedAttempt.kind:
            return StoppedAttempt(_adapter(Attempt).validate_python(entry[kind]))
        if kind == PaidOutputs.kind:
            return PaidOutputs(_adapter(KeptAttempt).validate_python(entry[kind]))
        if kind == PaidReply.kind:
            return PaidReply(_adapter(Step).validate_python(entry[kind]))
        if kind == PaidUsage.kind:
            return PaidUsage(_adapter(LateUsage).validate_python(entry[kind]))
    except (ValidationError, KeyError):
        pass  # not as the cause: its text quotes values
    raise InvalidInputError("a line of the spool is not what this release writes; take it in with the release it is of")


def _waiting(attempt: Attempt) -> Attempt:
    reason = "what it returned waits for the store"
    return replace(attempt, status="interrupted", error_type=WAITS_FOR_STORE, error_message=reason)


async def _found(mine: Attempt, ledger: RunLedger) -> Attempt | None:
    # One that is `interrupted` stands for it as long as it is not stored.
    same = (
        one
        for one in await ledger.list_attempts(mine.job_id)
        if (one.worker_id, one.start_time) == (mine.worker_id, mine.start_time) and one.status != "interrupted"
    )
    return next(same, None)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Return what checks values of a dataclass; made when it is needed, as that takes a moment."""
    return TypeAdapter(kind)


def _json(value: object) -> object:
    """Return a dataclass of `runs` as JSON; what a user's data holds is JSON already."""
    if is_dataclass(value):
        return {one.name: _json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        several = cast("list[object] | tuple[object, ...]", value)
        if any(map(is_dataclass, several)):
            return [_json(one) for one in several]
    return cast("object", value)
