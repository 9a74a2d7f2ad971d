"""What can be imported from where: the public names, lazily, and every type that a public call returns."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types
import typing
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import starfish_storage
import starfish_storage.testing
from public import typed
from starfish_storage import LocalStorage, PostgresStorage, Storage

ROOMS = (
    *(
        "",
        ".conversations",
        ".copying",
        ".decorating",
        ".export",
        ".filtering",
        ".generation",
        ".imports",
        ".interface",
    ),
    *(".maintenance", ".models", ".publishing", ".runs", ".sync"),
)
FOREIGN = ("click", "rich", "asyncpg", "obstore", "pyarrow", "pydantic", "apsw", "jsonschema", "tenacity")


def public_modules() -> list[types.ModuleType]:
    found = [importlib.import_module(f"starfish_storage{room}") for room in ROOMS]
    prefix = f"{starfish_storage.testing.__name__}."
    testing = pkgutil.walk_packages(starfish_storage.testing.__path__, prefix)
    return [*found, *(importlib.import_module(one.name) for one in testing)]


def public_objects(module: types.ModuleType) -> dict[str, object]:
    if hasattr(module, "__all__"):
        return {name: getattr(module, name) for name in module.__all__}
    members = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {name: value for name, value in members.items() if getattr(value, "__module__", None) == module.__name__}


@pytest.mark.parametrize("name", ["generate", "resume", "retry", "cancel", "Context", "Filtered", "Duplicate"])
def test_runs_are_started_with_names_of_the_package(name: str):
    generation = importlib.import_module("starfish_storage.generation")
    assert getattr(starfish_storage, name) is getattr(generation, name)


def test_all_names_can_be_imported_without_the_drivers_of_extras():
    script = (
        "import sys\n"
        "for name in ('asyncpg', 'obstore', 'pyarrow', 'boto3'): sys.modules[name] = None\n"
        "from starfish_storage import *\n"
        "import starfish_storage\n"
        "assert LocalStorage is starfish_storage.LocalStorage and 'PostgresStorage' in dir(starfish_storage)\n"
        "try: starfish_storage.PostgresStorage\n"
        "except StoreOpenError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "pip install 'starfish-storage[postgres]'" in ran.stdout


def test_every_name_of_the_package_is_there_and_listed():
    found = {name: getattr(starfish_storage, name) for name in starfish_storage.__all__}
    assert len(found) == len(starfish_storage.__all__)
    assert set(found) <= set(dir(starfish_storage))
    with pytest.raises(AttributeError, match="no attribute 'Recrod'"):
        _ = getattr(starfish_storage, "Recrod")  # noqa: B009 (written out, the type checker would refuse it)


def test_type_checkers_see_the_names_where_they_are_imported_from():
    tree = ast.parse(Path(starfish_storage.__file__).read_text("utf-8"))
    for block in (one for one in tree.body if isinstance(one, ast.If)):
        for line in (one for one in block.body if isinstance(one, ast.ImportFrom)):
            module = importlib.import_module(str(line.module))
            for alias in line.names:
                assert getattr(starfish_storage, alias.name) is getattr(module, alias.name)


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(shown.stdout.split())


def test_importing_the_package_imports_little():
    modules = imported_by("import starfish_storage")
    ours = {name for name in modules if name.partition(".")[0] == "starfish_storage"}
    assert {".".join(name.split(".")[:2]) for name in ours} == {
        "starfish_storage",
        "starfish_storage.errors",
        "starfish_storage.wording",
    }
    assert not modules & {*FOREIGN, "asyncio"}


def test_a_storage_is_opened_without_what_runs_need():
    modules = imported_by("from starfish_storage import Project, open_storage")
    assert not modules & (set(FOREIGN) - {"pydantic", "apsw"})
    assert "pydantic" not in imported_by(
        "from starfish_storage import open_storage, LocalStorage, Storage, StatusRecord"
    )
    assert not [name for name in modules if name.startswith(("starfish_storage.generation", "starfish_storage.cli"))]


def test_a_room_is_imported_by_its_name():
    assert "starfish_storage.export.exporting" in imported_by("import starfish_storage; starfish_storage.export.export")


# --- what calls return ------------------------------------------------------------------------------------------------


MODELS = {
    name: getattr(starfish_storage, name) for name in ("GenerationJob", "GenerationMasterJob", "Project", "Record")
}
"""What the contracts name without importing it, because it imports pydantic."""


def parts(annotation: object) -> Iterator[type]:
    """Return the classes of an annotation."""
    if isinstance(annotation, list):
        for one in typing.cast("list[object]", annotation):
            yield from parts(one)
    elif isinstance(annotation, type) and typing.get_origin(annotation) is None:
        yield annotation
    for one in typing.get_args(annotation):
        yield from parts(one)


def hinted(annotations: dict[str, object], module: str) -> Iterator[type]:
    """Return the classes of annotations that stand in a module of ours."""
    for hint in annotations.values():
        try:
            yield from parts(
                eval(hint, {**MODELS, **vars(typing), **vars(sys.modules[module])}) if isinstance(hint, str) else hint
            )
        except NameError as error:
            assert error.name in ("pd", "pl"), "only models and types of extras are imported for type checkers alone"  # noqa: PT017


def returned(function: Callable[..., object]) -> Iterator[type]:
    annotations = inspect.get_annotations(function)
    yield from hinted({"return": annotations.get("return")}, function.__module__)


def reached(cls: type) -> Iterator[type]:
    """Return the classes that the public members of a class return, or are."""
    for home in (one for one in cls.__mro__ if is_ours(one)):
        for name, member in vars(home).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if not name.startswith("_") and inspect.isfunction(function):
                yield from returned(function)
        fields = {name: hint for name, hint in inspect.get_annotations(home).items() if not name.startswith("_")}
        yield from hinted(fields, home.__module__)


def is_ours(cls: type) -> bool:
    return cls.__module__.startswith("starfish_storage")


def public_types() -> dict[type, str]:
    """Return all classes of ours that public calls return, and of which of them it was found first."""
    found: dict[type, str] = {}
    pending: deque[type] = deque()

    def note(classes: Iterator[type], where: str) -> None:
        for one in classes:
            if is_ours(one) and one not in found:
                found[one] = where
                pending.append(one)

    for module in public_modules():
        for name, value in public_objects(module).items():
            if isinstance(value, type):
                note(parts(value), f"{module.__name__}.{name}")
            elif inspect.isfunction(value):
                note(returned(value), f"{module.__name__}.{name}()")
    while pending:
        cls = pending.popleft()
        note(reached(cls), f"{cls.__module__}.{cls.__qualname__}")
    return found


def test_what_a_call_returns_can_be_imported_from_a_public_module():
    importable = {id(value) for module in public_modules() for value in public_objects(module).values()}
    types_found = public_types()
    assert len(types_found) > 60  # it does walk
    hidden = {cls.__qualname__: where for cls, where in types_found.items() if id(cls) not in importable}
    assert hidden == {}


def test_what_a_call_returns_is_described():
    plain = [cls for cls in public_types() if not (cls.__doc__ or "").strip()]
    assert plain == []


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [typed.Published, typed.Beyond])
@pytest.mark.parametrize("storage", [Storage, LocalStorage, PostgresStorage])
def test_signatures_are_exactly_those_of_the_table(table: type, storage: type):
    """What a type checker does not tell apart: `Any` fits everything."""
    for name, member in vars(table).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            said = inspect.signature(member, eval_str=True)
            assert inspect.signature(getattr(storage, name), locals=MODELS, eval_str=True) == said, name
