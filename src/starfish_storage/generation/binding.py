"""Which parameter of a user's function gets what: the fields of an input, the whole input, or the context."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.annotations import Validate, holds_fields, type_name, validator_of
from starfish_storage.generation.loading import listed

_MISSING = inspect.Parameter.empty
_NAMES_OF_THE_INPUT = frozenset({"input", "row", "record", "item", "data"})
_SAYS_NOTHING = frozenset({"object", "Any"})
_TEXT = _SAYS_NOTHING | {"str"}
_OF_ONE_VALUE = frozenset({"str", "int", "float", "bool", "bytes", "list", "tuple", "set", "frozenset"})

TEXT_FIELD = "text"
"""The one field of an input that was given as a text."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A parameter that gets a field of the input, the context, or the whole input."""

    name: str
    default: object
    is_positional: bool
    gets_context: bool = False
    unless_field: bool = False  # the context only if the input has no field of this name
    may_get_input: bool = False
    may_get_text: bool = False
    validate: Validate | None = None


class Binding:
    """The rules by which a function's parameters get the fields of an input.

    A parameter annotated as ``Context`` gets the context. If no parameter is, one named ``context`` without annotation
    gets it, unless the input has a field of that name. Every other parameter gets the field of its name, and the
    remaining fields go to ``**kwargs``, or are left out.

    If exactly one other positional parameter is left, and the input has no field of its name, it gets the whole input
    if it is annotated as a dict, a mapping, a `TypedDict`, a pydantic model or a dataclass, or has no annotation and is
    named ``input``, ``row``, ``record``, ``item`` or ``data``. Another one gets the text, if that is all there is in
    the input. Anything else is an error, because it would hide a misspelt field. A function without a signature, or
    one that Python did not compile, gets the whole input.

    A value is validated by its annotation where that says more than JSON does: a model gets a model.

    Args:
        function: what is called.
        name: what it is called in messages.
        context_type: the class of the context.
    """

    def __init__(self, function: Callable[..., Any], name: str, context_type: type | None) -> None:
        self._name = name
        self._wanted, self._takes_rest = _parameters(function, context_type)
        self._validates = any(one.validate is not None for one in self._wanted)

    def check(self, run_config: dict[str, Any]) -> None:
        """Check that the function can be called with an input.

        Raises:
            InvalidInputError: the input has no field for a parameter, or its value does not fit the annotation; names
                it, the input's fields, and the remedy.
        """
        for wanted in self._wanted:
            if wanted.name in run_config:
                continue
            if wanted.default is _MISSING and not wanted.gets_context and not _fills(wanted, run_config):
                raise self._no_field(wanted.name, run_config)
        if self._validates:
            self.arguments(run_config, None)

    def arguments(self, run_config: dict[str, Any], context: object) -> tuple[list[Any], dict[str, Any]]:
        """Return what the function is called with, which shares nothing mutable with the input.

        Raises:
            InvalidInputError: as for `check`.
        """
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        takes_rest = self._takes_rest
        for wanted in self._wanted:
            has_field = wanted.name in run_config
            if wanted.gets_context and not (wanted.unless_field and has_field):
                value = context
            elif has_field:
                value = self._valid(wanted, run_config[wanted.name])
            elif wanted.may_get_input:
                value = self._valid(wanted, run_config)
                takes_rest = False
            elif wanted.may_get_text and _is_text(run_config):
                value = self._valid(wanted, run_config[TEXT_FIELD])
                takes_rest = False
            elif wanted.default is not _MISSING:
                value = wanted.default
            else:
                raise self._no_field(wanted.name, run_config)
            if wanted.is_positional:
                positional.append(value)
            else:
                keywords[wanted.name] = value
        if takes_rest:
            taken = {one.name for one in self._wanted}
            keywords.update((name, _copied(value)) for name, value in run_config.items() if name not in taken)
        return positional, keywords

    def _valid(self, wanted: _Wanted, value: Any) -> Any:
        copy = _copied(value)
        if wanted.validate is None:
            return copy
        try:
            return wanted.validate(copy)
        except ValueError as error:
            raise InvalidInputError(
                f"function {shorten(self._name)} cannot be called: the input does not fit the annotation of its "
                f"parameter {wanted.name!r}: {error}. Correct the input or the annotation."
            ) from None

    def _no_field(self, name: str, run_config: dict[str, Any]) -> InvalidInputError:
        fields = listed(run_config) if run_config else "none"
        return InvalidInputError(
            f"function {shorten(self._name)} cannot be called: the input has no field for its parameter {name!r}; its "
            f"fields are: {fields}. Rename one of the two, give the parameter a default, or let it take the whole "
            "input: as the only parameter, annotated as dict or named 'row'."
        )


