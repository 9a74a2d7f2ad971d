"""Make `starfish_storage.sync`, the synchronous face, from the asynchronous classes and functions.

    python scripts/make_sync.py           # writes src/starfish_storage/sync
    python scripts/make_sync.py --check   # says what is out of date

Each contract of `starfish_storage.interface` that a storage hands out becomes a class of the same name with the same
methods, and each asynchronous function of the public rooms a function of the same name. Signatures and docstrings are
taken from the source; `WORDS` lists all that is said otherwise. So the face needs no second maintenance, and reads,
completes and type-checks like code that somebody wrote.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

PACKAGE = "starfish_storage"
TARGET = Path(__file__).parent.parent / "src" / PACKAGE / "sync"
BY_HAND = {"face.py", "stores.py"}

WORDS = (("``async with``", "``with``"),)
"""What a docstring says otherwise here."""
STORE_WORDS = re.compile(r"\n        (storage|source|target): (.*?)(?:[;,] (?:it must be )?set up)?(; .*?)?\.(?=\n)")
"""What it says of an argument that is a store, which may be named here by where it is."""

ROOMS = {
    "generation": "generating",
    "export": "exporting",
    "imports": "importing",
    "copying": "copying",
    "filtering": "filtering",
    "publishing": "publishing",
    "opening": "opening",
}
"""The rooms whose functions have a synchronous face, and the modules that these go to.

No module has the name of a function: importing it would hide the function.
"""
APART = {
    "importing_tools": ("curator", "data_designer", "distilabel", "inspect", "llm", "lm_eval", "sdg_hub", "starfish"),
}
"""The functions of a room that go to another module than the rest of it, by what is imported."""
FACES = ("Storage", "RunLedger", "AnnotationStore", "StoreTransfer", "RowTransfer")
"""What a storage hands out, itself first."""

HEADER = "# Made by scripts/make_sync.py from {source}: change that, and run the script."


def main(arguments: Sequence[str]) -> int:
    """Write the modules, or compare them with those that are there; return 1 if one differs."""
    made = modules()
    there = {path.name: path.read_text("utf-8") for path in TARGET.glob("*.py") if path.name not in BY_HAND}
    differing = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    if "--check" in arguments:
        for name in differing:
            print(f"src/{PACKAGE}/sync/{name} is out of date: run python scripts/make_sync.py")
        return 1 if differing else 0
    for name in differing:
        if name in made:
            (TARGET / name).write_text(made[name], "utf-8")
        else:
            (TARGET / name).unlink()
    return 0


def modules() -> dict[str, str]:
    """Return the text of every module by its file name."""
    faces = _Faces()
    made = {f"{name}.py": text for name, text in faces.modules()}
    homes = {"Store": "stores"} | {name: faces.home(name) for name in FACES}
    for room, target in ROOMS.items():
        places = {f"import_{tool}": apart for apart, tools in APART.items() for tool in tools}
        functions = dict(_functions(room))
        homes |= {name: places.get(name, target) for name in functions}
        for module in dict.fromkeys(homes[name] for name in functions):
            own = {name: node for name, node in functions.items() if homes[name] == module}
            made[f"{module}.py"] = _module_of_functions(room, own)
    made["__init__.py"] = _package(homes)
    return {name: _formatted(text) for name, text in made.items()}


FACE = '''
def __init__(self, asynchronous: asynchronous.{0}) -> None:
    super().__init__(asynchronous)

@property
def asynchronous(self) -> asynchronous.{0}:
    """The asynchronous object that this one calls, for code in an event loop."""
    return self._asynchronous
'''


class _Faces:
    """The contracts that have a face: those of `FACES`, and all that these are made of."""

    def __init__(self) -> None:
        interface = importlib.import_module(f"{PACKAGE}.interface")
        self._sources: dict[str, ModuleType] = {}
        for name in FACES:
            kind = getattr(interface, name, None) or getattr(importlib.import_module(_TRANSFER), name)
            for one in kind.__mro__:
                if one.__module__.startswith(f"{PACKAGE}.interface"):
                    self._sources[one.__name__] = importlib.import_module(one.__module__)

    def home(self, name: str) -> str:
        """Return the name of the module that a face is in."""
        return self._sources[name].__name__.rpartition(".")[2]

    def modules(self) -> Iterator[tuple[str, str]]:
        """Yield the name and text of each module."""
        for source in dict.fromkeys(self._sources.values()):
            yield source.__name__.rpartition(".")[2], self._module(source)

    def _module(self, source: ModuleType) -> str:
        tree = ast.parse(inspect.getsource(source))
        names = _Names(source, tree, {name: f"{PACKAGE}.sync.{self.home(name)}" for name in self._sources})
        found = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        classes = [self._face(node) for node in found if self._sources.get(node.name) is source]
        body = ast.unparse(ast.Module([*classes], []))
        what = f"The synchronous face of `{source.__name__}`."
        ours = [
            "from typing import Any",
            f"from {PACKAGE}.interface import {self.home_of(source)} as asynchronous",
            f"from {PACKAGE} import portal",
            f"from {PACKAGE}.sync.face import Face",
        ]
        return _text(what, source.__name__, ours, names.imports(classes), body)

    @staticmethod
    def home_of(source: ModuleType) -> str:
        """Return the name of a module of the interface."""
        return source.__name__.rpartition(".")[2]

    def _face(self, node: ast.ClassDef) -> ast.ClassDef:
        bases = [base for base in node.bases if _name(base) in self._sources] or [ast.Name("Face")]
        body: list[ast.stmt] = [_said(_docstring(node))]
        if node.name in FACES:
            body += _parsed(FACE.format(node.name))
        body += _parsed(f"@property\ndef _called(self) -> asynchronous.{node.name}:\n    return self._asynchronous")
        body += [self._method(one) for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        return ast.ClassDef(node.name, bases, [], body, [])

    def _method(self, method: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.FunctionDef:
        name = method.name.replace("__aenter__", "__enter__").replace("__aexit__", "__exit__")
        given = method.args
        returns = _synchronous(method.returns)
        decorators = [one for one in method.decorator_list if _name(one) == "property"]
        if decorators:
            value = f"self._called.{name}"
            made = f"{ast.unparse(returns)}({value})" if _name(returns) in FACES else value
        elif name == "__enter__":
            made = "self.setup()\nportal.close_at_exit(self.asynchronous)\nreturn self"
        elif name == "__exit__":
            made = "self.close()"
        else:
            made = f"self._called.{name}({_passed(given)})"
            if _name(method.returns) == "AsyncIterator":
                made = f"portal.iterate({made})"
            elif isinstance(method, ast.AsyncFunctionDef):
                made = f"portal.call({made})"
        body = [_said(_docstring(method)), *_parsed(made if name in ("__enter__", "__exit__") else f"return {made}")]
        return ast.FunctionDef(name, given, body, decorators, returns, lineno=0)


_TRANSFER = f"{PACKAGE}.interface.transfer"


def _functions(room: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the functions of a room that are asynchronous or open a store, as they are in the source."""
    module = importlib.import_module(f"{PACKAGE}.{room}")
    for name in getattr(module, "__all__", ["open_storage"]):
        function = getattr(module, name)
        if inspect.isfunction(function):
            (node,) = ast.parse(inspect.getsource(inspect.unwrap(function))).body
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(node, ast.AsyncFunctionDef) or _name(node.returns) == "Storage":
                yield name, node


