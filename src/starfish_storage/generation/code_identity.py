"""The identity of a function's code: whether a reply that it could not use meets the same code again."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

_MOST_PARTS = 10_000  # a guard: a program that names more is known by the first so many
_OURS = __name__.partition(".")[0]
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]|^<frozen ")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_BUILTIN = types.BuiltinFunctionType | types.MethodDescriptorType
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


def code_identity(function: Callable[..., Any]) -> str:
    """Return the SHA-256 of the code of a function and of all code of the program that it names, in hex.

    The code is what Python has compiled, so a function typed into an interpreter has an identity too, and a comment
    or an empty line changes nothing. Followed are functions and classes that the code names, in its module and in
    other modules of the program; what wraps them (`functools.partial`, decorators, methods of objects); their
    defaults, and the texts, patterns and constants that they name. Of the standard library and of installed packages
    only the names count. Another version of Python compiles the same text to another code.
    """
    return _Parts(function).digest()


class _Parts:
    """Walks from a function to all that it names, breadth first, in an order that depends on the code alone."""

    def __init__(self, first: object) -> None:
        self._waiting = deque[object]([first])
        self._seen = {id(first)}
        self._hash = hashlib.sha256()
        self._kept: list[object] = []  # else an object of the walk could end, and another get its id

    def digest(self) -> str:
        for _ in range(_MOST_PARTS):
            if not self._waiting:
                break
            part = self._waiting.popleft()
            self._kept.append(part)
            self._add(part)
        return self._hash.hexdigest()

    def _follow(self, parts: Iterable[object]) -> None:
        for part in parts:
            if id(part) not in self._seen:
                self._seen.add(id(part))
                self._waiting.append(part)

    def _write(self, *texts: object) -> None:
        for text in texts:
            encoded = str(text).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(encoded))
            self._hash.update(encoded)

    def _add(self, part: object) -> None:
        if isinstance(part, types.FunctionType):
            self._add_function(part)
        elif isinstance(part, type):
            self._add_class(part)
        elif isinstance(part, functools.partial):
            given = cast("functools.partial[Any]", part)
            self._write("partial", *map(_constant, given.args), *_named(given.keywords))
            self._follow([given.func, *filter(callable, given.args), *filter(callable, given.keywords.values())])
        elif isinstance(part, types.MethodType):
            self._write("method")
            self._follow([part.__func__, part.__self__])
        elif isinstance(part, _BUILTIN):
            self._write(_name(part))
        else:
            self._add_object(part)

    def _add_function(self, function: types.FunctionType) -> None:
        if not _is_of_program(function):
            self._write("function", _name(function))
            return
        self._write("function", *_lines(function.__code__))
        defaults, keywords = function.__defaults__ or (), function.__kwdefaults__ or {}
        self._write(*map(_constant, defaults), *_named(keywords))
        found = _named_by(function)
        self._write(*_named({name: value for name, value in found.items() if _is_constant(name, value)}))
        wrapped = vars(function).get("__wrapped__")
        self._follow(filter(_has_code, (*defaults, *keywords.values(), *found.values(), wrapped)))
        # ``parsing.parse(text)`` names a module of the program, and something in it.
        names = _names(function.__code__)
        for module in found.values():
            if isinstance(module, types.ModuleType) and _is_of_program(module):
                inside = {name: vars(module)[name] for name in names if name in vars(module)}
                self._write(*_named({name: value for name, value in inside.items() if _is_constant(name, value)}))
                self._follow(filter(_has_code, inside.values()))

    def _add_class(self, kind: type) -> None:
        self._write("class", _name(kind))
        if not _is_of_program(kind):
            return
        held = dict(sorted(vars(kind).items()))
        self._write(*_named({name: value for name, value in held.items() if _is_constant(name, value)}))
        self._write(*(f"{name}: {_ADDRESS.sub('', str(kind))}" for name, kind in _annotations(kind).items()))
        for value in held.values():
            self._follow(_functions_of(value))
        self._follow(base for base in kind.__bases__ if base is not object)

    def _add_object(self, part: object) -> None:
        """Add an object that is called, or whose method is: its class, and what it holds."""
        self._write("object")
        held = _held(part)
        self._write(*_named({name: value for name, value in held.items() if _is_constant(name, value)}))
        self._follow([type(part)])
        self._follow(value for value in held.values() if isinstance(value, types.FunctionType | types.MethodType))


def _lines(code: types.CodeType) -> Iterator[str]:
    """Yield what Python compiled, without the places in the file; functions inside it included."""
    yield from (code.co_code.hex(), code.co_exceptiontable.hex(), " ".join(code.co_names), " ".join(code.co_varnames))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _lines(constant)
        else:
            yield _constant(constant)


def _names(code: types.CodeType) -> list[str]:
    """Return the names that a code and those inside it use, each once."""
    found = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(_names(constant)))
    return list(found)


def _named_by(function: types.FunctionType) -> dict[str, object]:
    """Return what a function names outside itself: global things, and those of the functions around it."""
    there = function.__globals__
    found = {name: there[name] for name in _names(function.__code__) if name in there}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            pass  # not assigned yet
    return found


def _held(value: object) -> Mapping[str, object]:
    try:
        return vars(value)
    except TypeError:
        return {}


def _annotations(kind: type) -> Mapping[str, object]:
    try:
        return inspect.get_annotations(kind)
    except Exception:  # noqa: BLE001 (any code, where Python evaluates them late)
        return {}


def _functions_of(value: object) -> Iterator[object]:
    """Yield the functions that an attribute of a class stands for."""
    if isinstance(value, staticmethod | classmethod):
        yield cast("Any", value).__func__
    elif isinstance(value, property):
        yield from (one for one in (value.fget, value.fset) if one is not None)
    elif isinstance(value, types.FunctionType | functools.partial):
        yield value


def _has_code(value: object) -> bool:
    """Return whether a value is a function, a class, what wraps one, or an object of the program that is called."""
    if isinstance(value, types.FunctionType | type | functools.partial | types.MethodType | _BUILTIN):
        return True
    return callable(value) and (_is_of_program(type(value)) or "__wrapped__" in _held(value))


def _is_constant(name: str, value: object) -> bool:
    """Return whether a name is that of a constant. A counter or a list may have changed since, which means nothing."""
    if name.startswith("__"):
        return False
    return isinstance(value, str | re.Pattern) or (name.isupper() and isinstance(value, (*_PLAIN, tuple, frozenset)))


def _named(values: Mapping[str, object]) -> Iterator[str]:
    return (f"{name}={_constant(value)}" for name, value in values.items())


def _constant(value: object) -> str:
    """Return a constant as text that is the same in every process; of other values only the type."""
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant, cast('tuple[object, ...]', value)))})"
    if isinstance(value, frozenset):  # the order of its members differs from process to process
        return f"{{{', '.join(sorted(map(_constant, cast('frozenset[object]', value))))}}}"
    if isinstance(value, re.Pattern):
        pattern = cast("re.Pattern[Any]", value)
        return f"pattern {pattern.pattern!r} {pattern.flags}"
    return type(value).__qualname__


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None) or getattr(value, "__objclass__", "")
    return f"{module}:{getattr(value, '__qualname__', None) or getattr(value, '__name__', '')}"


def _is_of_program(value: object) -> bool:
    """Return whether code is the user's own: not of Python, of an installed package, or of this one."""
    name = (value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)) or ""
    top = name.partition(".")[0]
    if top == _OURS:
        return False
    if isinstance(value, types.FunctionType):
        file = value.__code__.co_filename
    elif top in sys.stdlib_module_names:
        return False
    else:
        file = os.fspath(getattr(sys.modules.get(name), "__file__", None) or "")
    return not (_INSTALLED.search(file) or file.startswith(_LIBRARY))