def _fills(wanted: _Wanted, run_config: dict[str, Any]) -> bool:
    """Return whether an input without a field of a parameter's name can be its value."""
    return wanted.may_get_input or (wanted.may_get_text and _is_text(run_config))


def _is_text(run_config: dict[str, Any]) -> bool:
    return len(run_config) == 1 and type(run_config.get(TEXT_FIELD)) is str


def _copied(value: Any) -> Any:
    """Return a JSON value that shares nothing mutable with another; `copy.deepcopy` takes five times as long."""
    if isinstance(value, dict):
        return {name: _copied(child) for name, child in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_copied(child) for child in cast("list[Any]", value)]
    return value


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
    only = rest[0] if len(rest) == 1 else None
    is_foreign = not _is_compiled_by_python(function)
    wanted = [
        _Wanted(
            one.name,
            one.default,
            is_positional=one.kind is one.POSITIONAL_ONLY,
            gets_context=one.name in contexts,
            unless_field=unless_field,
            may_get_input=one is only and (is_foreign or _may_be_input(one, kinds[one.name])),
            may_get_text=one is only and one.default is _MISSING and _may_be_text(kinds[one.name]),
            validate=None if one.name in contexts else validator_of(hints.get(one.name, one.annotation)),
        )
        for one in parameters
    ]
    return wanted, takes_rest


def _written(function: Any) -> Any:
    """Return the function, method, class or method of calling that stands behind something that can be called."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    function = inspect.unwrap(function)
    if isinstance(function, type):
        return cast("Any", function).__init__
    if isinstance(function, types.FunctionType | types.MethodType):
        return function
    return type(function).__call__


def _is_compiled_by_python(function: Any) -> bool:
    """Return whether a function has parameters that its author has named: those of builtins are nobody's to rename."""
    return hasattr(_written(function), "__code__")


def _hints(function: Any) -> dict[str, Any]:
    """Return the types of the annotations; an empty dict if they cannot be resolved, as names imported for checkers."""
    try:
        return typing.get_type_hints(_written(function), include_extras=True)
    except Exception:  # noqa: BLE001 (annotations are any code)
        return {}


def _alternatives(annotation: Any) -> list[Any]:
    """Return the types of an annotation, without None; as written, where they could not be resolved."""
    if isinstance(annotation, str):
        text = annotation.strip("'\" ").removeprefix("typing.")
        if text.startswith("Optional["):
            text = text.removeprefix("Optional[").removesuffix("]")
        return [part for one in text.split("|") if (part := one.strip("'\" ")) != "None"]
    if typing.get_origin(annotation) is typing.Annotated:
        return _alternatives(typing.get_args(annotation)[0])
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

    A name of its own cannot: a misspelt field would come to light only after the model was paid, or never.
    """
    if any(holds_fields(one) for one in alternatives):
        return True
    says_nothing = _SAYS_NOTHING.issuperset(map(type_name, alternatives))
    is_unknown = any(isinstance(one, str) and type_name(one) not in _OF_ONE_VALUE for one in alternatives)
    is_named_so = parameter.name in _NAMES_OF_THE_INPUT and (says_nothing or is_unknown)
    return is_named_so and parameter.default is _MISSING


def _may_be_text(alternatives: list[Any]) -> bool:
    return not alternatives or any(type_name(one) in _TEXT for one in alternatives)
