"""The inputs of a run: from any iterable into the store, never all in memory."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, cast

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.interface import RunLedger
from starfish_storage.runs import RunInput, RunState

logger = logging.getLogger(__name__)

OnBadInput = Literal["stop", "skip"]
Inputs = Iterable[Any] | AsyncIterable[Any]

_MOST_IN_BATCH = 500
_BATCH_SECONDS = 0.05  # a slow source is handed on as it comes
_MOST_AHEAD = 10_000  # of a source without a length, which may have no end


@dataclass(frozen=True, slots=True)
class BadInput:
    """Stands in the place of an input that cannot be read.

    Attributes:
        reason: where and why.
    """

    reason: str


class JsonLines:
    """The objects of a JSON Lines file, one a line; blank lines are passed over. Can be read again.

    Args:
        path: the file.

    Raises:
        InvalidInputError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:
            raise InvalidInputError(f"inputs file {path!r} cannot be read: {error.strerror}.") from error

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
            return BadInput(f"line {number} of {self.path!r} is no JSON object, but {type(found).__name__}")
        return cast("dict[str, Any]", found)


def read_json_lines(path: str, on_bad_input: OnBadInput = "stop") -> JsonLines:
    """Return the inputs of a JSON Lines file.

    Args:
        path: the file.
        on_bad_input: ``"stop"``: the whole file is checked now. ``"skip"``: `generate` warns of each bad line.

    Raises:
        InvalidInputError: the file cannot be read, or a line is no JSON object; names the line.
    """
    lines = JsonLines(path)
    if on_bad_input == "stop":
        for found in lines:
            if isinstance(found, BadInput):
                raise InvalidInputError(f"{found.reason}; nothing was started. Mend it, or skip bad inputs.")
    return lines


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class InputCheck:
    """Tells which inputs cannot be run.

    Args:
        ledger: may refuse inputs.
        fits: raises for an input that the function cannot take.
    """

    def __init__(self, ledger: RunLedger, fits: Callable[[dict[str, Any]], None]) -> None:
        self._ledger = ledger
        self._fits = fits
        self._passed = False

    def reason_against(self, position: int, given: object) -> str | None:
        """Return why an input cannot be run; None if it can."""
        if self._passed:
            return None
        if isinstance(given, BadInput):
            return given.reason
        if not isinstance(given, dict):
            return f"input {position} is no JSON object (dict), but {type(given).__name__}"
        run_config = cast("dict[str, Any]", given)
        try:
            self._fits(run_config)
            encode(run_config, f"input {position}")
            if self._ledger.check_input is not None:
                self._ledger.check_input(position, run_config)
        except StorageError as error:
            return f"input {position}: {error}"
        return None

    def all_at_once(self, inputs: Iterable[Any]) -> None:
        """Refuse inputs that can be read twice before anything is started.

        Raises:
            InvalidInputError: one of them cannot be run.
        """
        for position, given in enumerate(inputs):
            reason = self.reason_against(position, given)
            if reason is not None:
                raise InvalidInputError(f"{reason.rstrip('.')}; nothing was started. Mend it, or skip bad inputs.")
        self._passed = True


