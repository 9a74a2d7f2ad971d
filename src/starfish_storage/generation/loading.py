"""Finds the user's function by its name."""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.code_identity import PROGRAMS, is_installed
from starfish_storage.redaction import redact_error
from starfish_storage.user_modules import REMEDY, module_import

Imported = TypeVar("Imported")

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
        except Exception as error:  # a `__getattr__` of the user's
            reason = f"looking for {attribute!r} in {shorten(path)} failed with {type(error).__name__}"
            raise _refused(name, reason, "correct it, or name a function") from error
        found, path = child, f"{path}:{attribute}" if path == place else f"{path}.{attribute}"
    found = _behind(found)
    if not callable(found):
        raise _refused(name, f"it is of type {type(found).__name__}, which cannot be called", "name a function")
    return cast("Callable[..., Any]", found)


def function_name(function: Callable[..., Any]) -> str:
    """Return the name by which `load_function` finds a function, as far as it has one.

    >>> function_name(functools.partial(function_name, len))
    'starfish_storage.generation.loading:function_name'
    """
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', None) or 'builtins'}:{named.__qualname__}"


def stored_name(function: Callable[..., Any]) -> str:
    """Return the name of a function that is stored with a run: another program finds it by that.

    A function of a script, or of another file that is in no package and not installed, is named by its file, with the
    whole path: ``"/home/me/answers.py:answer"``. One of a package beside the script, or in the current directory, is
    named by its module, with that directory: ``"/home/me/package.module:answer"``. So the command line finds it from
    every directory. What was typed in,
    is inside another function, or holds values (a `functools.partial`, an object), is found by nobody, and keeps the
    name of its module.
    """
    name = function_name(function)
    module, _, attributes = name.partition(":")
    if not is_what_it_names(function):
        return name
    found = sys.modules.get(module)
    file = os.path.realpath(getattr(found, "__file__", None) or "")
    if module in PROGRAMS and file_of(function) != file:
        return name  # typed in, or made by `exec`, in a program that has a file
    spec = getattr(found, "__spec__", None)
    if module in PROGRAMS and spec is not None and "." in spec.name:  # python -m package.module
        return f"{spec.name}:{attributes}"
    if not file.endswith(".py") or not os.path.isfile(file) or is_installed(file):
        return name
    if "." not in module and not hasattr(found, "__path__"):
        return f"{file}:{attributes}"
    directory = _directory_of_package(module, file)
    return name if directory is None else f"{os.path.join(directory, module)}:{attributes}"


def _directory_of_package(module: str, file: str) -> str | None:
    """Return the directory that a module was imported from, if that is the script's or the current one.

    Of others, such as those of `PYTHONPATH`, another program is taken to know as well.
    """
    directory = file.removesuffix(".py").removesuffix(f"{os.sep}__init__")
    for part in reversed(module.split(".")):
        directory, last = os.path.split(directory)
        if last != part:
            return None
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    # Not by `getcwd`, which fails in a directory that was deleted.
    known = [os.curdir, *([os.path.dirname(script)] if script else ())]
    return directory if directory in map(os.path.realpath, known) else None


def is_what_it_names(function: Callable[..., Any]) -> bool:
    """Return whether a function is what stands in its module under its name."""
    module, _, attributes = function_name(function).partition(":")
    found: Any = sys.modules.get(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute, None)
    return _behind(found) is function or (isinstance(found, types.MethodType) and found == function)  # of a class


def _behind(found: Any) -> Any:
    """Return the function of an object that cannot be called itself, as of what Starfish's ``@data_factory`` makes."""
    function = None if callable(found) else getattr(found, "__func__", None)
    return function if callable(function) else found


