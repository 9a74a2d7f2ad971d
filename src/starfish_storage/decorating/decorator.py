"""`recorded`, and what it makes of a function: an object that is called like it, and pays once for each input."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

from starfish_storage.decorating.calling import NO_OBJECT, How, RecordedCalls
from starfish_storage.decorating.reading import RecordedRow, carried_out, records_of
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.frames import rows_of
from starfish_storage.generation.interruption import relayed
from starfish_storage.generation.lifecycle import Run
from starfish_storage.generation.options import Options
from starfish_storage.generation.reuse import Reuse
from starfish_storage.generation.run_options import RunOptions
from starfish_storage.portal import call

P = ParamSpec("P")
Rest = ParamSpec("Rest")
Result = TypeVar("Result")
Owner = TypeVar("Owner")
Rows = Iterable[Any]


class _Stands(Generic[P, Result]):
    """What stands for a function. Its attributes are no constants: what names it would else change with them."""

    __wrapped__: Callable[P, Result]
    __qualname__: str

    def __init__(self, calls: RecordedCalls, root: _Stands[..., Any] | None = None, owner: object = NO_OBJECT) -> None:
        functools.update_wrapper(cast("Any", self), calls.function)
        self._calls = calls
        self._call = calls.kind_of_call()
        self._root: _Stands[..., Any] = self if root is None else root
        self._owner = owner

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> Result:
        """Return what is stored for these arguments; if nothing is, call the function and store what it returns."""
        return self._call(self._root, self._owner, arguments, keywords)

    def __reduce__(self) -> str:
        """Let it be pickled as functions are: by name."""
        return self.__qualname__

    def __repr__(self) -> str:
        """Return what it stands for, and where that is recorded."""
        return f"<recorded function {self.__qualname__} in {os.fspath(self._calls.how.store)!r}>"

    def _bound(self, owner: object) -> Self:
        return type(self)(self._calls, self._root, owner)

    def _carried_out(self, inputs: Rows, options: RunOptions) -> Coroutine[Any, Any, Run]:
        rows = rows_of(inputs)
        if not isinstance(rows, Iterable):
            raise InvalidInputError(
                f"inputs must be arguments in a list, a table or another iterable, not {type(rows).__name__}."
            )
        skips = options.get("on_bad_input") == "skip"
        given = self._calls.inputs_of_rows(self._owner, cast("Iterable[object]", rows), skips=skips)
        return carried_out(self._calls.recording(self._root), self, given, options)

    def __starfish_storage_in_runs__(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return the function, and what runs call: see `IN_RUNS`."""
        return self._calls.in_runs(self._owner)


class Recorded(_Stands[P, Result]):
    """A plain function whose calls are recorded, or a generator function."""

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(
        self: Recorded[Concatenate[Owner, Rest], Result], instance: Owner, owner: type | None = None
    ) -> Recorded[Rest, Result]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the method of an object."""
        return self if instance is None else self._bound(instance)

    def run(self, inputs: Rows, **options: Unpack[RunOptions]) -> Run:
        """Call the function for each input without a stored result, several at a time, and return how the run stands.

        Inputs that have failed before are tried again. Equal ones are one. What an earlier call has left undone is
        done as well.

        Args:
            inputs: dicts of arguments by name, or, for a function of one argument, its values; a frame of pandas or
                Polars, a table of Arrow; or what `read_inputs` returns.
            options: see `RunOptions`.

        Raises:
            InvalidInputError: an input or an option cannot be used.
            StorageError: the store failed.
            KeyboardInterrupt: after Ctrl-C, once everything is stored.
        """
        with relayed():
            return call(self._carried_out(inputs, options))

    def records(self) -> list[RecordedRow]:
        """Return the completed records of the function as it is now, each with its input, in the order of the calls.

        Raises:
            StorageError: the store cannot be read.
        """
        return call(records_of(self._calls.recording(self._root)))


class AsyncRecorded(_Stands[P, Result]):
    """A coroutine function whose calls are recorded, or an asynchronous generator function."""

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(
        self: AsyncRecorded[Concatenate[Owner, Rest], Result], instance: Owner, owner: type | None = None
    ) -> AsyncRecorded[Rest, Result]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the method of an object."""
        return self if instance is None else self._bound(instance)

    async def run(self, inputs: Rows, **options: Unpack[RunOptions]) -> Run:
        """Do what `Recorded.run` does."""
        return await self._carried_out(inputs, options)

    async def records(self) -> list[RecordedRow]:
        """Return what `Recorded.records` returns."""
        return await records_of(self._calls.recording(self._root))


class RecordsCalls(Protocol):
    """What `recorded` returns: it takes a function, and returns what stands for it."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] (the first that fits)
        self, function: Callable[P, Coroutine[Any, Any, Result]], /
    ) -> AsyncRecorded[P, Coroutine[Any, Any, Result]]: ...

    @overload
    def __call__(self, function: Callable[P, AsyncIterator[Result]], /) -> AsyncRecorded[P, AsyncIterator[Result]]: ...

    @overload
    def __call__(self, function: Callable[P, Result], /) -> Recorded[P, Result]: ...


def recorded(
    store: str | os.PathLike[str],
    data_uri: str | os.PathLike[str] | None = None,
    *,
    project: str = "recorded",
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    version: str | int | None = None,
    ignore: Sequence[str] = (),
    instance: Callable[[Any], Any] | None = None,
    reuse: Reuse = "project",
) -> RecordsCalls:
    """Record the calls of a function: its results are stored, and the same arguments get the stored result.

    The result is durable before the caller gets it, and the caller gets it as it is stored: JSON, in the type that the
    function's annotation names. A call that raises is stored as a failed attempt and raises the same error; the next
    one tries again. Equal calls at the same time pay once, in all processes at the store. Nothing is opened before the
    first call; what is open is closed at the end of the program.

    The calls of a function are the inputs of one run, as long as its code, the values that it is closed over and its
    configuration stay the same: with other code it has another run, and nothing stored there. The answers of models
    that a recording client has stored are used again by that as well.

    Args:
        store: where the store is, as `open_storage` takes it; made by the first call.
        data_uri: where its data is, if not there.
        project: the project of the run.
        name: a name of the run, for people; by default the function's.
        config: what else results depend on, such as a model's name; part of what a run is made of.
        version: in place of the code, what says that results are still good: give another one when they are not.
        ignore: parameters that results do not depend on, such as clients.
        instance: of a method, what stands for its object in an input: a function of the object that returns JSON. By
            default the object itself, which must be a dataclass or a pydantic model.
        reuse: where the answers of models are looked for that a recording client has stored: see `RunOptions`.

    Raises:
        InvalidInputError: ``ignore`` names no parameter, or what is recorded is no function.
    """
    how = How(
        *(store, data_uri, project, name, dict(config or {}), None if version is None else str(version)),
        *(ignore, instance, Options(reuse=reuse)),
    )

    return cast("RecordsCalls", functools.partial(_standing, how))


def _standing(how: How, function: Callable[..., Any]) -> Any:
    """Return what stands for a function."""
    if not hasattr(function, "__code__"):
        raise InvalidInputError(
            f"recorded() takes a function, not an object of type {type(function).__name__}: put it directly above the "
            "function, below @classmethod or @staticmethod."
        )
    calls = RecordedCalls(function, how)
    return AsyncRecorded[..., Any](calls) if calls.is_async else Recorded[..., Any](calls)
