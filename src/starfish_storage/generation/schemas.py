"""The schema of an output: a pydantic model or a JSON Schema. Messages name the place and never quote data."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError

from starfish_storage import codec
from starfish_storage.errors import InvalidInputError, shorten

_LONGEST_PATH = 120
_HAS_BY_NAME = "by_name" in inspect.signature(BaseModel.model_validate_json).parameters  # since pydantic 2.11
_BY_ANY_NAME: dict[str, Any] = {"by_alias": True, "by_name": True} if _HAS_BY_NAME else {}


class Schema(Protocol):
    """A schema that outputs must fit."""

    json_schema: dict[str, Any]

    def misfit(self, item: object, encoded: bytes) -> str | None:
        """Return the place and the rule that data does not fit, or None if it fits.

        Args:
            item: the object that the function returned: the data, or a pydantic model.
            encoded: the data that will be stored, as `starfish_storage.codec.encode` writes it.

        Raises:
            Exception: whatever the validators of a pydantic model raise.
        """
        ...


def schema_of(given: object) -> Schema:
    """Return the schema of a pydantic model's class or of a JSON Schema; for None, one that everything fits.

    Raises:
        InvalidInputError: it is something else, or not a valid schema.
    """
    if given is None:
        return NoSchema()
    if isinstance(given, type) and issubclass(given, BaseModel):
        return _ModelSchema(given)
    if isinstance(given, dict):
        return _JsonSchema(cast("dict[str, Any]", given))
    raise InvalidInputError(
        f"output_schema must be a class derived from pydantic.BaseModel or a JSON Schema (dict), "
        f"not {shorten(cast('object', given))}."
    )


class NoSchema:
    """A schema that everything fits."""

    def __init__(self) -> None:
        self.json_schema: dict[str, Any] = {}

    def misfit(self, item: object, encoded: bytes) -> str | None:
        """See `Schema.misfit`."""


class _ModelSchema:
    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        try:
            self.json_schema: dict[str, Any] = model.model_json_schema()
        except PydanticUserError as error:
            raise InvalidInputError(
                f"output_schema {model.__name__} has no JSON Schema: {shorten(error.message)}. Use types that JSON has."
            ) from error

    def misfit(self, item: object, encoded: bytes) -> str | None:
        """See `Schema.misfit`."""
        if isinstance(item, self._model):
            return None
        try:
            # As JSON: strict checking of JSON takes a date, which JSON can only hold as text. And strict: the data
            # is stored as it is, and must fit the schema stored with the run.
            self._model.model_validate_json(encoded, strict=True)
        except ValidationError as error:
            if self._is_dump(encoded):
                return None
            # Its message quotes the input, and a validator's may too; the names of the rules do not.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return f"at {_path(first['loc'])}: {first['type']}"
        return None

    def _is_dump(self, encoded: bytes) -> bool:
        """Return whether an instance of the model dumps itself like this: stored, it may not fit strictly."""
        try:
            # A dump has the names of fields, and a model may read their aliases only.
            instance = self._model.model_validate_json(encoded, **_BY_ANY_NAME)
            dumped: object = instance.model_dump(mode="json", warnings="none")
        except Exception:  # noqa: BLE001 (validators and serializers are any code)
            return False
        return dumped == codec.decode(encoded)


class _JsonSchema:
    def __init__(self, schema: dict[str, Any]) -> None:
        import jsonschema  # pyright: ignore[reportMissingTypeStubs] (a run without a JSON Schema does not pay for it)
        from jsonschema import exceptions, validators  # pyright: ignore[reportMissingTypeStubs]

        self.json_schema: dict[str, Any] = codec.decode(codec.encode(schema, "output_schema"))
        dialect = self.json_schema.get("$schema")
        validator: Any = jsonschema.Draft202012Validator
        if dialect is not None:
            validator = (
                validators.validator_for(self.json_schema, cast("Any", None)) if isinstance(dialect, str) else None
            )
        if validator is None:
            raise InvalidInputError(
                f"output_schema has an unknown dialect, {shorten(dialect)}; use that of 2020-12, "
                "'https://json-schema.org/draft/2020-12/schema', or an earlier one."
            )
        try:
            validator.check_schema(self.json_schema)
        except exceptions.SchemaError as error:
            raise InvalidInputError(f"output_schema is not a valid JSON Schema: {_misspelt(error)}.") from error
        registry = _registry()
        _check_references(self.json_schema, validator, registry)
        self._validator: Any = validator(self.json_schema, registry=registry)
        self._best_match: Any = cast("Any", exceptions).best_match

    def misfit(self, item: object, encoded: bytes) -> str | None:  # noqa: ARG002 (the other kind needs it)
        """See `Schema.misfit`."""
        stored = codec.decode(encoded)  # as it will read back: a tuple is an array, and names are text
        error = self._best_match(self._validator.iter_errors(stored))
        return None if error is None else _rule(error)


def _registry() -> Any:
    """Return the dialects' own schemas and nothing else: a reference must not make a run fetch something."""
    from jsonschema_specifications import REGISTRY  # pyright: ignore[reportMissingTypeStubs]

    return cast("Any", REGISTRY)


def _check_references(schema: dict[str, Any], validator: Any, registry: Any) -> None:
    """Refuse a dangling reference now, not after the first output has been paid for."""
    from referencing import Resource, exceptions
    from referencing.jsonschema import specification_with

    specification = specification_with(validator.META_SCHEMA["$schema"])
    resource: Any = Resource(contents=cast("Any", schema), specification=cast("Any", specification))
    pending: list[tuple[Any, Any]] = [(resource, registry.resolver_with_root(resource))]
    while pending:
        part, resolver = pending.pop()
        contents: Any = part.contents
        reference: object = cast("dict[str, object]", contents).get("$ref") if isinstance(contents, dict) else None
        if isinstance(reference, str):
            try:
                resolver.lookup(reference)
            except (exceptions.Unresolvable, ValueError) as error:
                raise InvalidInputError(
                    f"output_schema refers to {shorten(reference)}, which it does not contain; define it below '$defs'."
                ) from error
        pending += [(child, resolver.in_subresource(child)) for child in part.subresources()]


def _misspelt(error: Any) -> str:
    """Return what is wrong with a schema; of a word that is none of those that its dialect knows, name these."""
    choice = next((one for one in error.context or () if one.validator == "enum"), None)
    if choice is None:
        return _rule(error)
    return f"at {_path(error.absolute_path)}: it must be one of {', '.join(map(repr, choice.validator_value))}"


def _rule(error: Any) -> str:
    """Return the place and the rule of an error of `jsonschema`; its message would quote the data."""
    rule, wanted, found = error.validator, error.validator_value, error.instance
    if rule == "required" and isinstance(wanted, list):  # a bool in the oldest dialect
        text = f"{shorten(next(name for name in cast('list[str]', wanted) if name not in found), 40)} is missing"
    elif rule == "additionalProperties" and wanted is False:
        text = "it has fields that the schema does not name"
    elif isinstance(wanted, str | int | float):
        text = f"{rule} must be {shorten(wanted, 60)[1:-1] if isinstance(wanted, str) else wanted}"
    elif rule == "type":
        text = f"type must be {' or '.join(map(str, wanted))}"
    else:
        text = f"it does not fit {rule!r}"
    return f"at {_path(error.absolute_path)}: {text}"


def _path(steps: Iterable[str | int]) -> str:
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    escaped = ascii(path)[1:-1]
    return escaped if len(escaped) <= _LONGEST_PATH else f"{escaped[:_LONGEST_PATH]}..."