def file_of(function: Callable[..., Any]) -> str | None:
    """Return the absolute path of the file that a function is written in; None of one that was typed in."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    function = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(function, "__code__", None)
    named: Any = function if isinstance(function, type) else type(function)
    there = getattr(sys.modules.get(named.__module__), "__file__", None) if code is None else code.co_filename
    return os.path.realpath(there) if there and os.path.isfile(there) else None


def is_found_by_name(name: str) -> bool:
    """Return whether a stored name is one by which another program finds the function.

    >>> is_found_by_name("/home/me/answers.py:answer"), is_found_by_name("__main__:answer")
    (True, False)
    """
    place, _, attributes = name.rpartition(":")
    return place not in PROGRAMS and all(part.isidentifier() for part in attributes.split("."))


def shown_name(name: str) -> str:
    """Return the name of a function for people: of a file, without the directories it lies in.

    >>> shown_name("/home/me/answers.py:answer"), shown_name("answers:answer")
    ('answers.py:answer', 'answers:answer')
    """
    place, _, attributes = name.rpartition(":")
    return f"{os.path.basename(place)}:{attributes}" if os.path.isabs(place) else name


def load_function_of_run(name: str, command: str) -> Callable[..., Any]:
    """Return the function that a run was started with.

    Args:
        name: the name that is stored with the run.
        command: the command line that continues the run, for a message. A function given after it takes the place of
            the stored one.

    Raises:
        InvalidInputError: it is not found. One that was typed in is found in that program only, and so is one of a
            script in a run that an earlier version started.
    """
    place, _, attributes = name.rpartition(":")
    try:
        return load_stored_function(name)
    except InvalidInputError as error:
        is_by_file = place.endswith(".py") and os.path.isabs(place) and not os.path.exists(place)
        if not (is_by_file or place == "__main__") or not all(part.isidentifier() for part in attributes.split(".")):
            raise
        if is_by_file:
            reason, remedy = f"its file {shorten(place)} is not there", "put it back"
        else:
            reason = "it belongs to the program that started the run, and this is another program"
            remedy = "start your program again if it names the run"
        raise _refused(shown_name(name), reason, f"{remedy}, or: {command} FILE.py:{attributes}") from error


def load_stored_function(name: str) -> Callable[..., Any]:
    """Return the function that `stored_name` has named. A file that is gone may lie in the current directory.

    A package whose directory is gone may lie wherever this program imports from.

    Raises:
        InvalidInputError: as `load_function`.
    """
    place, _, attributes = name.rpartition(":")
    here = os.path.basename(place)
    if os.path.isabs(place) and not here.endswith(".py"):  # the module of a package, and its directory before it
        if os.path.isdir(directory := os.path.dirname(place)):
            _make_importable(os.getcwd())
            _make_importable(directory)  # before the current one, which may have another package of that name
        return load_function(f"{here}:{attributes}")
    if os.path.isabs(place) and not os.path.exists(place) and os.path.exists(here):
        return load_function(f"{here}:{attributes}")  # the program was moved, or this is another machine
    return load_function(name)


def _refused(name: str, reason: str, remedy: str) -> InvalidInputError:
    return InvalidInputError(f"function {shorten(name)} cannot be used: {reason}; {remedy}.")


def _make_importable(directory: str) -> None:
    if directory not in sys.path and not (directory == os.getcwd() and "" in sys.path):
        sys.path.insert(0, directory)  # in front, as Python does with the directory of a script
        importlib.invalidate_caches()


def _module(name: str, module: str) -> types.ModuleType:
    _make_importable(os.getcwd())
    program = sys.modules.get("__main__")
    if program is not None and getattr(getattr(program, "__spec__", None), "name", None) == module:
        return program  # python -m package.module
    is_new = module not in sys.modules
    try:
        return _imported(name, module, lambda: importlib.import_module(module))
    except InvalidInputError as refused:
        if is_new:
            sys.modules.pop(module, None)
        error = refused.__cause__
        if not isinstance(error, ModuleNotFoundError) or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise _refused(
            name,
            f"there is no module {error.name!r}",
            f"check its spelling, and that it is installed or in the current directory {os.getcwd()!r}",
        ) from error


def _imported(name: str, module: str, execute: Callable[[], Imported]) -> Imported:
    """Import a module that starts nothing.

    Raises:
        InvalidInputError: the import fails; or it starts a run or opens a store to write into it, and has not got far.
    """
    error: BaseException | None = None
    found: Imported | None = None
    with module_import(shorten(module)) as watch:
        try:
            found = execute()
        except (Exception, SystemExit) as raised:  # noqa: BLE001 (the file is the user's; it is raised below)
            error = raised
    does = watch.refused or ("calls asyncio.run()" if _is_second_loop(error) else None)
    if does is not None:
        raise _refused(name, f"importing {shorten(module)} {does}", REMEDY) from error
    if found is None:
        assert error is not None, "an import ends either way"
        raise _import_failed(name, module, error) from error
    return found


def _is_second_loop(error: BaseException | None) -> bool:
    """Return whether a module that is imported by a coroutine has called `asyncio.run`."""
    return isinstance(error, RuntimeError) and "running event loop" in str(error)


def _import_failed(name: str, module: str, error: BaseException) -> InvalidInputError:
    reason = f"importing {shorten(module)} failed with {type(error).__name__}: {shorten(redact_error(str(error)))}"
    return _refused(name, reason, "correct the module, or install what it imports")


def _file_module(name: str, path: str) -> types.ModuleType:
    """Import a Python file under its own name, or under a longer one if another module has that name."""
    whole = os.path.realpath(path)
    program = sys.modules.get("__main__")
    if program is not None and _is_of_file(program, whole):
        return program
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
    loader, module = spec.loader, importlib.util.module_from_spec(spec)

    def execute() -> types.ModuleType:
        loader.exec_module(module)
        return module

    sys.modules[module_name] = module
    try:
        return _imported(name, whole, execute)
    except InvalidInputError:
        del sys.modules[module_name]
        raise


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
