"""What becomes of Arrow's values in JSON: nothing that they say is lost, or they are refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from starfish_storage.codec import decode
from starfish_storage.extras import arrow

Convert = Callable[[Any], Any]


def readable_type(kind: Any) -> Any:
    """Return the type that a column is cast to before Python reads it: times to their text, which has all digits.

    Raises:
        TypeError: its values have no form in JSON; says why.
    """
    pa = arrow()
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return readable_type(kind.storage_type)
    if types.is_dictionary(kind):
        return readable_type(kind.value_type)
    if types.is_duration(kind) or types.is_interval(kind):
        raise TypeError("JSON has no form for spans of time")
    if types.is_temporal(kind) or types.is_decimal(kind):
        return pa.string()
    if types.is_nested(kind):
        return _readable_nested(pa, kind)
    if types.is_null(kind):
        return pa.bool_()  # all null, too: Arrow's cast of a list of type null makes a broken one (pyarrow 26)
    is_simple = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    if not (is_simple or _is_text(kind) or _is_binary(kind)):
        raise TypeError("it is not known how to write that as JSON")
    return kind


def _readable_nested(pa: Any, kind: Any) -> Any:
    types = pa.types
    if types.is_map(kind):
        if not _is_text(kind.key_type):
            raise TypeError("the keys of a JSON object are text")
        return pa.map_(kind.key_type, readable_type(kind.item_type))
    if types.is_struct(kind):
        if len({field.name for field in kind}) < kind.num_fields:
            raise TypeError("it has two fields of one name")
        return pa.struct([pa.field(field.name, readable_type(field.type), field.nullable) for field in kind])
    if types.is_fixed_size_list(kind):
        return pa.list_(readable_type(kind.value_type), kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(readable_type(kind.value_type))
    if types.is_list(kind):
        return pa.list_(readable_type(kind.value_type))
    raise TypeError("it is not known how to write that as JSON")


def converter(kind: Any, *, parse_json: bool = False) -> Convert | None:  # noqa: PLR0911 (a table)
    """Return what makes JSON of the values of a type, as `readable_type` lets Python read them; None: they are JSON.

    Args:
        kind: the type.
        parse_json: text of the type ``arrow.json``, which `datasets` uses for objects, becomes what it says.
    """
    pa = arrow()
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        is_json = parse_json and kind.extension_name == "arrow.json"
        return _parsed if is_json else converter(kind.storage_type, parse_json=parse_json)
    if types.is_dictionary(kind):
        return converter(kind.value_type, parse_json=parse_json)
    if types.is_timestamp(kind):
        return _time
    if types.is_map(kind):
        return _of_map(converter(kind.item_type, parse_json=parse_json))
    if types.is_struct(kind):
        return _of_struct({field.name: converter(field.type, parse_json=parse_json) for field in kind})
    if types.is_nested(kind):
        return _of_list(converter(kind.value_type, parse_json=parse_json))
    return _base64 if _is_binary(kind) else None


def _is_text(kind: Any) -> bool:
    types = arrow().types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_binary(kind: Any) -> bool:
    types = arrow().types
    kinds = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(is_kind(kind) for is_kind in kinds)


def _time(text: str) -> str:
    """Return a time as ISO 8601.

    >>> _time("2026-01-31 12:00:00.5+0100"), _time("2026-01-31 12:00:00Z"), _time("2026-01-31 12:00:00")
    ('2026-01-31T12:00:00.5+01:00', '2026-01-31T12:00:00Z', '2026-01-31T12:00:00')
    """
    date, _, clock = text.partition(" ")
    return f"{date}T{clock[:-2]}:{clock[-2:]}" if clock[-5:-4] in ("+", "-") else f"{date}T{clock}"


def _parsed(text: str) -> Any:
    return decode(text.encode())


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _of_list(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda values: [None if value is None else convert(value) for value in values]


def _of_struct(converters: dict[str, Convert | None]) -> Convert | None:
    some = {name: convert for name, convert in converters.items() if convert is not None}
    if not some:
        return None

    def convert(value: dict[str, Any]) -> dict[str, Any]:
        return {
            name: some[name](child) if name in some and child is not None else child for name, child in value.items()
        }

    return convert


def _of_map(convert: Convert | None) -> Convert:
    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {key: value if convert is None or value is None else convert(value) for key, value in pairs}
        if len(found) < len(pairs):
            raise ValueError("a map has one key twice")
        return found

    return to_object
