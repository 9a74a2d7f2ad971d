"""What a run is made of: what its identity holds, and how a change of it is told."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfish_storage.generation.segments import describe_changes, is_code_changed, segment_identity

PROGRAM = """
import pydantic

PROMPT = "ask"
API_KEY = "the key of mine"


class Answer(pydantic.BaseModel):
    text: str


def parse(text):
    return Answer(text=text.strip())


def unused():
    return 1


def answer(n):
    import click  # only when it is called

    return parse(PROMPT), API_KEY
"""

GIT = ("git", "-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")

Load = Callable[[str], Callable[..., Any]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Return a function that writes a program into the current directory and returns its `answer`."""
    monkeypatch.chdir(tmp_path)

    def loaded(program: str) -> Callable[..., Any]:
        path = tmp_path / "asking.py"
        path.write_text(program, "utf-8")
        spec = importlib.util.spec_from_file_location("asking", path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["asking"] = importlib.util.module_from_spec(spec)
        exec(compile(program, str(path), "exec"), module.__dict__)
        return module.answer

    yield loaded
    sys.modules.pop("asking", None)


def git(*words: str) -> None:
    subprocess.run((*GIT, *words), check=True, capture_output=True)


def test_an_identity_says_what_a_run_is_made_of_and_where(load: Load, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["asking.py", "--api-key=abc", "--model", "m"])
    git("init")
    function = load(PROGRAM)
    assert segment_identity(function, {}, {})["git"] is None, "no commit yet"
    git("add", ".")
    git("commit", "-m", "first")
    found = segment_identity(function, {"api_key": "abc", "temperature": 0.2}, {"max_cost": 5})
    assert found == json.loads(json.dumps(found)), "it is JSON"
    assert found["git"]["clean"] is True
    assert len(found["git"]["commit"]) == 40
    about = found["function"]
    assert (about["name"], about["file"], list(about["files"])) == ("asking:answer", "asking.py", ["asking.py"])
    assert list(about["functions"]) == ["asking:answer", "asking:parse"]
    assert list(about["classes"]) == ["asking:Answer"]
    assert list(about["constants"]) == ["asking:PROMPT"], "the digest of a password would tell it"
    assert all(len(digest) == 64 for digest in (about["code"], about["source"], *about["files"].values()))
    assert {"python", "starfish-storage", "pydantic", "click"} == set(found["versions"])
    assert (found["config"], found["options"]) == ({"api_key": "[redacted]", "temperature": 0.2}, {"max_cost": 5})
    assert found["command"] == ["asking.py", "--api-key=[redacted]", "--model", "m"]
    assert found["host"]
    load(PROGRAM + "\n")
    assert segment_identity(function, {}, {})["git"]["clean"] is False


@pytest.mark.parametrize(
    ("old", "new", "line", "is_code"),
    [
        ("return parse(PROMPT)", "return parse(PROMPT * 2)", "function body of asking.answer changed", True),
        ("text.strip()", "text.lstrip()", "helper asking.parse changed", True),
        ("text: str", "text: str = ''", "class asking.Answer changed", True),
        ('"ask"', '"ask again"', "constant asking.PROMPT changed", True),
        (
            "def parse",
            "# for people\ndef parse",
            "only comments, layout or code that asking.answer does not use",
            False,
        ),
        ("return 1", "return 2", "only comments, layout or code that asking.answer does not use", False),
        ("# only when", "# not before", "only comments or layout of asking.answer changed", False),
        ('"the key of mine"', '"another key"', "code of asking.answer changed in asking.py", True),
    ],
)
def test_one_change_of_the_code_is_one_line(load: Load, old: str, new: str, line: str, is_code: bool):
    before = segment_identity(load(PROGRAM), {}, {})
    assert describe_changes(before, segment_identity(load(PROGRAM), {}, {})) == []
    after = segment_identity(load(PROGRAM.replace(old, new)), {}, {})
    (found,) = describe_changes(before, after)
    assert found.startswith(line)
    assert is_code_changed(before, after) is is_code
    assert describe_changes(before, after, ["config", "options", "versions", "git"]) == []


def test_a_helper_that_comes_and_goes_and_another_function_are_told(load: Load):
    before = segment_identity(load(PROGRAM), {}, {})
    after = segment_identity(load(PROGRAM.replace("return parse(PROMPT)", "return PROMPT")), {}, {})
    assert describe_changes(before, after) == [
        "function body of asking.answer changed",
        "helper asking.parse removed",
        "class asking.Answer removed",
    ]
    other = segment_identity(load(f"{PROGRAM}\nanswer = unused\n"), {}, {})
    assert describe_changes(before, other, ["code"]) == ["function: asking.answer -> asking.unused"]


def test_every_other_change_is_a_line_and_long_values_are_cut():
    before = {
        "config": {"temperature": 0.2, "messages": [{"role": "user", "content": "x" * 100}], "top_p": 1},
        "options": {"max_cost": 5},
        "versions": {"python": "3.11.2", "openai": "3.1.0", "httpx": "0.27"},
        "git": {"commit": "1" * 40, "clean": True},
        "host": "one",
        "command": ["a"],
    }
    after = {
        "config": {"temperature": 0.7, "messages": [{"role": "user", "content": "y" * 100}, {}], "seed": 1},
        "options": {"max_cost": 5.0},
        "versions": {"python": "3.12.0", "openai": "3.2.0", "mistral": "1.0"},
        "git": {"commit": "2" * 40, "clean": False},
        "host": "two",
        "command": ["b"],
    }
    assert describe_changes(before, after) == [
        "config.temperature: 0.2 -> 0.7",
        'config.messages[0].content: "' + 40 * "x" + '..." -> "' + 40 * "y" + '..."',
        "config.messages[1] added: {}",
        "config.top_p removed",
        "config.seed added: 1",
        "options.max_cost: 5 -> 5.0",
        "Python 3.11.2 -> 3.12.0",
        "openai 3.1.0 -> 3.2.0",
        "mistral 1.0 added",
        "httpx 0.27 no longer imported",
        "commit 1111111111 -> 2222222222",
        "work tree: clean -> changed",
    ]
    assert describe_changes({}, {"function": None, "config": [], "git": None}) == []


def test_another_python_compiles_other_code_and_the_text_decides(load: Load):
    before = segment_identity(load(PROGRAM), {}, {})
    after = json.loads(json.dumps(before))
    after["versions"]["python"], after["function"]["code"] = "3.99.0", "other"
    after["function"]["functions"] = {}
    assert describe_changes(before, after, ["code"]) == []
    after["function"]["files"]["asking.py"] = "other"
    assert describe_changes(before, after, ["code"]) == ["code of asking.answer changed in asking.py"]


def test_a_function_without_a_file_has_an_identity():
    namespace: dict[str, Any] = {"__name__": "typed_in"}
    exec("def answer(n):\n    return {'n': n}", namespace)
    before = segment_identity(namespace["answer"], {}, {})
    about = before["function"]
    assert (about["name"], about["file"], about["source"], about["files"]) == ("typed_in:answer", None, None, {})
    exec("def answer(n):\n    return {'n': -n}", namespace)
    after = segment_identity(namespace["answer"], {}, {})
    assert describe_changes(before, after) == ["function body of typed_in.answer changed"]
    assert segment_identity(len, None, {})["function"]["functions"] == {}


def test_a_git_that_fails_is_none(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    function = load(PROGRAM)
    assert segment_identity(function, {}, {})["git"] is None
    monkeypatch.setenv("PATH", "")
    assert segment_identity(function, {}, {})["git"] is None
