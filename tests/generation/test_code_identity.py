"""The identity of a function's code: the same for the same code, another once anything that it names is changed."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from starfish_storage.generation.code_identity import code_identity

PROGRAM = """
import enum
import functools
import json
import re
from dataclasses import dataclass

import pydantic

import parsing  # a module of the program

PATTERN = re.compile("[a-z]+")
PROMPT = "ask"
LIMITS = (1, 2.5, frozenset({"a", "b"}))
calls = 0


def cached(function):
    @functools.wraps(function)
    def wrapped(*given):
        return function(*given)

    return wrapped


class Level(enum.Enum):
    LOW = 1


class Part(pydantic.BaseModel):
    level: Level | None = None
    weight: int = 1


class Whole(pydantic.BaseModel):
    parts: list[Part]


@dataclass
class Verdict:
    score: int

    @property
    def good(self):
        return self.score > 3

    @classmethod
    def of(cls, text):
        return cls(int(PATTERN.sub("", text)))


class Judge:
    def __init__(self, prompt):
        self.prompt = prompt

    def __call__(self, x, context):
        return parse(x)


@functools.lru_cache
def clean(text):
    return text.strip()


@cached
def parse(text, *, strict=True):
    global calls
    calls += 1
    return Verdict.of(clean(text)).good and text in {"a", "b", "c"} and json.loads(text)


def answer(x, context):
    return Whole(parts=[]) and [parse(x), parsing.parse(x), LIMITS, PROMPT, (lambda y: y + 1)(1)]


judge = Judge("which?")
method = judge.__call__
partial = functools.partial(answer, context=None)
"""
PARSING = "def parse(text):\n    return text.lower()\n"
NAMES = ("answer", "judge", "method", "partial")


ASK = """
import json, pathlib, sys
from starfish_storage.generation.code_identity import code_identity
directory, names, variants = json.load(sys.stdin)
sys.path.insert(0, directory)
sys.dont_write_bytecode = True
found = []
for sources in variants:
    for name, text in sources.items():
        pathlib.Path(directory, name + ".py").write_text(text)
        sys.modules.pop(name, None)
    import program
    program.calls += 100  # what changes at work says nothing
    found.append({name: code_identity(getattr(program, name)) for name in names})
json.dump(found, sys.stdout)
"""


def identities(directory: Path, *programs: str, parsing: str = PARSING, seed: int = 0) -> list[dict[str, str]]:
    """Return the identities of the functions of each program, as a new process computes them."""
    given = json.dumps([str(directory), NAMES, [{"program": one, "parsing": parsing} for one in programs]])
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    run = [sys.executable, "-c", ASK]
    return json.loads(
        subprocess.run(run, input=given, env=environment, check=True, capture_output=True, text=True).stdout
    )


def test_the_same_in_every_process_whatever_the_comments(tmp_path: Path) -> None:
    commented = PROGRAM.replace("def answer", "# a comment\n\n\ndef answer").replace(
        "  return cls(", "  # more\n        return cls("
    )
    first, second = identities(tmp_path, PROGRAM, commented)
    assert len(set(first.values())) == len(NAMES)
    assert identities(tmp_path, PROGRAM, seed=1) == [first] == [second]


CHANGES = {
    "the pattern": ("[a-z]+", "[a-z]*"),
    "a text": ('PROMPT = "ask"', 'PROMPT = "tell"'),
    "a constant": ("2.5", "2.6"),
    "the body of a decorated function": ('text in {"a"', 'text not in {"a"'),
    "a default": ("strict=True", "strict=False"),
    "a method of a class": ("self.score > 3", "self.score > 4"),
    "a field of a class": ("score: int", "score: float"),
    "a cached function": ("text.strip()", "text.rstrip()"),
    "a lambda": ("y + 1", "y + 2"),
    "a value of an enumeration that a field of a model has": ("LOW = 1", "LOW = 2"),
    "a default of a model in a model": ("weight: int = 1", "weight: int = 2"),
    "the decorator": ("return function(*given)", "return function(*given) or None"),
}


def test_any_change_is_another_code(tmp_path: Path) -> None:
    programs = [PROGRAM.replace(*change) for change in CHANGES.values()]
    before, who, *changed = identities(tmp_path, PROGRAM, PROGRAM.replace("which?", "who?"), *programs)
    unseen = [what for what, found in zip(CHANGES, changed, strict=True) if found["answer"] == before["answer"]]
    assert unseen == []
    assert who["judge"] != before["judge"]
    (elsewhere,) = identities(tmp_path, PROGRAM, parsing=PARSING.replace("lower", "upper"))
    assert elsewhere["answer"] != before["answer"]
    assert elsewhere["partial"] != before["partial"]
    assert elsewhere["judge"] == before["judge"], "it does not name that"


def function_with(parse: Any, limit: int = 1) -> Any:
    def answer(n: int) -> Any:
        return parse(n, limit)

    return answer


def test_functions_that_are_made() -> None:
    assert code_identity(function_with(max)) == code_identity(function_with(max, limit=2)), "a counter, for all we know"
    assert code_identity(function_with(max)) != code_identity(function_with(min))
    assert code_identity(function_with(lambda n, _: n)) != code_identity(function_with(lambda n, _: -n))
    assert code_identity(functools.partial(max, 1)) != code_identity(functools.partial(max, 2))
    typed: dict[str, Any] = {}
    for text in ("def f(n): return g(n)", "def g(n): return n"):
        exec(text, typed)  # as an interpreter does
    first = code_identity(typed["f"])
    exec("def g(n): return -n", typed)
    assert code_identity(typed["f"]) != first


@pytest.mark.parametrize("odd", [len, str.upper, dict, functools.partial(len), object(), type("Named", (), {}), print])
def test_whatever_can_be_given_has_one(odd: Any) -> None:
    assert len(code_identity(odd)) == 64
