"""Finds the user's function by its name."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten

_MOST_LISTED = 8


def load_function(name: str) -> Callable[..., Any]:
    """Return the function of a name, importing its module. The current directory is importable.

    Args:
        name: ``"package.module:function"``, ``"package.module:object.method"`` or ``"path/to/file.py:function"``.

    Raises:
        InvalidInputError: the module or function does not exist, its import fails, or it cannot be called.

    >>> load_function("os.path:join").__name__
    'join'
    """
    place, _, attributes = name.rpartition(":")
    if not place or not all(part.isidentifier() for part in attributes.split(".")):
        raise _refused(
            name,
            "it does not have the form MODULE:FUNCTION",
            "write it like 'package.module:function' or 'path/to/file.py:function'; a lambda or a function inside "
            "another one cannot be named so",
        )
    if place.endswith(".py") or "/" in place or os.sep in place:
        found: Any = _file_module(name, place)
    elif all(part.isidentifier() for part in place.split(".")):
        found = _module(name, place)
    else:
        raise _refused(name, f"{shorten(place)} is not a module name", "write it like 'package.module:function'")
    path = place
    for attribute in attributes.split("."):
        try:
            child = getattr(found, attribute)
        except AttributeError as error:
            raise _refused(name, f"{shorten(path)} has no {attribute!r}", _similar(found, attribute)) from error
        found, path = child, f"{path}:{attribute}" if path == place else f"{path}.{attribute}"
    if not callable(found):
        raise _refused(name, f"it is of type {type(found).__name__}, which cannot be called", "name a function")
    return cast("Callable[..., Any]", found)


def load_function_of_run(name: str, command: str) -> Callable[..., Any]:
    """Return the function that a run was started with.

    Args:
        name: the name that is stored with the run.
        command: the command line that continues the run, for a message. A function given after it takes the place of
            the stored one.

    Raises:
        InvalidInputError: it is not found. One that a program defined in itself is found in that program only.
    """
    try:
        return load_function(name)
    except InvalidInputError as error:
        place, _, attributes = name.partition(":")
        if place != "__main__" or not all(part.isidentifier() for part in attributes.split(".")):
            raise
        raise _refused(
            name,
            "it belongs to the program that started the run, and this is another program",
            f"start your program again if it names the run, or: {command} FILE.py:{attributes}",
        ) from error


def _refused(name: str, reason: str, remedy: str) -> InvalidInputError:
    return InvalidInputError(f"function {shorten(name)} cannot be used: {reason}; {remedy}.")


def _make_importable(directory: str) -> None:
    if directory not in sys.path and not (directory == os.getcwd() and "" in sys.path):
        sys.path.insert(0, directory)  # in front, as Python does with the directory of a script
        importlib.invalidate_caches()


def _module(name: str, module: str) -> types.ModuleType:
    _make_importable(os.getcwd())
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _import_failed(name, module, error) from error
        raise _refused(
            name,
            f"there is no module {error.name!r}",
            f"check its spelling, and that it is installed or in the current directory {os.getcwd()!r}",
        ) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, module, error) from error


def _import_failed(name: str, module: str, error: BaseException) -> InvalidInputError:
    reason = f"importing {shorten(module)} failed with {type(error).__name__}: {shorten(str(error))}"
    return _refused(name, reason, "correct the module, or install what it imports")


def _file_module(name: str, path: str) -> types.ModuleType:
    """Import a Python file under its own name, or under a longer one if another module has that name."""
    whole = os.path.realpath(path)
    if not os.path.isfile(whole) or not whole.endswith(".py"):
        raise _refused(name, f"there is no Python file {shorten(whole)}", "check the path")
    _make_importable(os.path.dirname(whole))
    module_name = os.path.basename(whole).removesuffix(".py")
    known = sys.modules.get(module_name)
    if module_name in sys.stdlib_module_names or (known is not None and not _is_of_file(known, whole)):
        module_name = f"{module_name}_{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"
        known = sys.modules.get(module_name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(module_name, whole)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None, "the name ends in .py"
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise _import_failed(name, whole, error) from error
    return module


def _is_of_file(module: types.ModuleType, path: str) -> bool:
    return os.path.realpath(getattr(module, "__file__", None) or "") == path


def _similar(found: object, attribute: str) -> str:
    members = cast("Mapping[str, object]", getattr(found, "__dict__", {}))
    names = [name for name, value in members.items() if not name.startswith("_") and callable(value)]
    similar = difflib.get_close_matches(attribute, names, n=3)
    if similar:
        return f"perhaps you mean {' or '.join(map(repr, similar))}"
    own = [name for name in names if getattr(members[name], "__module__", None) == getattr(found, "__name__", None)]
    return f"it has {listed(own)}" if own else "check the spelling"


def listed(names: Iterable[str]) -> str:
    """Return names for a message: the first few, and how many more.

    >>> listed(["question", "answer"])
    "'question', 'answer'"
    """
    quoted = [shorten(name, 40) for name in names]
    shown = ", ".join(quoted[:_MOST_LISTED])
    return shown if len(quoted) <= _MOST_LISTED else f"{shown} and {len(quoted) - _MOST_LISTED} more"
