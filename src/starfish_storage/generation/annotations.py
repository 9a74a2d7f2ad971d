"""What the annotation of a parameter says about the values that it takes, and validating them by it."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

_MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})
# JSON has these; a value of another of them is the function's own business, as it is without an annotation.
_JSON = _MAPPINGS | {"str", "list", "List", "tuple", "Tuple", "Sequence", "Iterable", "object", "Any", "NoneType"}

_MOST_NAMED = 3

Validate = Callable[[Any], Any]
"""Returns a value as its annotation wants it; raises a `ValueError` that says what does not fit, and quotes nothing."""


def type_name(annotation: Any) -> str:
    """Return the name of an annotation's class, without what stands in brackets."""
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2]
    origin = typing.get_origin(annotation) or annotation
    return getattr(origin, "__name__", None) or getattr(origin, "_name", None) or ""


def holds_fields(annotation: Any) -> bool:
    """Return whether a value of this type is made of named fields, as an input is.

    >>> holds_fields(dict[str, int]), holds_fields(str)
    (True, False)
    """
    if type_name(annotation) in _MAPPINGS or typing.is_typeddict(annotation):
        return True
    kind = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return False
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(cast("type[object]", kind))


def validator_of(annotation: Any) -> Validate | None:
    """Return what makes of a JSON value what an annotation says; None if it says no more than JSON does.

    Numbers are validated too: each cell of a CSV file is text, and ``int`` wants a number. Text and containers of JSON
    values are left as they are, so that a function of these costs nothing. So is what pydantic knows nothing of.
    """
    if annotation is inspect.Parameter.empty or isinstance(annotation, str) or _is_json(annotation):
        return None
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    except Exception:  # noqa: BLE001 (annotations are any code; most are classes that pydantic cannot look into)
        return None

    def validate(value: Any) -> Any:
        if type(value) is annotation:  # numbers, mostly
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(_misfit(error)) from None
        except Exception as error:  # noqa: BLE001 (a validator is any code, and its message may quote the value)
            raise ValueError(f"its validator raised {type(error).__name__}") from None

    return validate


def _is_json(annotation: Any) -> bool:
    """Return whether every value of an annotation is JSON as it is."""
    if typing.is_typeddict(annotation):
        return True
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return False
    if isinstance(annotation, typing.TypeVar) or annotation is Ellipsis:
        return True
    is_union = origin in (typing.Union, types.UnionType)
    return (is_union or type_name(annotation) in _JSON) and all(map(_is_json, typing.get_args(annotation)))


def _misfit(error: ValidationError) -> str:
    """Return where a value does not fit, and which rule; the message of a validator may quote the value."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    parts = [f"{'at ' + '.'.join(map(str, one['loc'])) + ': ' if one['loc'] else ''}{one['type']}" for one in found]
    more = f" and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return ", ".join(parts[:_MOST_NAMED]) + more
