"""The identity of a function's code: whether a reply that it could not use meets the same code again."""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import inspect
import os
import re
import sys
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.generation.closures import Closures
from starfish_storage.redaction import names_secret

_MOST_PARTS = 10_000  # a guard: a program that names more is known by the first so many
_OURS = __name__.partition(".")[0]
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]|^<frozen ")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_BUILTIN = types.BuiltinFunctionType | types.MethodDescriptorType
PROGRAMS = ("__main__", "__mp_main__")
"""The names of the module that was started: in its own process, and in those that `multiprocessing` spawns for it."""

_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


def code_identity(function: Callable[..., Any], *, with_closures: bool = False) -> str:
    """Return the SHA-256 of the code of a function and of all code of the program that it names, in hex.

    The code is what Python has compiled, so a function typed into an interpreter has an identity too, and a comment
    or an empty line changes nothing. Followed are functions and classes that the code names, in its module and in
    other modules of the program; what wraps them (`functools.partial`, decorators, methods of objects); their
    defaults, and the texts, patterns and constants that they name. Of the standard library and of installed packages
    only the names count. Another version of Python compiles the same text to another code.

    Args:
        function: the function.
        with_closures: whether the values of the variables count that the functions take from those around them.
    """
    return _Parts(function, with_closures=with_closures).found().identity


@dataclass(frozen=True, slots=True)
class CodeParts:
    """What the identity of a function's code is made of; names are like ``"module:qualified.name"``.

    Attributes:
        identity: as `code_identity` returns it.
        functions: the SHA-256 of the code of each function of the program, in hex, the function itself first.
        classes: likewise, of each class and each object that is called.
        constants: likewise, of the value of each text, pattern and constant that a function names.
        modules: the modules of the program that the code lies in, by their names in ``sys.modules``.
        imported: the modules that its functions import when they are called, by name.
    """

    identity: str
    functions: dict[str, str]
    classes: dict[str, str]
    constants: dict[str, str]
    modules: tuple[str, ...]
    imported: tuple[str, ...]


def code_parts(function: Callable[..., Any]) -> CodeParts:
    """Return the identity of a function's code, and of each part that it is made of."""
    return _Parts(function).found()


class _Parts:
    """Walks from a function to all that it names, breadth first, in an order that depends on the code alone."""

    def __init__(self, first: object, *, with_closures: bool = False) -> None:
        self._waiting = deque[object]([first])
        self._seen = {id(first)}
        self._hash = hashlib.sha256()
        self._part = hashlib.sha256()  # of the part that is added now, without the constants that it names
        self._kept: list[object] = []  # else an object of the walk could end, and another get its id
        self._found = _PartsFound()
        self._closures = Closures(_constant) if with_closures else None

    def found(self) -> CodeParts:
        for _ in range(_MOST_PARTS):
            if not self._waiting:
                break
            part = self._waiting.popleft()
            self._kept.append(part)
            self._part = hashlib.sha256()
            self._add(part)
            self._found.add(part, self._part.hexdigest())
        if self._closures is not None:
            self._write(*self._closures.lines())
        return self._found.parts(self._hash.hexdigest())

    def _follow(self, parts: Iterable[object]) -> None:
        for part in parts:
            if id(part) not in self._seen:
                self._seen.add(id(part))
                self._waiting.append(part)

    def _write(self, *texts: object) -> None:
        for text in texts:
            encoded = str(text).encode("utf-8", "surrogatepass")
            encoded = b"%d:%b" % (len(encoded), encoded)
            self._hash.update(encoded)
            self._part.update(encoded)

    def _write_constants(self, place: str, values: Mapping[str, object]) -> None:
        """Write the constants among what a function names: parts of their own, which change for other reasons."""
        part = self._part.copy()
        for name, value in values.items():
            if _is_constant(name, value):
                self._write(f"{name}={_constant(value)}")
                self._found.add_constant(f"{place}{name}", _constant(value))
        self._part = part

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
        self._write_constants(f"{_module_name(function.__module__)}:", found)
        self._found.add_imports(function.__code__)
        if self._closures is not None:
            self._closures.add(function)
        wrapped = vars(function).get("__wrapped__")
        self._follow(filter(_has_code, (*defaults, *keywords.values(), *found.values(), wrapped)))
        # ``parsing.parse(text)`` names a module of the program, and something in it.
        names = _names(function.__code__)
        for module in found.values():
            if isinstance(module, types.ModuleType) and _is_of_program(module):
                inside = {name: vars(module)[name] for name in names if name in vars(module)}
                self._write_constants(f"{_module_name(module.__name__)}:", inside)
                self._follow(filter(_has_code, inside.values()))

    def _add_class(self, kind: type) -> None:
        self._write("class", _name(kind))
        if not _is_of_program(kind):
            return
        held = dict(sorted(vars(kind).items()))
        self._write(*_named({name: value for name, value in held.items() if _is_constant(name, value)}))
        annotations = _annotations(kind)
        self._write(*(f"{name}: {_type_text(kind)}" for name, kind in annotations.items()))
        fields = held.get("__pydantic_fields__")  # a default is in no attribute of such a class
        if isinstance(fields, dict):
            named = cast("dict[str, object]", fields)
            self._write(*map(_type_text, named.values()))
            annotations = {name: getattr(one, "annotation", None) for name, one in named.items()}  # never a text
        self._follow(one for annotation in annotations.values() for one in _types_of(annotation) if _is_of_program(one))
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


