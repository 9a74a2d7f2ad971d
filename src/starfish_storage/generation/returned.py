"""What a function returned, as outputs: how many there are, and the JSON object of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from starfish_storage.codec import encode
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.value_forms import FOR_THE_PROGRAM, Items, fields_of, form_of

PLAIN = (dict, str, int, float, BaseModel)
"""Of these, each is one output, whatever it holds."""


def items_of(returned: Any) -> list[tuple[object, str]]:
    """Return the outputs that a function returned, each with its path.

    Each item of a list or tuple is one; so is each item of what converts to a list, such as a set or the rows of a
    table. Anything else is one as a whole.

    >>> items_of([{"a": 1}, "b"]), items_of({"a": 1})
    ([({'a': 1}, '$[0]'), ('b', '$[1]')], [({'a': 1}, '$')])
    """
    try:
        found: object = returned
        if not isinstance(returned, (*PLAIN, tuple)):
            found = _opened(returned)
        if isinstance(found, list | Items) or (isinstance(returned, tuple) and not _is_named(found)):
            return [(item, f"$[{number}]") for number, item in enumerate(cast("list[object]", found))]
    except BaseException as error:
        if isinstance(error, FOR_THE_PROGRAM):
            raise
        # Its own code: converting it says why it cannot be.
    return [(returned, "$")]


def as_list(returned: Any) -> list[Any]:
    """Return what a function returned as a generator would have yielded it."""
    return cast("list[Any]", returned) if isinstance(returned, list) else [returned]


def object_of(item: Any, notes: Notes, path: str) -> dict[str, Any]:
    """Return the JSON object of an output: its fields, ``{"text": ...}`` of a text, or ``{"value": ...}``.

    A dict and what a pydantic model dumps are returned as they are: they may hold what is not JSON, which `storable`
    converts. Everything else is converted here.
    """
    if isinstance(item, dict):
        return cast("dict[str, Any]", item)
    opened = fields_of(item) if _is_named(item) else _opened(item)
    if isinstance(item, BaseModel) and type(opened) is dict:
        return cast("dict[str, Any]", opened)
    is_object = isinstance(opened, Mapping)
    found: object = convert(opened, notes, path, depth=1 if is_object else 2)
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    return {"text" if isinstance(found, str) else "value": found}


def storable(data: dict[str, Any], notes: Notes, path: str) -> tuple[dict[str, Any], bytes]:
    """Return an object as it can be stored, and encoded: itself, if it is JSON.

    Args:
        data: the object.
        notes: gets what is converted, and the part that nothing can convert.
        path: where it stands.
    """
    try:
        return data, encode(data, "", joins=False)
    except BaseException as error:  # a dict of a foreign class runs its own code
        if isinstance(error, FOR_THE_PROGRAM):
            raise
        converted: object = convert(data, notes, path)
        kept = cast("dict[str, Any]", converted if isinstance(converted, dict) else {"value": converted})
        return kept, encode(kept, "")


def _is_named(item: Any) -> bool:
    return isinstance(item, tuple) and hasattr(cast("object", type(cast("object", item))), "_fields")


def _opened(item: Any) -> object:
    """Return what an object that is no JSON is a form of, one step in: for the object itself nothing is noted."""
    if item is None or isinstance(item, Mapping | list | tuple | str | int | float):
        return cast("object", item)
    try:
        form = form_of(item)
    except BaseException as error:
        if isinstance(error, FOR_THE_PROGRAM):
            raise
        return item  # converting it says why it cannot be
    return item if form is None else form.value
