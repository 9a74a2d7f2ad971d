"""Turns what a function returned into outputs, and checks them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from starfish_storage.codec import canonical_hash
from starfish_storage.errors import InvalidDataError, InvalidInputError, shorten
from starfish_storage.generation.schemas import NoSchema, Schema, schema_of
from starfish_storage.runs import Output

_RETURNED = "what the function returned"
_REMEDY = "return a dict, a pydantic model, Filtered(data), Duplicate(data), or a list of these"


@dataclass(frozen=True, slots=True)
class Filtered:
    """A function returns this for an output that is not good enough: it is stored as ``filtered``.

    Attributes:
        data: the output, a JSON object or a pydantic model.
        reason: why.
    """

    data: dict[str, Any] | BaseModel
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A function returns this for an output that exists already: it is stored as ``duplicate``.

    Attributes:
        data: the output, a JSON object or a pydantic model.
        reason: which output it repeats, or how that was found.
    """

    data: dict[str, Any] | BaseModel
    reason: str | None = None


class OutputChecks:
    """The checks of each output of a run, in this order; the first that refuses an output decides its status.

    ``output_schema``: an output that does not fit is ``failed``. A dict is checked as the JSON that is stored, and
    strictly: the text ``"5"`` is not an integer. To have values converted, return an instance of the pydantic model
    itself, which is not checked again. Formats such as ``"date"`` in a JSON Schema are not checked.

    ``accept``: called with the data, which it must not change. True keeps the output; False or a reason (text) makes
    it ``filtered``. It may be a coroutine function; a plain one must be quick, as it does not run in a thread. An error
    in it fails the attempt.

    ``unique_by``: the name of a field, several names, or a function of the data that returns a JSON value. Of outputs
    with equal values, all but the first become ``duplicate`` when they are stored. An output that lacks the field is
    ``failed``.

    The data of a refused output is stored too. `Filtered` and `Duplicate` skip these checks.
    """

    def __init__(
        self,
        output_schema: type[BaseModel] | dict[str, Any] | None = None,
        accept: Callable[[dict[str, Any]], Any] | None = None,
        unique_by: str | Sequence[str] | Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        """Prepare the checks.

        Raises:
            InvalidInputError: the schema is not valid, or another check has an unknown type.
        """
        self._schema: Schema = schema_of(output_schema)
        self._has_schema = not isinstance(self._schema, NoSchema)
        if accept is not None and not callable(accept):
            raise InvalidInputError(f"accept must be a function of an output's data, not {shorten(accept)}.")
        self._accept = accept
        self._unique_by = _checked_unique_by(unique_by)
        self._is_plain = not self._has_schema and accept is None and self._unique_by is None

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of an output's data; empty if the run has none."""
        return self._schema.json_schema

    async def outputs(self, returned: object) -> list[Output]:
        """Return the outputs of an attempt, checked.

        Without a check that reads the data, storing it finds out whether it is JSON.

        Raises:
            InvalidDataError: it is not an output, or its data is not JSON; names its type, never its content.
            InvalidInputError: ``accept`` or ``unique_by`` returned a value of the wrong type.
            Exception: any error in them.
        """
        if isinstance(returned, list | tuple):
            items = cast("list[object] | tuple[object, ...]", returned)
            return [await self._output(item, f"$[{place}]") for place, item in enumerate(items)]
        return [await self._output(returned, "$")]

    async def _output(self, item: object, place: str) -> Output:
        if isinstance(item, Filtered | Duplicate):
            if item.reason is not None and not isinstance(cast("object", item.reason), str):
                raise InvalidInputError(
                    f"the reason of {type(item).__name__} must be text, not {shorten(item.reason)}."
                )
            return Output(_said(item), _data(item.data, place), item.reason)
        data = _data(item, place)
        if self._is_plain:
            return Output("completed", data)
        if self._has_schema:
            misfit = self._schema.misfit(item if isinstance(item, BaseModel) else data, data)
            if misfit is not None:
                return Output("failed", data, f"output_schema: {misfit}")
        if self._accept is not None:
            accepted = await _settled(self._accept(data))
            if accepted is not True:
                return Output("filtered", data, _reason(accepted))
        if self._unique_by is None:
            return Output("completed", data)
        return await self._with_key(data, self._unique_by)

    async def _with_key(self, data: dict[str, Any], unique_by: _UniqueBy) -> Output:
        if callable(unique_by):
            value: object = await _settled(unique_by(data))
        else:
            names = (unique_by,) if isinstance(unique_by, str) else unique_by
            missing = [name for name in names if name not in data]
            if missing:
                return Output("failed", data, f"unique_by: the output has no field {shorten(missing[0])}")
            value = data[unique_by] if isinstance(unique_by, str) else [data[name] for name in unique_by]
        try:
            key = canonical_hash({"key": value})
        except InvalidDataError as error:
            raise InvalidDataError(
                "the value of unique_by",
                "$",
                f"a value of type {type(value).__name__} is not JSON; use text, numbers, or lists of these",
            ) from error
        return Output("completed", data, unique_key=key)


_UniqueBy = str | tuple[str, ...] | Callable[[dict[str, Any]], Any]


def _said(item: Filtered | Duplicate) -> Any:
    return "filtered" if isinstance(item, Filtered) else "duplicate"


def _data(item: object, place: str) -> dict[str, Any]:
    if isinstance(item, BaseModel):
        try:
            item = item.model_dump(mode="json", warnings="none")  # the warnings quote values
        except Exception as error:
            raise InvalidDataError(
                _RETURNED, place, f"pydantic cannot write the model {type(item).__name__} as JSON"
            ) from error
    if not isinstance(item, dict):
        raise InvalidDataError(_RETURNED, place, f"an object of type {type(item).__name__} is not an output; {_REMEDY}")
    return cast("dict[str, Any]", item)


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _reason(accepted: object) -> str:
    if accepted is False:
        return "accept: refused"
    if isinstance(accepted, str) and accepted:
        return accepted
    kind = "empty text" if accepted == "" else f"an object of type {type(accepted).__name__}"
    raise InvalidInputError(
        f"accept returned {kind}; return True to keep an output, False or a reason (text) to filter it."
    )


def _checked_unique_by(given: object) -> _UniqueBy | None:
    if given is None or isinstance(given, str) or callable(given):
        return given
    names = list(cast("Iterable[object]", given)) if isinstance(given, list | tuple) else []
    texts = tuple(name for name in names if isinstance(name, str))
    if not texts or len(texts) != len(names):
        raise InvalidInputError(
            f"unique_by must be the name of a field, a list of names, or a function of the data, "
            f"not {shorten(cast('object', given))}."
        )
    return texts
