"""The fields of a model as the columns of its row, converted by their types: a new field needs no code of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError
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

# By the slots themselves: `object.__setattr__`, which looks each of them up, takes twice as long.
_set_values, _set_fields_set, _set_extra, _set_private = (
    BaseModel.__dict__[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


class _Type(NamedTuple):
    """The type of a field.

    Attributes:
        plain: the type without its arguments, such as `dict` or `Literal`.
        arguments: the types in its brackets.
        optional: whether the field may be None.
    """

    plain: Any
    arguments: tuple[Any, ...]
    optional: bool


class Fields(Generic[Model, Stored]):
    """Turns the fields of a model into the columns of its row, and back.

    Args:
        model: the kind of model.
        row: the kind of row: a column for each field, in their order and of their names, and what it has beside them.
        kind: what a status is called when it is refused.
        given: fields that the caller converts itself.
    """

    def __init__(self, model: type[Model], row: type[Stored], kind: str = "", given: Collection[str] = ()) -> None:
        self._model = model
        types = {name: _type_of(field.annotation) for name, field in model.model_fields.items()}
        self._make = row._make
        self._names = tuple(types)
        self._write = [
            (name, None if name in given or name not in types else _write(name, types[name], kind))
            for name in row._fields
        ]
        self._read = [(name, _READ[one.plain]) for name, one in types.items() if one.plain in _READ]

    def row(self, model: Model, **given: Any) -> Stored:
        """Return the row of a model.

        Args:
            model: the model.
            given: the columns that do not follow from the type of a field, as they are stored.
        """
        fields = vars(model)
        return self._make([given[name] if write is None else write(name, fields[name]) for name, write in self._write])

    def model_of(self, value: object) -> Model:
        """Return a model as it is, or one made from an object with its attributes, such as Starfish's own models.

        Raises:
            InvalidInputError: it lacks one, or has one of another type.
        """
        model = self._model
        if isinstance(value, model):
            return value
        try:
            return model.model_validate(value)
        except ValidationError as error:
            # The fields and what is wrong with them, and not pydantic's own text, which quotes their values.
            wrong = ", ".join(f"{one['loc'][0] if one['loc'] else 'it'}: {one['type']}" for one in error.errors())
            raise InvalidInputError(f"a {model.__name__} is needed, not {type(value).__name__} ({wrong}).") from error

    def model(self, values: dict[str, Any]) -> Model:
        """Return a model of values that this library wrote itself.

        Does what `model_construct` does when every field is given, at a third of its price: lists and streams spend
        their time here.
        """
        made = self._model.__new__(self._model)
        _set_values(made, values)
        _set_fields_set(made, set(values))
        _set_extra(made, None)
        _set_private(made, None)
        return made

    def values(self, row: Row) -> dict[str, Any]:
        """Return the values of a model's fields from a row, with or without what that has beside them."""
        found = dict(zip(self._names, row, strict=False))
        for name, read in self._read:
            text = found[name]
            if text is not None:
                found[name] = read(text)
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
        known = given.arguments
        return lambda _, value: value if value in known else values.status(kind, value, known)
    return (_OPTIONAL if given.optional else _NEEDED)[given.plain]
