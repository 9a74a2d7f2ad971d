"""One thing is changed at a time: which inputs are asked for again, for each way of dealing with a change."""

from __future__ import annotations

import importlib
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import starfish_storage
from durability import processes
from generation.changing_process import CONFIG, INPUTS
from generation.runs import open_store
from starfish_storage.errors import RunChangedError
from starfish_storage.generation import generate

PROGRAM = """
from changing_helper import helped

PROMPT = "answer"
asked = []


def answer(n):
    asked.append(n)
    return {"n": helped(n), "prompt": PROMPT}
"""
HELPER = "def helped(n):\n    return n\n"
WAYS = ("refuse", "continue", "fork", "match")
REFUSED = None

FILES = {
    "prompt in the code": (PROGRAM.replace('"answer"', '"answer briefly"'), HELPER),
    "function body": (PROGRAM.replace("helped(n),", "helped(n) + 0,"), HELPER),
    "helper function": (PROGRAM, HELPER.replace("return n", "return +n")),
    "comment": (PROGRAM.replace("asked = []", "asked = []  # so far"), "# Helps.\n" + HELPER),
}
CODE = frozenset(FILES) - {"comment"}

# For each way, in the order of WAYS: what is asked for when the run had finished, and when it was killed at its second
# input, with the first one done.
SAME = ([[]] * 4, [[2, 3]] * 4)
ASKED: dict[str, tuple[list[Any], list[Any]]] = {
    "nothing": SAME,
    "prompt in the configuration": ([REFUSED, [], [1, 2, 3], REFUSED], [REFUSED, [2, 3], [1, 2, 3], REFUSED]),
    "key added to the configuration": ([REFUSED, [], [1, 2, 3], REFUSED], [REFUSED, [2, 3], [1, 2, 3], REFUSED]),
    "no configuration": SAME,
    **dict.fromkeys(FILES, SAME),
    "options": SAME,
    "library version": SAME,
    "input added": ([[4]] * 4, [[2, 3, 4]] * 4),
    "input inserted": ([REFUSED, [9], [9], [9]], [REFUSED, [2, 3, 9], [2, 3, 9], [2, 3, 9]]),
    "input removed": ([REFUSED, [], [], []], [REFUSED, [2, 3], [3], [3]]),
    "last input removed": ([REFUSED, [], [], []], [REFUSED, [2, 3], [2], [2]]),
    "inputs reordered": ([REFUSED, [], [], []], [REFUSED, [2, 3], [2, 3], [2, 3]]),
    "equal input added": ([[3]] * 4, [[2, 3, 3]] * 4),
}
INPUTS_OF = {
    "input added": (1, 2, 3, 4),
    "input inserted": (1, 9, 2, 3),
    "input removed": (1, 3),
    "last input removed": (1, 2),
    "inputs reordered": (3, 1, 2),
    "equal input added": (1, 2, 3, 3),
}
CONFIG_OF = {
    "prompt in the configuration": {"prompt": "answer briefly"},
    "key added to the configuration": CONFIG | {"model": "m"},
    "no configuration": None,
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores with a run of the program: one that has finished, and one that was killed."""
    place = tmp_path_factory.mktemp("begun")
    write(place, PROGRAM, HELPER)
    for name, how in (("finished", ()), ("killed", ("killed",))):
        uri = place.joinpath(name).as_uri()
        status, _, errors = processes.run(["-m", "generation.changing_process", uri, str(place), *how])
        assert status == (-9 if how else 0), errors
    return place


@pytest.fixture
def imports() -> Iterator[None]:
    """Take back what `program` has done to the imports."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    for name in ("changing_program", "changing_helper"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("imports")
@pytest.mark.parametrize("state", ["finished", "killed"])
@pytest.mark.parametrize("change", ASKED)
async def test_what_is_asked_again(
    begun: Path,
    tmp_path: Path,
    change: str,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path, *FILES.get(change, (PROGRAM, HELPER)))
    program = load(tmp_path)
    if change == "library version":
        monkeypatch.setattr(starfish_storage, "__version__", "99.0.0")
    for way, expected in zip(WAYS, ASKED[change][state == "killed"], strict=True):
        caplog.clear()
        shutil.copytree(begun / state, tmp_path / way)
        assert await asked(program, tmp_path / way, change, way) == expected, way
        told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
        assert len([one for one in told if "goes on with changed code" in one]) == (
            change in CODE and state == "killed"
        ), way
        again = await asked(program, tmp_path / way, change, way)
        assert again == (REFUSED if expected is REFUSED else []), way


async def asked(program: Any, store: Path, change: str, way: str) -> list[int] | None:
    """Call the run, and return what was asked for; None if it was refused."""
    program.asked.clear()
    inputs = [{"n": n} for n in INPUTS_OF.get(change, INPUTS)]
    options: dict[str, Any] = {"timeout": 60, "max_failures": 5} if change == "options" else {}
    async with open_store(store.as_uri()) as storage:
        before = await storage.ledger.list_segments("run-1")
        try:
            run = await generate(
                storage,
                program.answer,
                inputs,
                project="p",
                master_job_id="run-1",
                config=CONFIG_OF.get(change, CONFIG),
                on_change=way,  # pyright: ignore[reportArgumentType] (one of a list)
                progress="quiet",
                **options,
            )
        except RunChangedError:
            assert await storage.ledger.list_segments("run-1") == before
            assert program.asked == []
            return REFUSED
        assert run.status == "completed"
        assert (run.master_job_id == "run-1") == (way != "fork" or ASKED[change][0][0] is not REFUSED)
        return sorted(program.asked)


def write(place: Path, program: str, helper: str) -> None:
    place.joinpath("changing_program.py").write_text(program)
    place.joinpath("changing_helper.py").write_text(helper)


def load(place: Path) -> Any:
    sys.path.insert(0, str(place))
    for name in ("changing_program", "changing_helper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("changing_program")
