"""Calls the user's function: gives each parameter its value, and runs a plain function in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import types
import typing
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.loading import listed
from starfish_storage.generation.threads import Threads

_MISSING = inspect.Parameter.empty
_NOT_THE_INPUT = frozenset({"str", "int", "float", "bool", "bytes", "list", "tuple", "set", "frozenset"})
_THE_INPUT = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A parameter that gets a field of the input, the context, or the whole input."""

    name: str
    default: object
    is_positional: bool
    gets_context: bool = False
    unless_field: bool = False  # the context only if the input has no field of this name
    may_get_input: bool = False


class BoundFunction:
    """A user's function, and the rules by which its parameters get the fields of an input.

    A parameter annotated as ``Context`` gets the context. If no parameter is, one named ``context`` without annotation
    gets it, unless the input has a field of that name. If exactly one other positional parameter is left, and the input
    has no field of its name, it gets the whole input, unless it is annotated as text, a number or a list, or has a
    default. Every other parameter gets the field of its name. The remaining fields go to ``**kwargs``, or are left
    out. A function without a signature gets the whole input.

    Attributes:
        name: ``"module:qualified.name"``.
    """

    def __init__(self, function: Callable[..., Any], max_threads: int, *, context_type: type | None = None) -> None:
        """Inspect the function, without calling it.

        Args:
            function: coroutine function, plain function, (async) generator function, or a callable object.
            max_threads: how many calls of a plain function run at a time; abandoned ones do not count.
            context_type: the class of the context.

        Raises:
            InvalidInputError: it cannot be called.
        """
        if not callable(function):
            raise InvalidInputError(
                f"function must be callable, not an object of type {type(function).__name__}; pass the function itself."
            )
        self.name = function_name(function)
        self._function = function
        self._is_async = _is_async(function)
        self._threads = Threads("starfish-storage-call")
        self._turn = asyncio.Semaphore(max_threads)
        self._wanted, self._takes_rest = _parameters(function, context_type)

    def check(self, run_config: dict[str, Any]) -> None:
        """Check that the function can be called with an input.

        Raises:
            InvalidInputError: the input has no field for a parameter; names it, the input's fields, and the remedy.
        """
        for wanted in self._wanted:
            if wanted.default is not _MISSING or wanted.may_get_input or wanted.name in run_config:
                continue
            if not wanted.gets_context:
                raise self._no_field(wanted.name, run_config)

    async def call(self, run_config: dict[str, Any], context: object) -> Any:
        """Call the function with an input and return its result; for a generator, the list of what it yields.

        A plain function runs in a thread, with a copy of the caller's context variables. If the call is cancelled, the
        thread runs on to its end, and its result is dropped.

        Args:
            run_config: the input; the function gets a copy.
            context: for the parameter that asks for it.

        Raises:
            InvalidInputError: the input has no field for a parameter.
            RuntimeError: the function raised `StopIteration`, or a `CancelledError` though nobody cancelled it.
            Exception: what the function raised.
        """
        arguments, keywords = self._bind(run_config, context)
        call = functools.partial(self._function, *arguments, **keywords)
        try:
            result = call() if self._is_async else await self._in_thread(call)
            if inspect.isawaitable(result):
                result = await result
            if inspect.isasyncgen(result):
                result = await _collected(result)
            elif inspect.isgenerator(result):
                result = await self._in_thread(functools.partial(list[Any], result))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError(f"function {self.name} awaited something that was cancelled") from error
        return result

    def close(self) -> None:
        """Start no more calls in threads. Running calls go on, and nobody waits for them. Idempotent."""
        self._threads.close()

    def _bind(self, run_config: dict[str, Any], context: object) -> tuple[list[Any], dict[str, Any]]:
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        for wanted in self._wanted:
            has_field = wanted.name in run_config
            if wanted.gets_context and not (wanted.unless_field and has_field):
                value = context
            elif has_field:
                value = _copied(run_config[wanted.name])
            elif wanted.may_get_input:
                value = _copied(run_config)
            elif wanted.default is not _MISSING:
                value = wanted.default
            else:
                raise self._no_field(wanted.name, run_config)
            if wanted.is_positional:
                arguments.append(value)
            else:
                keywords[wanted.name] = value
        if self._takes_rest and not any(one.may_get_input and one.name not in run_config for one in self._wanted):
            taken = {one.name for one in self._wanted}
            keywords.update((name, _copied(value)) for name, value in run_config.items() if name not in taken)
        return arguments, keywords

    def _no_field(self, name: str, run_config: dict[str, Any]) -> InvalidInputError:
        fields = listed(run_config) if run_config else "none"
        return InvalidInputError(
            f"function {shorten(self.name)} cannot be called: the input has no field for its parameter {name!r}; its "
            f"fields are: {fields}. Rename one of the two, give the parameter a default, or let the function "
            "take the whole input as its only parameter."
        )

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        async with self._turn:  # released when the call is abandoned: one that hangs blocks no other
            return await self._threads.run(lambda: _plain_call(call))


