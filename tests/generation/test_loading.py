"""A function by its name: what is found, and what is said where nothing is."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.machinery
import os
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from durability import processes
from starfish_storage import InvalidInputError, LocalStorage, Project
from starfish_storage.generation.loading import is_found_by_name, load_function, stored_name
from starfish_storage.user_modules import refuse_in_import

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


def test_a_module_that_makes_its_attributes_may_fail(here: Path) -> None:
    (here / "parts_lazy.py").write_text("def __getattr__(name):\n    raise RuntimeError('not today')\n")
    with pytest.raises(InvalidInputError, match=r"looking for 'answer' in 'parts_lazy\.py' failed with RuntimeError"):
        load_function("parts_lazy.py:answer")


def test_not_a_function(here: Path) -> None:
    with pytest.raises(InvalidInputError, match="of type int, which cannot be called"):
        load_function("parts_tasks:number")


MAIN = """
import asyncio, sys
from starfish_storage import generate, open_storage
from beside.tasks import answer

async def main():
    async with open_storage(sys.argv[1], durability="process") as storage:
        await generate(storage, answer, [{"n": 1}], project="p", master_job_id="run-1", max_cost=0, progress="quiet")

asyncio.run(main())
"""


def test_a_function_of_a_package_beside_a_script_is_found_from_another_directory(tmp_path: Path) -> None:
    package = tmp_path / "scripts" / "beside"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "more.py").write_text("ONE = 1\n")
    (package / "tasks.py").write_text("from .more import ONE\n\ndef answer(n):\n    return {'n': n + ONE}\n")
    (tmp_path / "scripts" / "main.py").write_text(MAIN)
    store = (tmp_path / "store").as_uri()
    for words in (
        (f"{tmp_path}/scripts/main.py", store),
        ("-m", "starfish_storage", "resume", "run-1", "--store", store, "--max-cost", "9"),
    ):
        status, out, errors = processes.run(list(words))
        assert status == 0, errors
    assert "completed" in out
    package.rename(tmp_path / "scripts" / "gone")
    words = ("-m", "starfish_storage", "retry", "run-1", "--store", store)
    status, _, errors = processes.run(list(words))
    assert status != 0
    assert "there is no module 'beside'" in errors


def test_the_stored_name_of_a_function_is_its_file_unless_that_is_installed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stored_name(load_function("parts_tasks:answer")) == f"{here}/parts_tasks.py:answer"
    assert stored_name(load_function("parts_pkg.tasks:answer")) == f"{here}/parts_pkg.tasks:answer"
    assert stored_name(load_function("parts_tasks:model")) == "parts_tasks:Model", "an object is not its class"
    assert stored_name(functools.partial(load_function("parts_tasks:answer"), 1)) == "parts_tasks:answer"
    assert stored_name(stored_name) == "starfish_storage.generation.loading:stored_name"
    assert stored_name(os.path.join) == "posixpath:join"
    assert stored_name(len) == "builtins:len"
    assert stored_name(lambda: None).startswith(f"{__name__}:")
    assert not is_found_by_name(stored_name(lambda: None))
    (here / "parts_started.py").write_text("def answer(): return 1\n")
    started = types.ModuleType("__main__")
    started.__file__ = "parts_started.py"
    exec(compile("def answer(): return 2", "parts_started.py", "exec"), started.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", started)
    name = stored_name(started.answer)
    assert name == f"{here}/parts_started.py:answer"
    assert load_function(name) is started.answer, "the file is not imported a second time"
    started.__spec__ = importlib.machinery.ModuleSpec("parts_pkg.__main__", None)
    assert stored_name(started.answer) == "parts_pkg.__main__:answer"
    assert load_function("parts_pkg.__main__:answer") is started.answer
    exec("def typed(): return 3", started.__dict__)
    assert stored_name(started.typed) == "__main__:typed"
    del started.__spec__, started.__file__
    assert stored_name(started.answer) == "__main__:answer", "typed in"


async def test_a_module_that_a_coroutine_imports_starts_nothing_either(here: Path) -> None:
    (here / "parts_starting.py").write_text("import asyncio\nasyncio.run(asyncio.sleep(0))\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the coroutine, which nobody awaits
        with pytest.raises(InvalidInputError, match=r"importing 'parts_starting' calls asyncio.run\(\); put what"):
            load_function("parts_starting:answer")
        gc.collect()
    assert "parts_starting" not in sys.modules


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_an_import_leaves_behind_starts_nothing_later(here: Path) -> None:
    (here / "parts_later.py").write_text(
        "import threading\nfrom starfish_storage.user_modules import refuse_in_import\n"
        "go, found = threading.Event(), []\n"
        "def later():\n    go.wait()\n    found.append('called')\n"
        "    refuse_in_import('starts')\n    found.append('started')\n"
        "one = threading.Thread(target=later)\none.start()\n"
        "def answer():\n    go.set()\n    one.join()\n    return found\n"
    )
    assert load_function("parts_later:answer")() == ["called"]
    refuse_in_import("starts")  # here nothing is being imported
    other = threading.Thread(target=refuse_in_import, args=("starts",))
    other.start()
    other.join()


def test_reading_a_store_while_a_module_is_imported_is_allowed(here: Path) -> None:
    (here / "parts_examples.py").write_text(
        "import asyncio\nfrom starfish_storage import LocalStorage\n"
        f"async def read():\n    async with LocalStorage('file://{here}/s', read_only=True) as s:\n"
        "        return await s.list_projects()\n"
        "PROJECTS = asyncio.run(read())\ndef answer(): return PROJECTS\n"
    )

    async def make() -> None:
        async with LocalStorage(f"file://{here}/s") as storage:
            await storage.save_project(Project(project_id="p", name="p"))

    asyncio.run(make())
    assert [one.project_id for one in load_function("parts_examples:answer")()] == ["p"]
