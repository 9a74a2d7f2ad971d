"""A function by its name: what is found, and what is said where nothing is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from starfish_storage import InvalidInputError
from starfish_storage.generation.loading import load_function

MODULE = """
import dataclasses
from os.path import join

def answer(row):
    return {"answer": row}

class Model:
    async def __call__(self, row): ...
    def method(self, row): ...

model = Model()
number = 5
_private = answer
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the current directory, with some modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    (tmp_path / "parts_pkg").mkdir()
    (tmp_path / "parts_pkg" / "__init__.py").write_text("")
    (tmp_path / "parts_pkg" / "tasks.py").write_text(MODULE)
    (tmp_path / "parts_tasks.py").write_text(MODULE)
    (tmp_path / "parts_broken.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "parts_raising.py").write_text("raise ValueError('not today')\n")
    (tmp_path / "parts_exiting.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "parts_syntax.py").write_text("def answer(:\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    ["parts_tasks:answer", "parts_pkg.tasks:answer", "parts_tasks.py:answer", "./parts_pkg/tasks.py:answer"],
)
def test_found_in_modules_and_files(here: Path, name: str) -> None:
    function = load_function(name)
    assert function({"x": 1}) == {"answer": {"x": 1}}
    assert load_function(name) is function


def test_found_by_an_absolute_path_and_deeper(here: Path) -> None:
    assert load_function(f"{here}/parts_pkg/tasks.py:answer").__name__ == "answer"
    assert load_function("parts_tasks:model.method").__name__ == "method"
    assert type(load_function("parts_tasks:model")).__name__ == "Model"
    assert load_function("os.path:join").__name__ == "join"


def test_found_in_main(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "a_function_of_main", print, raising=False)
    assert load_function("__main__:a_function_of_main") is print


def test_a_file_replaces_no_other_module(here: Path) -> None:
    (here / "json.py").write_text("def answer(): return 'mine'\n")
    (here / "other").mkdir()
    (here / "other" / "parts_tasks.py").write_text("def answer(): return 'the other'\n")
    standard = sys.modules.get("json")
    assert load_function("json.py:answer")() == "mine"
    assert sys.modules.get("json") is standard
    first = load_function("parts_tasks.py:answer")
    second = load_function("other/parts_tasks.py:answer")
    assert second() == "the other"
    assert load_function("parts_tasks.py:answer") is first
    assert load_function("other/parts_tasks.py:answer") is second
    assert second.__module__.startswith("parts_tasks_")


def test_a_file_imports_its_neighbours(here: Path) -> None:
    (here / "parts_pkg" / "parts_neighbour.py").write_text("def answer(): return 'neighbour'\n")
    (here / "parts_pkg" / "entry.py").write_text("from parts_neighbour import answer\n")
    assert load_function("parts_pkg/entry.py:answer")() == "neighbour"


@pytest.mark.parametrize("name", ["", "answer", ":", "module:", ":f", "m:a.", "m:f.<locals>.g", "m:<lambda>", "m:1"])
def test_malformed_names(name: str) -> None:
    with pytest.raises(InvalidInputError, match="MODULE:FUNCTION") as caught:
        load_function(name)
    assert "package.module:function" in str(caught.value)


@pytest.mark.parametrize("name", [".tasks:f", "a b:f", "a..b:f", "a-b:f"])
def test_malformed_modules(name: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a module name"):
        load_function(name)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("parts_nowhere:f", "parts_nowhere"),
        ("parts_nowhere.tasks:f", "parts_nowhere"),
        ("parts_pkg.nowhere:f", "parts_pkg.nowhere"),
        ("parts_tasks.nowhere:f", "parts_tasks.nowhere"),
    ],
)
def test_no_such_module(here: Path, name: str, missing: str) -> None:
    with pytest.raises(InvalidInputError, match=f"there is no module '{missing}'") as caught:
        load_function(name)
    assert str(here) in str(caught.value)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("parts_broken", "ModuleNotFoundError: \"No module named 'no_such_module_at_all'\""),
        ("parts_raising", "ValueError: 'not today'"),
        ("parts_exiting", "SystemExit: '3'"),
        ("parts_syntax", "SyntaxError: "),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".py"])
def test_an_import_that_fails_is_another_matter(here: Path, module: str, said: str, suffix: str) -> None:
    with pytest.raises(InvalidInputError, match=r"importing .* failed with") as caught:
        load_function(f"{module}{suffix}:answer")
    assert said in str(caught.value)
    assert caught.value.__cause__ is not None
    assert module not in sys.modules


def test_no_such_file(here: Path) -> None:
    for name in ("nowhere.py:f", "parts_pkg/nowhere.py:f", "./parts_pkg:f"):
        with pytest.raises(InvalidInputError, match="there is no Python file"):
            load_function(name)


def test_no_such_function(here: Path) -> None:
    with pytest.raises(InvalidInputError, match="'parts_tasks' has no 'anwser'; perhaps you mean 'answer'"):
        load_function("parts_tasks:anwser")
    with pytest.raises(InvalidInputError, match="it has 'answer', 'Model'"):
        load_function("parts_tasks:zzzzz")
    with pytest.raises(InvalidInputError, match="'parts_tasks:model' has no 'metod'"):
        load_function("parts_tasks:model.metod")
    with pytest.raises(InvalidInputError, match="has no 'f'; check the spelling"):
        load_function("parts_pkg:f")


def test_not_a_function(here: Path) -> None:
    with pytest.raises(InvalidInputError, match="of type int, which cannot be called"):
        load_function("parts_tasks:number")
