"""One name a thing: no two classes of the library are called the same, and no type alias is called like a class."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "starfish_storage"

PUBLISHED = {
    "Progress": {"copying/engine.py"},  # a callback, beside the `Progress` of runs; `copying` has published it
    "Step": {"maintenance/__init__.py"},  # what `RepairStep` was called, beside the `Step` of runs
}


def types_by_name() -> dict[str, set[str]]:
    """Return the names of classes, and with each the files that define a class or an alias of that name."""
    classes, aliases = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for path in SOURCES.rglob("*.py"):
        if path.parent.name == "sync":
            continue  # a synchronous face is called like the class that it is the face of
        file = str(path.relative_to(SOURCES))
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name].add(file)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and not is_variable(node.value):
                aliases[node.targets[0].id].add(file)
    return {name: files | aliases[name] for name, files in classes.items()}


def is_variable(value: ast.expr) -> bool:
    """Return whether this is a type variable, whose name means nothing outside of its file."""
    return (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("TypeVar", "ParamSpec")
    )


def test_no_two_types_have_one_name() -> None:
    found = types_by_name()
    assert len(found) > 300  # it does look
    doubles = {name: files - PUBLISHED.get(name, set()) for name, files in found.items()}
    assert {name: sorted(files) for name, files in doubles.items() if len(files) > 1} == {}


def test_what_is_published_is_still_double() -> None:
    found = types_by_name()
    assert all(len(found[name]) > 1 and files <= found[name] for name, files in PUBLISHED.items())
