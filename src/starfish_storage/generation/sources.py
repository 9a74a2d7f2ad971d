"""Reads the inputs of a run ahead of the work: one by one from a slow source, many at once from a fast one."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Inputs = Iterable[Any] | AsyncIterable[Any]
OnBadInput = Literal["stop", "skip"]
OR_SKIP = 'or skip bad inputs (on_bad_input="skip", --on-bad-input skip).'

_MOST_AT_ONCE = 2000
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BadInput:
    """Stands in for an input that cannot be read.

    Attributes:
        reason: where it stands, and why it cannot be read.
    """

    reason: str


class Rereadable(ABC):
    """Inputs that can be read again, from the first one on.

    Attributes:
        count: how many there are; None if that is not known.
    """

    count: int | None

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Read them. May block."""


class Source(Protocol):
    """Returns inputs in their order."""

    async def take(self) -> list[Any]:
        """Return the inputs that came since the last call, at least one; an empty list at the end.

        Raises:
            Exception: an error of the inputs, after all inputs before it have been taken.
        """
        ...

    async def close(self) -> None:
        """Read no more. Idempotent."""
        ...


def source_of(inputs: Inputs) -> Source:
    """Return a source of inputs, without reading any yet.

    Raises:
        InvalidInputError: they cannot be read one by one.
    """
    if isinstance(inputs, list | tuple):
        return _FromList(cast("list[Any]", inputs))
    return _FromTask(inputs) if isinstance(inputs, AsyncIterable) else _FromThread(readable(inputs))


def readable(inputs: object) -> Iterable[Any]:
    """Return inputs as an iterable, also those that only have a length and an index.

    Raises:
        InvalidInputError: they have neither, or would be read letter by letter, or by their keys.
    """
    if isinstance(inputs, str | bytes | bytearray | os.PathLike):
        raise InvalidInputError(
            "inputs must be dicts or texts in a list, not one text; read_inputs(path) reads a file or a directory."
        )
    if not isinstance(inputs, Mapping):
        if isinstance(inputs, Iterable):
            return cast("Iterable[Any]", inputs)
        if isinstance(inputs, Sized) and hasattr(inputs, "__getitem__"):
            return _ByPlace(inputs)
    raise InvalidInputError(
        f"inputs must be dicts or texts in a list, a generator, a table or another iterable, not "
        f"{type(cast('object', inputs)).__name__}."
    )


def readable_twice(inputs: Inputs) -> Iterable[Any] | None:
    """Return the inputs if reading them does not use them up, as far as their type shows.

    An object that has a length but no index may wrap a generator, as progress bars do.

    Raises:
        InvalidInputError: they cannot be read one by one.
    """
    if isinstance(inputs, AsyncIterable):
        return None
    given = readable(inputs)
    is_lasting = isinstance(given, Sized) and hasattr(given, "__getitem__") and not isinstance(given, Iterator)
    return given if is_lasting or isinstance(given, Rereadable) else None


def length_of(inputs: Inputs) -> int | None:
    """Return how many inputs there are; None if the source does not say."""
    if isinstance(inputs, Rereadable):
        return inputs.count
    return len(inputs) if isinstance(inputs, Sized) else None


class _ByPlace:
    """Iterates over objects that have no iterator of their own, such as data sets of PyTorch.

    Python would do so too, but only up to an `IndexError`, which many of them never raise.
    """

    def __init__(self, inputs: Any) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, place: int) -> Any:
        return self._inputs[place]

    def __iter__(self) -> Iterator[Any]:
        return (self._inputs[place] for place in range(len(self)))


class _FromList:
    def __init__(self, inputs: list[Any]) -> None:
        self._inputs = inputs
        self._taken = 0

    async def take(self) -> list[Any]:
        """See `Source.take`."""
        start, self._taken = self._taken, self._taken + _MOST_AT_ONCE
        return list(self._inputs[start : self._taken])

    async def close(self) -> None:
        """See `Source.close`."""


class _FromThread:
    """Reads in a thread of its own: a source may block it for long, and nobody waits for it to end."""

    def __init__(self, inputs: Iterable[Any]) -> None:
        self._inputs = inputs
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._room = threading.Condition()
        self._items: list[Any] = []
        self._is_awaited = self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    async def take(self) -> list[Any]:
        """See `Source.take`."""
        if self._thread is None:
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=lambda: run(self._read), name="starfish-storage-inputs", daemon=True)
            self._thread.start()
        while True:
            with self._room:
                if self._items:
                    items, self._items = self._items, []
                    self._room.notify()
                    return items
                if self._ended:
                    break
                self._arrived.clear()
                self._is_awaited = True
            await self._arrived.wait()
        if self._error is not None:
            raise self._error
        return []

    async def close(self) -> None:
        """See `Source.close`."""
        with self._room:
            self._closed = True
            self._room.notify()

    def _read(self) -> None:
        try:
            for item in self._inputs:
                if not self._pass_on(item):
                    break
            if inspect.isgenerator(self._inputs):
                self._inputs.close()  # here, where it has run
        except BaseException as error:  # noqa: BLE001 (handed to who takes)
            self._error = error
        with self._room:
            self._ended = True
        self._wake()

    def _pass_on(self, item: object) -> bool:
        """Pass an input on when there is room for it; return whether more are wanted."""
        with self._room:
            while len(self._items) >= _MOST_AT_ONCE and not self._closed:
                self._room.wait()
            if self._closed:
                return False
            self._items.append(item)
            is_awaited, self._is_awaited = self._is_awaited, False
        if is_awaited:
            self._wake()
        return True

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any longer


class _FromTask:
    """Reads in a task of its own, so that inputs are passed on while the next is awaited."""

    def __init__(self, inputs: AsyncIterable[Any]) -> None:
        self._inputs = inputs
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._items: list[Any] = []
        self._ended = False
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def take(self) -> list[Any]:
        """See `Source.take`."""
        if self._task is None:
            self._task = asyncio.create_task(self._read())
        while not self._items and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        if self._items:
            items, self._items = self._items, []
            self._room.set()
            return items
        if self._error is not None:
            raise self._error
        return []

    async def close(self) -> None:
        """See `Source.close`."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            _, left = await asyncio.wait({self._task}, timeout=_CLOSE_SECONDS)
            if left:
                logger.warning("the inputs were cancelled but do not end; the run abandons them")

    async def _read(self) -> None:
        try:
            async for item in self._inputs:
                self._items.append(item)
                self._arrived.set()
                while len(self._items) >= _MOST_AT_ONCE:
                    self._room.clear()
                    await self._room.wait()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._error = RuntimeError("the inputs awaited something that was cancelled")
            self._error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 (handed to who takes)
            self._error = error
        finally:
            self._ended = True
            self._arrived.set()
            if inspect.isasyncgen(self._inputs):
                await self._inputs.aclose()
