"""The inputs of a run: they go from any iterable into the store, and are never all in memory."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.generation.sources import Inputs, readable, source_of
from starfish_storage.interface import RunLedger
from starfish_storage.runs import RunInput, RunState

logger = logging.getLogger(__name__)

OnBadInput = Literal["stop", "skip"]

_MOST_FIRST = 100_000
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class BadInput:
    """Stands in for an input that cannot be read.

    Attributes:
        reason: where it stands, and why it cannot be read.
    """

    reason: str


class JsonLinesInputs:
    """The objects of a JSON Lines file, one a line; blank lines are skipped. It can be read again.

    Args:
        path: the file.

    Raises:
        InvalidInputError: it cannot be read, is compressed, or can be read only once, as a pipe.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # Before it is opened: that would wait for whoever writes into a pipe.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise InvalidInputError(f"the inputs {path!r} are no regular file: give one, since it is read twice.")
            with open(path, "rb") as file:
                start = file.read(len(_ZSTD))
        except OSError as error:
            raise InvalidInputError(f"cannot read the inputs file {path!r}: {error.strerror}.") from error
        how = "gzip" if start.startswith(_GZIP) else "zstd" if start == _ZSTD else None
        if how is not None:
            raise InvalidInputError(f"the inputs file {path!r} is compressed with {how}: decompress it first.")

    def __iter__(self) -> Iterator[dict[str, Any] | BadInput]:
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield self._parsed(number, line)

    def _parsed(self, number: int, line: bytes) -> dict[str, Any] | BadInput:
        try:
            found: object = json.loads(line, parse_constant=_refuse_constant)
        except UnicodeDecodeError:
            return BadInput(f"line {number} of {self.path!r} is not UTF-8")
        except (ValueError, RecursionError) as error:
            at = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            return BadInput(f"line {number} of {self.path!r} is not JSON{at}")
        if not isinstance(found, dict):
            return BadInput(f"line {number} of {self.path!r} must be a JSON object, not {type(found).__name__}")
        return cast("dict[str, Any]", found)


def read_json_lines(path: str, on_bad_input: OnBadInput = "stop") -> JsonLinesInputs:
    """Return the inputs of a JSON Lines file.

    Args:
        path: the file.
        on_bad_input: ``"stop"``: the whole file is checked now. ``"skip"``: `generate` warns of each bad line.

    Raises:
        InvalidInputError: the file cannot be read, or a line is not a JSON object; names the line.
    """
    lines = JsonLinesInputs(path)
    if on_bad_input == "stop":
        for found in lines:
            if isinstance(found, BadInput):
                raise InvalidInputError(f"{found.reason}. Nothing was started: correct it, or skip bad inputs.")
    return lines


def _readable_twice(inputs: Inputs) -> Iterable[Any] | None:
    """Return the inputs if reading them does not use them up, as far as their type shows.

    An object that has a length but no index may wrap a generator, as progress bars do.
    """
    if isinstance(inputs, AsyncIterable):
        return None
    given = readable(inputs)
    is_lasting = isinstance(given, Sized) and hasattr(given, "__getitem__") and not isinstance(given, Iterator)
    return given if is_lasting or isinstance(given, JsonLinesInputs) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class InputCheck:
    """Finds the inputs that cannot be run.

    Args:
        ledger: may refuse an input.
        fits: raises for an input that the function cannot take.
    """

    def __init__(self, ledger: RunLedger, fits: Callable[[dict[str, Any]], None]) -> None:
        self._ledger = ledger
        self._fits = fits
        self._passed = False

    def reason_against(self, given: RunInput) -> str | None:
        """Return why an input cannot be run, or None if it can."""
        if self._passed:
            return None
        run_config, position = cast("object", given.run_config), given.position
        if isinstance(run_config, BadInput):
            return run_config.reason
        if not isinstance(run_config, dict):
            return f"input {position} must be a JSON object (dict), not {type(run_config).__name__}"
        try:
            self._fits(given.run_config)
        except StorageError as error:
            return f"input {position}: {error}"
        try:
            self._ledger.check_input(given)
        except StorageError as error:
            return str(error)
        return None

    def beforehand(self, inputs: Inputs, on_bad_input: OnBadInput) -> None:
        """Refuse bad inputs before the run starts, if they can be read twice and bad ones are not skipped.

        Raises:
            InvalidInputError: they cannot be read one by one, or one of them cannot be run.
        """
        again = _readable_twice(inputs)
        if again is None or on_bad_input == "skip":
            return
        for position, given in enumerate(again):
            reason = self.reason_against(RunInput(position, given))
            if reason is not None:
                raise InvalidInputError(f"{reason.rstrip('.')}. Nothing was started: correct it, or skip bad inputs.")
        self._passed = True