class _PartsFound:
    """Collects the parts of the program's code that a walk comes by."""

    def __init__(self) -> None:
        self._functions: dict[str, str] = {}
        self._classes: dict[str, str] = {}
        self._constants: dict[str, str] = {}
        self._modules: dict[str, None] = {}
        self._imported: dict[str, None] = {}

    def add(self, part: object, digest: str) -> None:
        is_object = not isinstance(part, types.FunctionType | type | types.MethodType | functools.partial | _BUILTIN)
        value: object = type(part) if is_object else cast("object", part)
        if not isinstance(value, types.FunctionType | type) or not _is_of_program(value):
            return
        self._modules[value.__module__] = None
        kept = self._functions if isinstance(value, types.FunctionType) else self._classes
        name = f"{_name(value)}{' object' if is_object else ''}"
        number = 1
        while f"{name}{f' #{number}' if number > 1 else ''}" in kept:  # two functions of one name, or two objects
            number += 1
        kept[f"{name}{f' #{number}' if number > 1 else ''}"] = digest

    def add_constant(self, name: str, text: str) -> None:
        if not names_secret(name.rpartition(":")[2]):  # the digest of a short password tells it
            self._constants[name] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def add_imports(self, code: types.CodeType) -> None:
        if _IMPORT_NAME in code.co_code[::2]:
            for one in dis.get_instructions(code):
                if one.opcode == _IMPORT_NAME:
                    self._imported[str(one.argval)] = None
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.add_imports(constant)

    def parts(self, identity: str) -> CodeParts:
        return CodeParts(
            identity, self._functions, self._classes, self._constants, tuple(self._modules), tuple(self._imported)
        )


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


def _types_of(annotation: object) -> Iterator[type]:
    """Yield the classes that an annotation names, such as those in a union of lists."""
    if isinstance(annotation, type):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _types_of(part)


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
    return isinstance(value, str | re.Pattern | enum.Enum) or (
        name.isupper() and isinstance(value, (*_PLAIN, tuple, frozenset))
    )


def _named(values: Mapping[str, object]) -> Iterator[str]:
    return (f"{name}={_constant(value)}" for name, value in values.items())


def _constant(value: object) -> str:
    """Return a constant as text that is the same in every process; of other values only the type."""
    if isinstance(value, _PLAIN) and not isinstance(value, enum.Enum):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant, cast('tuple[object, ...]', value)))})"
    if isinstance(value, frozenset):  # the order of its members differs from process to process
        return f"{{{', '.join(sorted(map(_constant, cast('frozenset[object]', value))))}}}"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name} {_constant(value.value)}"
    if isinstance(value, re.Pattern):
        pattern = cast("re.Pattern[Any]", value)
        return f"pattern {pattern.pattern!r} {pattern.flags}"
    return type(value).__qualname__


def _type_text(kind: object) -> str:
    """Return an annotation as text that is the same in every process, and whether its module is the program or not."""
    text = _ADDRESS.sub("", str(kind))
    return re.sub(r"\b__(?:mp_)?main__\.", f"{_module_name('__main__')}.", text) if "main__" in text else text


def _name(value: Any) -> str:
    module = _module_name(getattr(value, "__module__", None) or getattr(value, "__objclass__", ""))
    return f"{module}:{getattr(value, '__qualname__', None) or getattr(value, '__name__', '')}"


def _module_name(name: object) -> object:
    """Return the name of a module as another program would import it, also of the file that was started."""
    if name not in PROGRAMS:
        return name
    file = getattr(sys.modules.get(str(name)), "__file__", None)
    return os.path.basename(file).removesuffix(".py") if file else name


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
    return not is_installed(file)


def is_installed(file: str) -> bool:
    """Return whether a file belongs to an installed package or to Python itself."""
    return bool(_INSTALLED.search(file)) or file.startswith(_LIBRARY)
