"""Calls of a recorded function: by a thread that waits, and by a task."""

from __future__ import annotations

import functools
import inspect
import os
import types
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.codec import decode, encode
from starfish_storage.decorating.arguments import Arguments, row_arguments
from starfish_storage.decorating.opened import recording_of
from starfish_storage.decorating.paying import PaidCall
from starfish_storage.decorating.recording import Asker, Function, Recording, Stored
from starfish_storage.decorating.results import Results, as_data, returning_data
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.loading import function_name, stored_name
from starfish_storage.generation.options import Options
from starfish_storage.generation.sources import OR_SKIP, BadInput
from starfish_storage.portal import awaited, call
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

NO_OBJECT: Any = object()
"""In place of the object of a method: the function is none, or was not looked up in one."""


@dataclass(frozen=True, slots=True)
class How:
    """What `recorded` was told.

    Attributes:
        store: where the store lies.
        data_uri: where its data lies, if not there.
        project: the name of the project.
        name: that of the run; None: the function's.
        config: of the run.
        version: in place of the code, what says whether results are still good; None: the code.
        ignore: parameters that are no part of an input.
        instance: what stands for the object of a method.
        options: of the run.
    """

    store: str | os.PathLike[str]
    data_uri: str | os.PathLike[str] | None
    project: str
    name: str | None
    config: Mapping[str, Any]
    version: str | None
    ignore: Sequence[str]
    instance: Callable[[Any], Any] | None
    options: Options


class RecordedCalls:
    """The calls of one recorded function.

    Args:
        function: the function.
        how: what `recorded` was told.

    Raises:
        InvalidInputError: ``ignore`` names no parameter.
    """

    def __init__(self, function: Callable[..., Any], how: How) -> None:
        self.how = how
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self._is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self._arguments = Arguments(function, function_name(function), how.ignore, how.instance)
        self._results = Results(function, is_generator=self._is_generator)
        self._recording: tuple[int, Recording] | None = None

    def recording(self, stands: Callable[..., Any]) -> Recording:
        """Return the run of the function, in this process.

        Args:
            stands: what stands for the function in its module: another program finds that by its name.
        """
        if self._recording is None or self._recording[0] != os.getpid():
            how, name = self.how, self.function.__qualname__.replace("<locals>.", "")
            about = Function(
                self.function,
                stored_name(stands),
                how.name or name,
                how.project,
                how.config,
                how.version,
                how.options,
            )
            place = (how.store, how.data_uri)
            self._recording = os.getpid(), recording_of(place, self, lambda store: Recording(store, about))
        return self._recording[1]

    def input_of(self, owner: object, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input of a call.

        Raises:
            TypeError: the function does not take these arguments.
            InvalidInputError: JSON cannot hold one of them.
        """
        is_method = owner is not NO_OBJECT
        given = (owner, *arguments) if is_method else arguments
        # As it reads when it is stored: what the function changes in its arguments changes no input.
        return decode(encode(self._arguments.input_of(given, keywords, is_method=is_method), "the arguments"))

    def inputs_of_rows(self, owner: object, rows: Iterable[object], *, skips: bool) -> list[dict[str, Any]]:
        """Return the inputs of calls with the fields of each row, or with the one value that it is.

        Args:
            owner: the object of a method.
            rows: what is given.
            skips: leave a bad one out and warn of it.

        Raises:
            InvalidInputError: the function cannot be called with one of them; says which.
        """
        given: list[dict[str, Any]] = []
        for number, row in enumerate(rows):
            try:
                if isinstance(row, BadInput):
                    raise InvalidInputError(row.reason)  # noqa: TRY301 (all reasons end alike)
                given.append(self.input_of(owner, *row_arguments(row)))
            except (TypeError, InvalidInputError) as error:
                reason = str(error) if isinstance(row, BadInput) else f"input {number}: {error}"
                if not skips:
                    raise InvalidInputError(
                        f"{reason.rstrip('.')}. Nothing was started: correct it, {OR_SKIP}"
                    ) from None
                logger.warning("skipped: %s", reason)
        return given

    def in_runs(self, owner: object) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return the function, and what runs call so that its results are stored as calls store them."""
        function = self.function if owner is NO_OBJECT else types.MethodType(self.function, owner)
        return function, returning_data(function)

    # --- one call -------------------------------------------------------------------------------------------------

    def call(self, recording: Recording, given: dict[str, Any], function: Callable[[], Any]) -> list[Any]:
        """Return the results for an input, calling a plain function if they are not stored; a thread waits for it."""
        asked = Asker()
        try:
            found = call(recording.begin(given, asked))
            if isinstance(found, Stored):
                return self._results.values(found.outputs)
            paid = call(PaidCall.made(recording, found))
        except BaseException:
            call(recording.abandon(asked))
            raise
        results: list[Any] = []
        try:
            with paid.under_way():
                returned = function()
                if self._is_generator:
                    for item in cast("Iterable[object]", returned):
                        results.append(as_data(item))  # noqa: PERF401 (what came before an error is kept)
                else:
                    results.append(as_data(returned))
        except BaseException as error:
            call(paid.failed(error, results))
            raise
        return self._results.values(call(paid.completed(results)))

    async def call_async(self, recording: Recording, given: dict[str, Any], function: Callable[[], Any]) -> list[Any]:
        """Do what `call` does, for an asynchronous function, which runs in the caller's event loop."""
        asked = Asker()
        try:
            found = await awaited(recording.begin(given, asked))
            if isinstance(found, Stored):
                return self._results.values(found.outputs)
            paid = PaidCall(recording, found)
        except BaseException:
            await awaited(recording.abandon(asked))
            raise
        results: list[Any] = []
        try:
            with paid.under_way():
                returned = function()
                if self._is_generator:
                    async for item in returned:
                        results.append(as_data(item))  # noqa: PERF401 (what came before an error is kept)
                else:
                    results.append(as_data(await returned))
        except BaseException as error:
            await paid.failed(error, results)
            raise
        return self._results.values(await paid.completed(results))

    def kind_of_call(self) -> Callable[..., Any]:
        """Return how the function is called: in the way of functions of its kind."""
        if inspect.isasyncgenfunction(self.function):
            return self._async_generator
        if inspect.isgeneratorfunction(self.function):
            return self._generator
        return self._coroutine if inspect.iscoroutinefunction(self.function) else self._plain

    def _plain(self, stands: Any, owner: object, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        given, function = self._prepared(owner, arguments, keywords)
        return self.call(self.recording(stands), given, function)[0]

    def _generator(
        self, stands: Any, owner: object, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> Generator[Any]:
        given, function = self._prepared(owner, arguments, keywords)
        yield from self.call(self.recording(stands), given, function)

    async def _coroutine(
        self, stands: Any, owner: object, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> Any:
        given, function = self._prepared(owner, arguments, keywords)
        return (await self.call_async(self.recording(stands), given, function))[0]

    async def _async_generator(
        self, stands: Any, owner: object, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> AsyncGenerator[Any]:
        given, function = self._prepared(owner, arguments, keywords)
        for one in await self.call_async(self.recording(stands), given, function):
            yield one

    def _prepared(
        self, owner: object, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Callable[[], Any]]:
        given = self.input_of(owner, arguments, keywords)
        before = () if owner is NO_OBJECT else (owner,)
        return given, functools.partial(self.function, *before, *arguments, **keywords)
