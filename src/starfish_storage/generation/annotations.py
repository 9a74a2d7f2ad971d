"""What the annotation of a parameter says about the values that it takes, and validating them by it."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

_MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})
# JSON has these; a value of another of them is the function's own business, as it is without an annotation.
_JSON = _MAPPINGS | {"str", "list", "List", "tuple", "Tuple", "Sequence", "Iterable", "object", "Any", "NoneType"}

_MOST_NAMED = 3
_LONGEST_RULE = 200
_RULES = frozenset(typing.get_args(ErrorType))
"""Those of pydantic itself, whose text says what is wanted."""
_QUOTING = frozenset(
    {"assertion_error", "get_attribute_error", "iteration_error", "mapping_type", "union_tag_invalid", "value_error"}
)
"""Those of them whose text quotes foreign code, or the value."""

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


def _rule(one: ErrorDetails) -> str:
    """Return a rule and its text; that of a validator of the user's, or of foreign code, may quote the value."""
    kind = one["type"]
    if kind not in _RULES or kind in _QUOTING:
        return kind
    text = one["msg"]
    return f"{kind} ({text[:1].lower()}{text[1:_LONGEST_RULE]})"


def _misfit(error: ValidationError) -> str:
    """Return where a value does not fit, and which rule says so, in its own words if these cannot quote the value."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    parts = [f"{'at ' + '.'.join(map(str, one['loc'])) + ': ' if one['loc'] else ''}{_rule(one)}" for one in found]
    more = f" and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return ", ".join(parts[:_MOST_NAMED]) + more
