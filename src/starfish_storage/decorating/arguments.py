"""The arguments of a call as the input of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, cast

from pydantic import BaseModel

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.conversion import Notes, convert

_KINDS = frozenset({"model", "Enum", "datetime", "date", "time", "timedelta", "UUID", "Decimal", "PosixPath", "tuple"})
"""What an argument may hold beside JSON: each has one form, the same in every process."""


class Arguments:
    """The rules by which the arguments of a call become an input: a JSON object of the parameters' names.

    Parameters that are not given have their defaults, so that a call with a default and one that says it are one input.

    Args:
        function: what is called.
        name: what it is called in messages.
        ignore: parameters that are no part of the input.
        instance: what stands for the object of a method in the input; None: itself, if it is a model or a dataclass.

    Raises:
        InvalidInputError: ``ignore`` names no parameter.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, ignore: Sequence[str], instance: Callable[[Any], Any] | None
    ) -> None:
        self._signature = inspect.signature(function)
        self._name = name
        self._ignored = frozenset((ignore,) if isinstance(ignore, str) else ignore)
        self._instance = instance
        unknown = sorted(self._ignored - self._signature.parameters.keys())
        if unknown:
            known = ", ".join(map(repr, self._signature.parameters)) or "none"
            raise InvalidInputError(
                f"function {shorten(name)} cannot be recorded: ignore names {unknown[0]!r}, which is none of its "
                f"parameters ({known}); correct the name."
            )

    def input_of(self, arguments: Sequence[Any], keywords: Mapping[str, Any], *, is_method: bool) -> dict[str, Any]:
        """Return the input of a call.

        Args:
            arguments: the arguments by position; of a method, its object first.
            keywords: the others.
            is_method: whether it is called as a method.

        Raises:
            TypeError: the function does not take these.
            InvalidInputError: JSON cannot hold one of them.
        """
        bound = self._bound(arguments, keywords)
        given = frozenset(bound.arguments)
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for number, (name, value) in enumerate(bound.arguments.items()):
            if name in self._ignored:
                continue
            parameter = self._signature.parameters[name]
            # A class method of Python 3.13 is no method of what stands for its function.
            if number == 0 and (is_method or isinstance(value, type)):
                found[name] = self._instance_form(name, value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                for key, one in value.items():
                    if key in found:
                        raise self._refused(key, "two arguments have this name", "rename one of them")
                    found[key] = self._json(key, one)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                if value:
                    found[name] = self._json(name, list(value))
            elif name in given or _has_form(value):  # a default that has none, such as a client, is part of the code
                found[name] = self._json(name, value)
        return found

    def _bound(self, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            return self._signature.bind(*arguments, **keywords)
        except TypeError as error:
            raise TypeError(f"{self._name.rpartition(':')[2]}(): {error}") from None

    def _instance_form(self, name: str, value: Any) -> Any:
        if self._instance is not None:
            return self._json(name, self._instance(value))
        if isinstance(value, type):
            return f"{value.__module__}:{value.__qualname__}"
        if isinstance(value, BaseModel) or is_dataclass(value):
            return self._json(name, value)
        raise self._refused(
            name,
            f"nothing says which {type(value).__name__} it is of, and another one may return something else",
            f"give recorded() ignore=[{name!r}] if all return the same, or instance=lambda {name}: ..., which returns "
            "JSON of what counts; or make the class a dataclass or a pydantic model",
        )

    def _json(self, name: str, value: Any) -> Any:
        notes = Notes()
        found = convert(value, notes)
        if notes.problem is not None:
            raise self._refused(name, f"JSON cannot hold it: {notes.problem}", _REMEDY.format(name))
        for kind, places in notes.paths.items():
            if kind not in _KINDS:
                reason = f"JSON cannot hold it as it is: {places[0]} is of kind {kind}"
                raise self._refused(name, reason, _REMEDY.format(name))
        if notes.key is not None:  # or {1: ...} and {"1": ...} would be one input
            reason = f"JSON cannot hold it as it is: the key {notes.key} is not a text"
            raise self._refused(name, reason, _REMEDY.format(name))
        return found

    def _refused(self, name: str, reason: str, remedy: str) -> InvalidInputError:
        return InvalidInputError(
            f"this call of {shorten(self._name)} cannot be recorded, because of its argument {name!r}: {reason}; "
            f"{remedy}."
        )


_REMEDY = "pass what JSON can hold, or leave it out of the input with recorded(..., ignore=[{!r}])"


def _has_form(value: Any) -> bool:
    notes = Notes()
    convert(value, notes)
    return notes.problem is None and _KINDS.issuperset(notes.counts)


def row_arguments(row: object) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return what a function is called with for an input that is given as a row: its fields, or the one value."""
    if isinstance(row, Mapping) and all(isinstance(name, str) for name in cast("Mapping[object, object]", row)):
        return (), cast("Mapping[str, Any]", row)
    return cast("tuple[Any]", (row,)), {}