class Feed:
    """Stores the inputs of a run ahead of the work, each at its place.

    Inputs that are stored already are compared with the ones given; then the rest is stored.

    Args:
        ledger: where.
        state: where the run stands.
        inputs: any iterable, also an asynchronous one.
        check: tells which cannot be run.
        on_bad_input: what becomes of those.

    Attributes:
        length: how many inputs there are, where the source tells.
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
        self._inputs = inputs
        self._check = check
        self._skips = on_bad_input == "skip"
        self._on_stored: Callable[[], None] | None = None
        self._make_room: Callable[[], Awaitable[None]] | None = None
        self._endless = not isinstance(inputs, Sized | JsonLines)
        self.length = len(inputs) if isinstance(inputs, Sized) else None
        self._given = 0
        self._batches = _batches(inputs)
        self._left: list[RunInput] = []

    def connect(self, on_stored: Callable[[], None], make_room: Callable[[], Awaitable[None]]) -> None:
        """Say who is told of each batch, and who makes a source without a length wait that is far ahead."""
        self._on_stored = on_stored
        self._make_room = make_room

    async def compare(self) -> None:
        """Compare the first inputs with those that are stored already. Stores nothing.

        Raises:
            InvalidInputError: they are others.
        """
        stored = self._state.registered
        while self._given < stored:
            batch = await anext(self._batches, None)
            if batch is None:
                if self._given == 0:
                    return  # an empty one: there are no more
                raise InvalidInputError(self._others(f"{stored} inputs are stored, and {self._given} were given"))
            good = self._good(batch)
            old = [one for one in good if one.position < stored]
            new = await self._ledger.unregistered_inputs(self._state.master_job_id, old)
            if new:
                raise InvalidInputError(self._others(f"input {new[0]} is another one"))
            self._left = good[len(old) :]

    async def run(self) -> None:
        """Store the rest, and note that there is no more.

        Raises:
            InvalidInputError: an input is bad, and bad ones are not skipped; or there are more than there were.
        """
        master_job_id = self._state.master_job_id
        if self._left:
            await self._store(self._left)
        async for batch in self._batches:
            await self._store(self._good(batch))
            if self._make_room is not None and self._endless and self._given % _MOST_AHEAD < len(batch):
                await self._make_room()
        if not self._state.inputs_complete:
            await self._ledger.complete_inputs(master_job_id)
        self._announce()

    async def _store(self, inputs: list[RunInput]) -> None:
        if not inputs:
            return
        if self._state.inputs_complete:
            raise InvalidInputError(self._others(f"input {inputs[0].position} is one more than the run has"))
        await self._ledger.register_inputs(self._state.master_job_id, inputs)
        self._announce()

    def _announce(self) -> None:
        if self._on_stored is not None:
            self._on_stored()

    def _good(self, batch: list[Any]) -> list[RunInput]:
        good: list[RunInput] = []
        for given in batch:
            position, self._given = self._given, self._given + 1
            reason = self._check.reason_against(position, given)
            if reason is None:
                good.append(RunInput(position, given))
            elif self._skips:
                logger.warning("skipped: %s", reason)
            else:
                raise InvalidInputError(f"{reason.rstrip('.')}. Mend it and resume the run, or skip bad inputs.")
        return good

    def _others(self, what: str) -> str:
        return (
            f"the inputs differ from those that run {self._state.master_job_id!r} was started with: {what}. "
            "Give the same in the same order, or none to go on with what is stored; for others start a new run."
        )


async def _batches(inputs: Inputs) -> AsyncIterator[list[Any]]:
    """Yield inputs in batches: full ones of a fast source, and what there is of a slow one."""
    if isinstance(inputs, AsyncIterable):
        async for batch in _of_asynchronous(inputs):
            yield batch
        return
    items = iter(inputs)
    while batch := await asyncio.to_thread(_next_batch, items):
        yield batch


def _next_batch(items: Iterator[Any]) -> list[Any]:
    until = time.monotonic() + _BATCH_SECONDS
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) >= _MOST_IN_BATCH or time.monotonic() > until:
            break
    return batch


async def _of_asynchronous(inputs: AsyncIterable[Any]) -> AsyncIterator[list[Any]]:
    items = aiter(inputs)
    batch: list[Any] = []
    waiting: asyncio.Future[Any] | None = None
    try:
        for _ in count():
            waiting = asyncio.ensure_future(anext(items))
            if batch and not (await asyncio.wait({waiting}, timeout=_BATCH_SECONDS))[0]:
                yield batch
                batch = []
            try:
                batch.append(await waiting)
            except StopAsyncIteration:
                break
            if len(batch) >= _MOST_IN_BATCH:
                yield batch
                batch = []
    finally:
        if waiting is not None and not waiting.done():
            waiting.cancel()
    if batch:
        yield batch