class Feed:
    """The inputs of a run that are not stored yet: its worker pulls them in batches and stores them.

    A batch comes as soon as the source has an input. The feed compares the inputs that are stored already with those
    that were given, and leaves them out.

    Args:
        ledger: knows which inputs are stored.
        state: where the run stands.
        inputs: any iterable, also an asynchronous one.
        check: finds the inputs that cannot be run.
        on_bad_input: whether those stop the run or are skipped.

    Attributes:
        length: how many inputs there are; None if the source does not say.
        is_endless: the source may have no end.
        comes_first: the worker stores all inputs before the work begins, which takes a second or two at most. Then the
            run can be resumed without its inputs, whenever it was killed.
    """

    def __init__(
        self,
        ledger: RunLedger,
        state: RunState,
        inputs: Inputs,
        check: InputCheck,
        on_bad_input: OnBadInput,
    ) -> None:
        self._ledger = ledger
        self._state = state
        self._check = check
        self._skips = on_bad_input == "skip"
        self.is_endless = not isinstance(inputs, Sized | JsonLinesInputs)
        self.length = len(inputs) if isinstance(inputs, Sized) else None
        self.comes_first = self.length is not None and self.length <= _MOST_FIRST
        self._given = 0
        self._source = source_of(inputs)
        self._left: list[RunInput] = []

    async def compare(self) -> None:
        """Compare the inputs with those stored already: the first ones, or all if the run has them all. Stores nothing.

        Raises:
            InvalidInputError: they differ.
        """
        stored, is_complete = self._state.registered, self._state.inputs_complete
        while self._given < stored or is_complete:
            batch = await self._source.take()
            if not batch:
                if self._given == 0 or self._given >= stored:
                    return  # an empty source says that there are no more inputs
                raise InvalidInputError(self._others(f"{stored} inputs are stored, and {self._given} were given"))
            good = self._good(batch)
            old = [one for one in good if one.position < stored]
            new = await self._ledger.unregistered_inputs(self._state.master_job_id, old)
            if new:
                raise InvalidInputError(self._others(f"input {new[0]} is not the same"))
            self._left = good[len(old) :]
            if is_complete and self._left:
                raise self._one_more(self._left)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[RunInput]:
        """Return the next inputs to store, at least one, as soon as the source has any.

        Raises:
            InvalidInputError: an input is bad, and bad ones are not skipped; or the run is complete without it.
        """
        new, self._left = self._left, []
        while not new:
            batch = await self._source.take()
            if not batch:
                raise StopAsyncIteration
            new = self._good(batch)
        if self._state.inputs_complete:
            raise self._one_more(new)
        return new

    async def close(self) -> None:
        """Read no more. Idempotent."""
        await self._source.close()

    def _one_more(self, inputs: list[RunInput]) -> InvalidInputError:
        return InvalidInputError(self._others(f"the run has only {inputs[0].position} inputs, and more were given"))

    def _good(self, batch: list[Any]) -> list[RunInput]:
        good: list[RunInput] = []
        for given in batch:
            one = RunInput(self._given, given)
            self._given += 1
            reason = self._check.reason_against(one)
            if reason is None:
                good.append(one)
            elif self._skips:
                logger.warning("skipped: %s", reason)
            else:
                raise InvalidInputError(f"{reason.rstrip('.')}. Correct it and resume the run, or skip bad inputs.")
        return good

    def _others(self, what: str) -> str:
        return (
            f"the inputs differ from those that run {self._state.master_job_id!r} was started with: {what}. "
            "Give the same inputs in the same order, or none to go on with the stored ones; start a new run for others."
        )
