"""The inputs of a run: they go from any iterable into the store, and are never all in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, cast

from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.generation.binding import TEXT_FIELD
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.generation.options import Options
from starfish_storage.generation.sources import (
    OR_SKIP,
    BadInput,
    Inputs,
    Rereadable,
    length_of,
    readable_twice,
    source_of,
)
from starfish_storage.interface import RunLedger
from starfish_storage.runs import RunInput, RunState
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_MOST_FIRST = 100_000


class InputCheck:
    """Finds the inputs that cannot be run.

    Args:
        ledger: may refuse an input.
        fits: raises for an input that the function cannot take.
        options: whether bad inputs stop the run or are skipped, and whether inputs may hold secrets.

    Attributes:
        skips: whether bad inputs are skipped.
    """

    def __init__(self, ledger: RunLedger, fits: Callable[[dict[str, Any]], None], options: Options) -> None:
        self._ledger = ledger
        self._fits = fits
        self._allows_secrets = options.allow_secrets
        self.skips = options.on_bad_input == "skip"
        self._passed = False

    def taken(self, position: int, given: object) -> RunInput | str:
        """Return an input as it is stored, or why it cannot be run. A text is the field ``text``.

        Args:
            position: its place among the inputs.
            given: a dict, a text or an object with fields, or what stands in for an input that cannot be read.
        """
        fields = given
        if isinstance(given, str):
            fields = {TEXT_FIELD: str(given)}
        elif isinstance(given, BadInput):
            return given.reason
        elif not isinstance(given, dict):
            notes = Notes()
            fields = convert(given, notes)  # of a model or a dataclass
            if not isinstance(fields, dict) or notes.problem is not None:
                return f"input {position} must be a JSON object (dict) or a text, not {type(given).__name__}"
        taken = RunInput(position, cast("dict[str, Any]", fields), self._allows_secrets)
        return taken if self._passed else self._reason_against(taken) or taken

    def _reason_against(self, given: RunInput) -> str | None:
        try:
            self._fits(given.run_config)
        except StorageError as error:
            return f"input {given.position}: {error}"
        try:
            self._ledger.check_input(given)
        except StorageError as error:
            return str(error)
        return None

    def beforehand(self, inputs: Inputs) -> None:
        """Refuse bad inputs before the run starts, if they can be read twice and bad ones are not skipped.

        Raises:
            InvalidInputError: they cannot be read one by one, or one of them cannot be run.
        """
        again = readable_twice(inputs)
        if again is None or self.skips:
            return
        for position, given in enumerate(again):
            taken = self.taken(position, given)
            if isinstance(taken, str):
                raise InvalidInputError(f"{taken.rstrip('.')}. Nothing was started: correct it, {OR_SKIP}")
        self._passed = True


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the inputs that were given differ from those of a run.

    Attributes:
        position: of the first one that differs; as many as were given, if there are fewer.
        given: the input that was given there; None if there are fewer.
        reason: what differs, for people.
    """

    position: int
    given: RunInput | None
    reason: str


class Feed:
    """The inputs of a run that are not stored yet: its worker pulls them in batches and stores them.

    A batch comes as soon as the source has an input. The feed compares the inputs that are stored already with those
    that were given, and leaves them out.

    Args:
        ledger: knows which inputs are stored.
        state: where the run stands.
        inputs: any iterable, also an asynchronous one.
        check: finds the inputs that cannot be run.

    Attributes:
        length: how many inputs there are; None if the source does not say.
        is_endless: the source may have no end.
        comes_first: the worker stores all inputs before the work begins, which takes a second or two at most. Then the
            run can be resumed without its inputs, whenever it was killed.
        has_more: after a comparison, there are inputs behind those of a run that had them all.
    """

    def __init__(
        self,
        ledger: RunLedger,
        state: RunState,
        inputs: Inputs,
        check: InputCheck,
    ) -> None:
        self._ledger = ledger
        self._state = state
        self._check = check
        self.length = length_of(inputs)
        self.is_endless = self.length is None and not isinstance(inputs, Rereadable)
        self.comes_first = self.length is not None and self.length <= _MOST_FIRST
        self.has_more = False
        self._given = 0
        self._source = source_of(inputs)
        self._left: list[RunInput] = []

    @property
    def compared(self) -> int:
        """How many inputs were compared and are the same; those behind them are not used up."""
        return self._left[0].position if self._left else self._given

    def of_run(self, state: RunState) -> Self:
        """Let it feed another run, whose inputs are those that were compared, and return it."""
        self._state, self.has_more = state, False
        return self

    async def compare(self) -> Difference | None:
        """Compare the inputs with those stored already: the first ones, or all if the run has them all. Stores nothing.

        Returns:
            Where they differ. The input there and those behind it are not used up.
        """
        stored, is_complete = self._state.registered, self._state.inputs_complete
        while True:
            found = await self._differing(stored)
            if found is not None:
                return found
            self.has_more = is_complete and bool(self._left)
            if self._left or (self._given >= stored and not is_complete):
                return None
            self._left = await self._read()
            if not self._left:
                if self._given == 0 or self._given >= stored:
                    return None  # an empty source says that there are no more inputs
                return Difference(self._given, None, f"{stored} inputs are stored, and {self._given} were given")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[RunInput]:
        """Return the next inputs to store, at least one, as soon as the source has any.

        Raises:
            InvalidInputError: an input is bad, and bad ones are not skipped.
        """
        new, self._left = self._left or await self._read(), []
        if not new:
            raise StopAsyncIteration
        return new

    async def close(self) -> None:
        """Read no more. Idempotent."""
        await self._source.close()

    async def _read(self) -> list[RunInput]:
        """Return the next inputs; none at the end."""
        while batch := await self._source.take():
            good = self._good(batch)
            if good:
                return good
        return []

    async def _differing(self, stored: int) -> Difference | None:
        """Drop those of the inputs in hand that are stored, up to the first one that is not where one is stored."""
        old = [one for one in self._left if one.position < stored]
        new = await self._ledger.unregistered_inputs(self._state.master_job_id, old) if old else []
        if not new:
            self._left = self._left[len(old) :]
            return None
        self._left = [one for one in self._left if one.position >= new[0]]
        return Difference(new[0], self._left[0], f"input {new[0]} is not the same")

    def _good(self, batch: list[Any]) -> list[RunInput]:
        good: list[RunInput] = []
        for given in batch:
            taken = self._check.taken(self._given, given)
            self._given += 1
            if not isinstance(taken, str):
                good.append(taken)
            elif self._check.skips:
                logger.warning("skipped: %s", taken)
            else:
                raise InvalidInputError(f"{taken.rstrip('.')}. Correct it and resume the run, {OR_SKIP}")
        return good
