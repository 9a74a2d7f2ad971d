"""JSON text that `datasets` reads as objects: its feature type ``Json``, which is Arrow's type ``arrow.json``."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starfish_storage.export.schema import Plan
from starfish_storage.extras import DataType, arrow

DTYPES = {"boolean": "bool", "integer": "int64", "number": "float64", "string": "string", "json": "string"}

_FIRST_WITH_JSON = (4, 7)


def reads_json() -> bool:
    """Return whether JSON text can be marked: pyarrow has the type, and `datasets`, if it is installed, reads it."""
    if not hasattr(arrow(), "json_"):  # before 19
        return False
    try:
        found = re.match(r"(\d+)\.(\d+)", version("datasets"))
    except PackageNotFoundError:
        return True  # whoever opens the dataset elsewhere is likely to have a newer one
    return found is None or (int(found[1]), int(found[2])) >= _FIRST_WITH_JSON


def with_features(plan: Plan) -> Plan:
    """Return a plan whose JSON text has the feature type, but where `datasets` would not read its integers."""
    if plan.kind == "json":
        return replace(plan, has_feature=not plan.is_beyond_64_bits)
    members = tuple((name, with_features(member)) for name, member in plan.members)
    return replace(plan, members=members, items=None if plan.items is None else with_features(plan.items))


def marked(array: Any, kind: DataType) -> Any:
    """Return an array, just made of Python's values, with its JSON text marked, as a type says.

    Arrow's own `cast` makes invalid arrays of lists that hold only nulls (pyarrow 26).
    """
    pa = arrow()
    if array.type == kind:
        return array
    if pa.types.is_struct(kind):
        members = [marked(array.field(number), kind.field(number).type) for number in range(kind.num_fields)]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=array.is_null())
    if pa.types.is_list(kind):
        items = marked(array.values, kind.value_type)
        return pa.ListArray.from_arrays(array.offsets, items, type=kind, mask=array.is_null())
    return kind.wrap_array(array)


def dtype(plan: Plan) -> str:
    """Return the name of a type without anything in it, as `datasets` has it."""
    return "json" if plan.has_feature else DTYPES.get(plan.kind, "null")
