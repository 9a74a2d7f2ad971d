"""What a recorded function returned, as data of records, and back.

A call has one record. A dict is its data, a text becomes ``{"text": ...}`` and anything else ``{"value": ...}``; so is
a dict that looks like one of these. A generator has a record for each item.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter

from starfish_storage.codec import decode, encode, json_text
from starfish_storage.generation.outcomes import Duplicate, Filtered

_TEXT, _VALUE = "text", "value"
_PLAIN = frozenset({str, int, float, bool, dict, list, type(None), object, Any})


def as_data(result: object) -> object:
    """Return a result in the form that `value_of` takes back, once it is stored.

    >>> as_data("Paris"), as_data(["Paris"]), as_data({"city": "Paris"}), as_data({"text": "Paris"})
    ({'text': 'Paris'}, {'value': ['Paris']}, {'city': 'Paris'}, {'value': {'text': 'Paris'}})
    """
    if isinstance(result, Filtered | Duplicate):
        return dataclasses.replace(result, data=as_data(result.data))
    if isinstance(result, str):
        return {_TEXT: result}
    names = _names_of(result)
    return {_VALUE: result} if names is None or set(names) in ({_TEXT}, {_VALUE}) else result


def value_of(data: dict[str, Any]) -> Any:
    """Return a result of its stored data.

    >>> [value_of(data) for data in ({"text": "Paris"}, {"value": None}, {"city": "Paris"})]
    ['Paris', None, {'city': 'Paris'}]
    """
    if data.keys() == {_TEXT} and isinstance(data[_TEXT], str):
        return data[_TEXT]
    return data[_VALUE] if data.keys() == {_VALUE} else data


def _names_of(result: object) -> Any:
    if isinstance(result, Mapping):
        return cast("Mapping[object, object]", result).keys()
    if isinstance(result, BaseModel):
        return type(result).model_fields
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return [one.name for one in dataclasses.fields(result)]
    return None


def returning_data(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the same kind that returns, or yields, what `as_data` makes of each result."""
    if inspect.isasyncgenfunction(function):

        async def yielding_later(*arguments: Any, **keywords: Any) -> AsyncGenerator[object]:
            async for item in function(*arguments, **keywords):
                yield as_data(item)

        return functools.wraps(function)(yielding_later)
    if inspect.isgeneratorfunction(function):

        def yielding(*arguments: Any, **keywords: Any) -> Generator[object]:
            for item in function(*arguments, **keywords):
                yield as_data(item)

        return functools.wraps(function)(yielding)
    if inspect.iscoroutinefunction(function):

        async def returning_later(*arguments: Any, **keywords: Any) -> object:
            return as_data(await function(*arguments, **keywords))

        return functools.wraps(function)(returning_later)

    def returning(*arguments: Any, **keywords: Any) -> object:
        return as_data(function(*arguments, **keywords))

    return functools.wraps(function)(returning)


class Results:
    """Gives callers what is stored, in the types that the function says it returns.

    A first call returns what a later one will. So a model that is stored as JSON comes back as a model, if the
    annotation names it; where the annotation says nothing, or does not fit, the JSON is returned.

    Args:
        function: the function.
        is_generator: whether each item has a record.
    """

    def __init__(self, function: Callable[..., Any], *, is_generator: bool) -> None:
        self._function = function
        self._is_generator = is_generator

    def values(self, stored: list[dict[str, Any]]) -> list[Any]:
        """Return the results in stored data, which share nothing with it."""
        return [self._typed(value_of(decode(encode(data, "a result")))) for data in stored]

    def _typed(self, value: Any) -> Any:
        adapter = self._adapter
        if adapter is None:
            return value
        try:
            return adapter.validate_json(json_text(value), strict=True)
        except ValueError:
            return value

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[Any] | None:
        try:
            kind: Any = typing.get_type_hints(self._function, include_extras=True).get("return")
            if self._is_generator and kind is not None:
                kind = next(iter(typing.get_args(kind)), None)
            if kind is None or ((typing.get_origin(kind) or kind) in _PLAIN and not any(_more_in(kind))):
                return None
            return TypeAdapter(kind)
        except Exception:  # noqa: BLE001 (annotations are any code, and of classes that pydantic does not know)
            return None


def _more_in(kind: Any) -> Iterator[bool]:
    """Yield True for each type inside an annotation that is more than JSON."""
    for part in typing.get_args(kind):
        if (typing.get_origin(part) or part) not in _PLAIN:
            yield True
        yield from _more_in(part)
