"""Every regular expression of the package, and the texts that are worst for each."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

import starfish_storage

Scan = Callable[[str], object]
"""Goes over a text."""

_CALLS = ("compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn")
_METHOD = re.compile(rf"\b(\w+)\.({'|'.join(_CALLS[1:])})\b")
_MOST_PUMPS = 150


class Used(NamedTuple):
    """A regular expression, and how it is used.

    Attributes:
        place: the module and the line.
        pattern: compiled.
        methods: what is called of it, such as ``search``.
    """

    place: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


class Made(NamedTuple):
    """A call that makes an expression of what only a function knows.

    Attributes:
        place: the module and the function.
    """

    place: str


def patterns_of_the_package() -> Iterator[Used | Made]:
    """Yield every expression that stands in the package's code."""
    texts = {
        found.name: Path(found.module_finder.path, f"{found.name.rpartition('.')[2]}.py").read_text("utf-8")  # type: ignore[union-attr]
        for found in pkgutil.walk_packages(starfish_storage.__path__, "starfish_storage.")
        if not found.ispkg
    }
    called: dict[str, set[str]] = {}
    for text in texts.values():
        for name, method in _METHOD.findall(text):
            called.setdefault(name, set()).add(method)
    for name, text in texts.items():
        if "import re\n" in text:  # parsing the others would take most of the time
            yield from _patterns_of(importlib.import_module(name), ast.parse(text), called)


def _patterns_of(module: ModuleType, tree: ast.Module, called: dict[str, set[str]]) -> Iterator[Used | Made]:
    names = {
        id(node.value): target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for function, node in _calls(tree):
        place = f"{module.__name__}:{node.lineno}"
        attribute = cast("ast.Attribute", node.func).attr
        try:
            given = eval(compile(ast.Expression(node.args[0]), place, "eval"), vars(module))
            flags = [keyword.value for keyword in node.keywords if keyword.arg == "flags"]
            flags += node.args[1:2] if attribute == "compile" else []
            flag = sum(eval(compile(ast.Expression(one), place, "eval"), vars(module)) for one in flags)
        except NameError:
            yield Made(f"{module.__name__}.{function}")
            continue
        methods = frozenset(called.get(names.get(id(node), ""), ())) if attribute == "compile" else {attribute}
        yield Used(place, re.compile(given, flag), frozenset(methods or {"finditer", "fullmatch"}))


def _calls(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.Call]]:
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in _CALLS
        ):
            yield inner, node
        yield from _calls(node, inner)


def scan_of(used: Used) -> Scan:
    """Return what uses an expression on a text as the package does."""
    pattern: re.Pattern[Any] = used.pattern
    is_text = isinstance(pattern.pattern, str)

    def scan(text: str) -> None:
        given: Any = text if is_text else text.encode("utf-8", "surrogatepass")
        for method in used.methods:
            if method in ("match", "fullmatch", "search"):
                getattr(pattern, method)(given)
            else:
                deque(pattern.finditer(given), maxlen=0)

    return scan


def pumps_of(pattern: re.Pattern[Any]) -> list[tuple[str, str]]:
    """Return beginnings of a text, each with what to repeat behind it: whatever an expression could go back over."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = re._parser.parse(source, pattern.flags & ~re.UNICODE & ~re.DEBUG)  # type: ignore[attr-defined]  (no other way)
    found: dict[tuple[str, str], None] = {}
    for before, repeated in _repeats(tree, ""):
        found[before, repeated] = None
        found["", before + repeated] = None
        found["", repeated] = None
        if repeated.isspace():
            found[before, "\n"] = None
    whole = _sample(tree)
    for cut in {1, 2, len(whole) // 2}:
        if cut and whole[:-cut]:
            found["", whole[:-cut]] = None
    return [one for one in islice(found, _MOST_PUMPS) if one[1]]


def _repeats(tree: Any, before: str) -> Iterator[tuple[str, str]]:
    """Yield what is repeated in an expression, with a text that leads there."""
    for at, (kind, argument) in enumerate(tree):
        led = before + _sample(list(tree)[:at])
        name = str(kind)
        if name.endswith("REPEAT"):
            yield led, _sample(argument[2])
            yield from _repeats(argument[2], led)
        elif name == "SUBPATTERN":
            yield from _repeats(argument[3], led)
        elif name == "ATOMIC_GROUP":
            yield from _repeats(argument, led)
        elif name == "BRANCH":
            for one in argument[1]:
                yield from _repeats(one, led)
                yield led, _sample(one)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _repeats(argument[1], led)


def _sample(tree: Any) -> str:
    """Return a text that an expression matches, or nearly."""
    return "".join(_sample_of(str(kind), argument) for kind, argument in tree)


def _sample_of(name: str, argument: Any) -> str:  # noqa: PLR0911 (a table)
    if name == "LITERAL":
        return chr(argument)
    if name == "NOT_LITERAL":
        return "a" if argument != ord("a") else "b"
    if name == "ANY":
        return "a"
    if name == "IN":
        return _one_of(argument)
    if name.endswith("REPEAT"):
        least, most, inner = argument
        return _sample(inner) * max(least, min(1, int(most)))
    if name == "SUBPATTERN":
        return _sample(argument[3])
    if name == "ATOMIC_GROUP":
        return _sample(argument)
    if name == "BRANCH":
        return _sample(argument[1][0])
    if name == "ASSERT":
        return _sample(argument[1]) if argument[0] < 0 else ""
    return ""


_CATEGORIES = {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}
_CLASSES = {"CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_WORD": r"\w"}
_CANDIDATES = "aA7_ -.:/\\'\"=\n\t<>@,;\u00e9\u4e00\u2603"


def _one_of(members: Any) -> str:
    if members and str(members[0][0]) == "NEGATE":
        return next((one for one in _CANDIDATES if not _in(one, members[1:])), "\0")
    kind, argument = members[0]
    if str(kind) == "LITERAL":
        return chr(argument)
    return chr(argument[0]) if str(kind) == "RANGE" else _CATEGORIES.get(str(argument), "!")


def _in(character: str, members: Any) -> bool:
    for kind, argument in members:
        if str(kind) == "CATEGORY":
            is_in = re.match(_CLASSES.get(str(argument), r"\W"), character) is not None
        else:
            least, greatest = argument if str(kind) == "RANGE" else (argument, argument)
            is_in = least <= ord(character) <= greatest
        if is_in:
            return True
    return False