def _module_of_functions(room: str, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> str:
    module = importlib.import_module(f"{PACKAGE}.{room}")
    nodes: list[ast.stmt] = []
    imports: list[str] = []
    for name, node in functions.items():
        source = inspect.getmodule(inspect.unwrap(getattr(module, name)))
        assert source is not None
        made = _function(node)
        imports += _Names(source, ast.parse(inspect.getsource(source)), _OURS).imports([made])
        nodes.append(made)
    what = f"The synchronous face of the functions of `{module.__name__}`."
    ours = [
        "from contextlib import contextmanager",
        f"from {PACKAGE} import {room} as asynchronous",
        f"from {PACKAGE}.generation.interruption import relayed",
        f"from {PACKAGE} import portal",
        f"from {PACKAGE}.sync.stores import Store, each_with_store, with_store, with_stores",
        f"from {PACKAGE}.sync.storage import Storage",
    ]
    return _text(what, module.__name__, ours, imports, ast.unparse(ast.Module(nodes, [])))


_OURS = {"Store": f"{PACKAGE}.sync.stores", "Storage": f"{PACKAGE}.sync.storage"}


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.FunctionDef:
    """Return a function with what it is given as a store by keyword, as ``store``, if it is its first argument."""
    given = node.args
    passed = _passed(given)
    stores = [one.arg for one in given.args if _name(one.annotation) == "Storage"]
    for one in given.args:
        if one.arg in stores:
            one.annotation = ast.Name("Store")
    if stores == ["storage"]:
        first = given.args.pop(0)
        first.arg = "store"
        given.kwonlyargs.insert(0, first)
        given.kw_defaults.insert(0, None)
    named = [name.replace("storage", "store") for name in stores]
    called = f"asynchronous.{node.name}({passed})"
    returns, decorators = _synchronous(node.returns), list[ast.expr]()
    if node.decorator_list and _name(node.decorator_list[0]) == "asynccontextmanager":
        decorators.append(ast.Name("contextmanager"))
        body = f"with portal.entered({called}) as found:\n    yield Storage(found)"
    elif not isinstance(node, ast.AsyncFunctionDef):
        body = f"return Storage({called})"
    elif _name(node.returns) == "AsyncGenerator":
        body = f"return each_with_store({', '.join(named)}, lambda {', '.join(stores)}: {called})"
    elif stores:
        opener = "with_store" if len(stores) == 1 else "with_stores"
        body = f"return {opener}({', '.join(named)}, lambda {', '.join(stores)}: {called})"
    else:
        body = f"return portal.call({called})"
    if _watches_signals(given):
        body = f"with relayed():\n    {body}"
    return ast.FunctionDef(
        node.name, given, [_said(_docstring(node), stores), *_parsed(body)], decorators, returns, lineno=0
    )


def _watches_signals(given: ast.arguments) -> bool:
    return given.kwarg is not None and "RunOptions" in ast.unparse(given.kwarg)


class _Names:
    """Where the names of a module come from."""

    def __init__(self, source: ModuleType, tree: ast.Module, faces: dict[str, str]) -> None:
        self._source = source
        self._faces = faces
        self._imported: dict[str, str] = {}
        lazy = [node for node in tree.body if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"]
        self._is_for_types = {one for block in lazy for node in block.body for one in ast.walk(node)}
        self._typed: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom | ast.Import):
                of = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
                for one in node.names:
                    called = one.asname or one.name
                    self._imported[called] = f"{of}import {one.name}" + (f" as {one.asname}" if one.asname else "")
                    if node in self._is_for_types:
                        self._typed.add(called)

    def imports(self, nodes: Iterable[ast.AST]) -> list[str]:
        """Return the imports of all names that nodes use; those for type checkers alone are indented."""
        inside = ("self", "asynchronous", "portal", "super", "Face", "relayed")
        made = {one.name for one in nodes if isinstance(one, ast.ClassDef)}
        bound = {one.arg for node in nodes for one in ast.walk(node) if isinstance(one, ast.arg)}
        used = sorted(
            {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}
            - {*inside, *made, *bound, *vars(builtins), *_HELPERS}
        )
        return [self._import(name) for name in used]

    def _import(self, name: str) -> str:
        if name in self._faces:
            return f"from {self._faces[name]} import {name}"
        if name == "Generator":
            return "from collections.abc import Generator"
        if name in self._imported:
            return ("    " if name in self._typed else "") + self._imported[name]
        assert hasattr(self._source, name), f"{self._source.__name__} has no {name}"
        assert not name.startswith("_"), f"{self._source.__name__}.{name} is private, and stands in a public signature"
        return f"from {self._source.__name__} import {name}"


_HELPERS = {"each_with_store", "with_store", "with_stores", "contextmanager", "found"}


def _synchronous(returns: ast.expr | None) -> ast.expr:
    """Return what a function returns here: generators for asynchronous iterators, which can be closed, too."""
    assert returns is not None
    if isinstance(returns, ast.Subscript) and _name(returns.value) in ("AsyncIterator", "AsyncGenerator"):
        return ast.Subscript(ast.Name("Generator"), returns.slice, ast.Load())
    return returns


def _passed(given: ast.arguments) -> str:
    assert not given.posonlyargs
    assert given.vararg is None
    passed = [one.arg for one in given.args if one.arg != "self"]
    passed += [f"{one.arg}={one.arg}" for one in given.kwonlyargs]
    return ", ".join(passed if given.kwarg is None else [*passed, f"**{given.kwarg.arg}"])


def _name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def _docstring(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    text = ast.get_docstring(node, clean=False)
    assert text is not None, f"{node.name} has no docstring"
    return text


def said_here(text: str, stores: Sequence[str] = ()) -> str:
    """Return a docstring as it stands in the synchronous face.

    Args:
        text: as it stands in the asynchronous one.
        stores: the arguments that are stores.
    """
    for there, here in WORDS:
        text = text.replace(there, here)
    return STORE_WORDS.sub(lambda found: _said_of_store(found) if found[1] in stores else found[0], text)


def _said_of_store(found: re.Match[str]) -> str:
    name = "store" if found[1] == "storage" else found[1]
    kept = f"{found[2]}{found[3] or ''}"
    return f"\n        {name}: {kept}. An open one, or a path or URI, which is opened for this call."


def _said(text: str, stores: Sequence[str] = ()) -> ast.stmt:
    return ast.Expr(ast.Constant(said_here(text, stores)))


def _parsed(text: str) -> list[ast.stmt]:
    return ast.parse(text).body


def _text(what: str, source: str, ours: list[str], imports: list[str], body: str) -> str:
    head = [HEADER.format(source=source), f'"""{what}"""', "from __future__ import annotations"]
    for_types = sorted({line for line in imports if line.startswith(" ")})
    if for_types:
        for_types = ["from typing import TYPE_CHECKING", "if TYPE_CHECKING:", *for_types]
    lines = dict.fromkeys([*ours, *(line for line in imports if not line.startswith(" "))])
    return "\n".join([*head, *lines, *for_types, body])


def _package(homes: dict[str, str]) -> str:
    by_home: dict[str, list[str]] = {}
    for name, home in sorted(homes.items(), key=lambda one: (one[1], one[0])):
        by_home.setdefault(home, []).append(name)
    imports = [f"    from {PACKAGE}.sync.{home} import {', '.join(names)}" for home, names in by_home.items()]
    template = (Path(__file__).parent / "sync_package.txt").read_text("utf-8")
    text = template.format(imports="\n".join(imports), names=sorted(homes), homes=by_home)
    return HEADER.format(source="all that has a synchronous face") + "\n" + text


def _formatted(text: str) -> str:
    """Return a module with its imports sorted, those that it does not need removed, and in the house's form."""
    for command in (["check", "--fix-only", "--quiet", "--select", "F401,I"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET / "made.py"), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
