"""Each contract in `interface/` says of every method what it does, whether it may be repeated, and what it raises."""

import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from starfish_storage import interface

READS = re.compile(r"(Return|Yield|Stream|Raise) ")
CHANGES = re.compile(
    r"(save|log|put|set|delete|remove|update|register|complete|claim|finish|release|reset|start|request)_(?!config_)"
)
ERRORS = re.compile(r"\bRaises:\n|\b(Raises nothing of its own|Never raises)\b|\bRaises as `")


def abstract_methods() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.iter_modules(interface.__path__, f"{interface.__name__}."):
        for owner in vars(import_module(module.name)).values():
            if inspect.isclass(owner) and owner.__module__ == module.name:
                for name, method in vars(owner).items():
                    if getattr(method, "__isabstractmethod__", False):
                        yield f"{owner.__name__}.{name}", method


def lacks(name: str, docstring: str) -> list[str]:
    """Return what the docstring of a method does not say."""
    missing = [] if ERRORS.search(docstring) else ["'Raises:', or 'Raises nothing of its own.'"]
    if READS.match(docstring):
        if CHANGES.match(name):
            missing.append("a first word that says what it changes")
        return missing
    if not re.search(r"\b(Idempotent|Not idempotent)\b", docstring):
        missing.append("'Idempotent' or 'Not idempotent'")
    if not re.search(r"\b(Durable|Not durable|power-safe|Changes no)\b", docstring):
        missing.append("'Durable', 'Not durable' or 'power-safe'")
    return missing


METHODS = dict(abstract_methods())


@pytest.mark.parametrize("name", METHODS)
def test_every_abstract_method_states_its_contract(name: str) -> None:
    method = METHODS[name]
    docstring = inspect.getdoc(method)
    assert docstring, "there is no docstring"
    if not isinstance(method, property):  # a value: it is read at no cost, and nothing can go wrong
        missing = lacks(name.rpartition(".")[2], docstring)
        assert not missing, f"its docstring lacks {', and '.join(missing)}"


def test_the_contracts_are_found() -> None:
    owners = {name.partition(".")[0] for name in METHODS}
    assert {"DataHandler", "DataWrite", "MetadataHandler", "RowLogHandler", "Storage", "RunLedger"} <= owners
    assert len(METHODS) > 100


@pytest.mark.parametrize(
    ("name", "docstring", "number"),
    [
        ("get_thing", "Return a thing.\n\nRaises:\n    NotFoundError: there is none.", 0),
        ("get_thing", "Return a thing.", 1),
        ("save_thing", "Save a thing. Idempotent. Durable. Raises nothing of its own.", 0),
        ("save_thing", "Save a thing. Durable. Raises nothing of its own.", 1),
        ("save_thing", "Save a thing. Idempotent. Raises nothing of its own.", 1),
        ("save_thing", "Return the number of a thing, once it is saved. Raises nothing of its own.", 1),
        ("save_thing", "Save a thing.", 3),
    ],
)
def test_what_is_missing_is_found(name: str, docstring: str, number: int) -> None:
    assert len(lacks(name, docstring)) == number