def function_name(function: Callable[..., Any]) -> str:
    """Return the name by which `load_function` finds a function, as far as it has one.

    >>> function_name(functools.partial(shorten, limit=10))
    'starfish_storage.wording:shorten'
    """
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', None) or 'builtins'}:{named.__qualname__}"


def _plain_call(call: Callable[[], Any]) -> Any:
    """Call a plain function in a thread; run a generator to its end."""
    try:
        result = call()
        return list(cast("Any", result)) if inspect.isgenerator(result) else result
    except (StopIteration, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
        # asyncio's futures refuse the first (the caller would wait forever), and mistake the others for their own.
        raise RuntimeError(f"the function raised {type(error).__name__}") from error


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def _copied(value: Any) -> Any:
    """Return a JSON value that shares nothing mutable with another; `copy.deepcopy` takes five times as long."""
    if isinstance(value, dict):
        return {name: _copied(child) for name, child in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_copied(child) for child in cast("list[Any]", value)]
    return value


def _is_async(function: Any) -> bool:
    """Return whether a call only makes an awaitable, so that it needs no thread."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    calls = (function,) if isinstance(function, type) else (function, getattr(function, "__call__", None))  # noqa: B004 (its kind decides)
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in calls)


def _parameters(function: Callable[..., Any], context_type: type | None) -> tuple[list[_Wanted], bool]:
    """Return the parameters of a function, and whether it takes the remaining fields."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # many builtins have no signature
        return [_Wanted("", _MISSING, is_positional=True, may_get_input=True)], False
    takes_rest = any(one.kind is one.VAR_KEYWORD for one in parameters)
    parameters = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if all(one.annotation is _MISSING for one in parameters):
        hints: dict[str, Any] = {}
    else:
        hints = _hints(function)
    kinds = {one.name: _alternatives(hints.get(one.name, one.annotation)) for one in parameters}
    contexts = {name for name, found in kinds.items() if any(_is_context(one, context_type) for one in found)}
    unless_field = not contexts
    if unless_field:
        contexts = {one.name for one in parameters if one.name == "context" and one.annotation is _MISSING}
    rest = [one for one in parameters if one.name not in contexts and one.kind is not one.KEYWORD_ONLY]
    wanted = [
        _Wanted(
            one.name,
            one.default,
            is_positional=one.kind is one.POSITIONAL_ONLY,
            gets_context=one.name in contexts,
            unless_field=unless_field,
            may_get_input=len(rest) == 1 and one is rest[0] and _may_be_input(one, kinds[one.name]),
        )
        for one in parameters
    ]
    return wanted, takes_rest


def _hints(function: Any) -> dict[str, Any]:
    """Return the types of the annotations; an empty dict if they cannot be resolved, as names imported for checkers."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    function = inspect.unwrap(function)
    if isinstance(function, type):
        function = cast("Any", function).__init__
    elif not isinstance(function, types.FunctionType | types.MethodType):
        function = type(function).__call__
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 (annotations are any code)
        return {}


def _alternatives(annotation: Any) -> list[Any]:
    """Return the types of an annotation, without None; as written, where they could not be resolved."""
    if isinstance(annotation, str):
        text = annotation.strip("'\" ").removeprefix("typing.")
        if text.startswith("Optional["):
            text = text.removeprefix("Optional[").removesuffix("]")
        return [part for one in text.split("|") if (part := one.strip("'\" ")) != "None"]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [one for one in typing.get_args(annotation) if one is not type(None)]
    return [] if annotation is _MISSING else [annotation]


def _is_context(annotation: Any, context_type: type | None) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "Context"
    if annotation is context_type:
        return True
    whole_name = (getattr(annotation, "__module__", None), getattr(annotation, "__qualname__", None))
    return whole_name == ("starfish_storage.generation.context", "Context")


def _may_be_input(parameter: inspect.Parameter, alternatives: list[Any]) -> bool:
    """Return whether the only parameter can take the whole input if the input has no field of its name.

    Text cannot: otherwise a misspelt field of one input would come to light only after the model was paid.
    """
    names = {_type_name(one) for one in alternatives}
    if names & _THE_INPUT or any(typing.is_typeddict(one) for one in alternatives):
        return True
    return not (names and names <= _NOT_THE_INPUT) and parameter.default is _MISSING


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2]
    return getattr(typing.get_origin(annotation) or annotation, "__name__", "")
