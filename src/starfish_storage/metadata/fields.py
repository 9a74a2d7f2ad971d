"""The fields of a model as the columns of its row, converted by their types: a new field needs no code of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel

from starfish_storage.codec import decode
from starfish_storage.identifiers import check_id
from starfish_storage.metadata import values
from starfish_storage.metadata.row import Row

Model = TypeVar("Model", bound=BaseModel)
Stored = TypeVar("Stored", bound=NamedTuple)
Write = Callable[[str, Any], Any]

_IDS = frozenset({"project_id", "master_job_id", "job_id", "record_uid"})
_NEEDED: dict[Any, Write] = {
    str: values.text,
    int: values.integer,
    datetime: values.timestamp,
    dict: values.json_text,
}
_OPTIONAL: dict[Any, Write] = {
    str: values.optional_text,
    datetime: values.optional_timestamp,
    dict: values.optional_json_text,
}
_READ: dict[Any, Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    dict: lambda text: decode(text.encode()),
}
"""Of the types that a database holds as text."""


class _Type(NamedTuple):
    """The type of a field.

    Attributes:
        plain: what it is without its arguments, such as `dict` or `Literal`.
        arguments: what stood in its brackets.
        optional: whether the field may be None.
    """

    plain: Any
    arguments: tuple[Any, ...]
    optional: bool


_OPTIONAL_TEXT = _Type(str, (), optional=True)


class Fields(Generic[Model, Stored]):
    """Turns the fields of a model into the columns of its row, and back.

    A column that is no field of the model is optional text, which the model is made without.

    Args:
        model: the kind of model.
        row: the kind of row. A column has the name of its field.
        kind: what a status is called when it is refused.
    """

    def __init__(self, model: type[Model], row: type[Stored], kind: str = "") -> None:
        self._row = row
        self._names = row._fields
        types = {name: _type_of(field.annotation) for name, field in model.model_fields.items()}
        self._beside = [name for name in self._names if name not in types]
        self._write = [(name, _write(name, types.get(name, _OPTIONAL_TEXT), kind)) for name in self._names]
        self._read = [(name, _READ[one.plain]) for name, one in types.items() if one.plain in _READ]

    def row(self, model: Model, **instead: Any) -> Stored:
        """Return the row of a model.

        Args:
            model: the model.
            instead: columns that have other values than the fields of their names.
        """
        given = vars(model) | instead
        return self._row._make([write(name, given[name]) for name, write in self._write])

    def values(self, row: Row) -> dict[str, Any]:
        """Return the values of a model's fields."""
        found = dict(zip(self._names, row, strict=True))
        for name in self._beside:
            del found[name]
        for name, read in self._read:
            if found[name] is not None:
                found[name] = read(found[name])
        return found


def _type_of(annotation: Any) -> _Type:
    parts = get_args(annotation)
    optional = NoneType in parts
    if optional:
        (annotation,) = (part for part in parts if part is not NoneType)
        if get_origin(annotation) is Annotated:
            annotation, *_ = get_args(annotation)
    return _Type(get_origin(annotation) or annotation, get_args(annotation), optional)


def _write(name: str, given: _Type, kind: str) -> Write:
    if name in _IDS:
        return check_id
    if given.plain is Literal:
        return lambda _, value: values.status(kind, value, given.arguments)
    return (_OPTIONAL if given.optional else _NEEDED)[given.plain]
