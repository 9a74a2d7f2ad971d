"""The group: its help, the commands that look after a store, former names, warnings, and what is imported for what."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest

from cli.calling import call, call_json
from starfish_storage import NetworkFileSystemWarning
from starfish_storage.cli import main
from starfish_storage.cli.group import CommandGroup

assert isinstance(main, CommandGroup)
NAMES = main.list_commands(click.Context(main))


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def test_the_help_lists_every_command():
    ended = call("--help")
    assert (ended.status, ended.err) == (0, "")
    for name in NAMES:
        assert f"\n  {name} " in ended.out
    assert ended.out.count("...") == 1  # of the usage; no command's line is cut
    assert call() == (2, "", ended.out)


@pytest.mark.parametrize("name", NAMES)
def test_every_help_has_an_example(name: str):
    for option in ("--help", "-h"):
        ended = call(name, option)
        assert (ended.status, ended.err) == (0, "")
        assert "Example:" in ended.out
        assert "--store" in ended.out or name in ("copy", "check")  # which name two, and none
    assert command(name).name == name


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"demo", "generate", "resume", "retry", "cancel", "view"}))
def test_every_reading_command_prints_json(name: str):
    assert "--json" in call(name, "--help").out


def test_the_commands_that_look_after_a_store_find_it(here: Path, monkeypatch: pytest.MonkeyPatch):
    for words in (
        ["verify"],
        ["verify", "--store", "store"],
        ["--store", "store", "verify"],
        ["repair", "--dry-run"],
        ["collect", "--dry-run"],
    ):
        ended = call(*words, "--json")
        assert ended.status == 0, ended
        json.loads(ended.out)
    (here / "store").rename(here / "moved")
    assert call("verify").status == 2
    for words in (["--store", "moved", "backup", "copy"], ["backup", "copy", "--store", "moved"], ["restore", "copy"]):
        assert call(*words).status == 0
    assert len(call_json("projects")) == 2
    monkeypatch.setenv("STARFISH_STORAGE_URI", "nowhere")
    assert call("--store", "moved", "verify", environment={"STARFISH_STORAGE_URI": "nowhere"}).status == 0


def test_a_command_answers_to_its_former_name_and_no_list_shows_it(here: Path):
    assert call("jobs", "--json") == call("runs", "--json")
    assert "jobs" not in NAMES
    assert "\n  jobs " not in call("--help").out


def test_there_is_no_command_line_below_this_one(here: Path):
    done = subprocess.run(
        [sys.executable, "-m", "starfish_storage.maintenance"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cannot be directly executed" in done.stderr


def test_damage_gives_1(here: Path):
    for path in here.glob("store/data/*/sum-0.json"):
        path.unlink()
    assert call("verify").status == 1
    assert call("repair", "--dry-run").status == 1


def test_what_is_logged_is_a_line_too(here: Path, monkeypatch: pytest.MonkeyPatch):
    def log(*_: object) -> None:
        logging.getLogger("starfish_storage.data.mounts").info("nobody needs this")
        logging.getLogger("starfish_storage.data.mounts").warning("%d calls do not end", 3)

    monkeypatch.setattr("starfish_storage.storage.local.warn_of_network_file_systems", log)
    ended = call("projects")
    assert (ended.status, ended.err) == (0, "warning: 3 calls do not end\n")


def test_a_program_that_configures_no_logging_hears_nothing():
    script = "import logging, starfish_storage; logging.getLogger('starfish_storage.any').warning('heard')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_warning_is_a_line(here: Path, monkeypatch: pytest.MonkeyPatch):
    def warn(*_: object) -> None:
        warnings.warn("this is a network share", NetworkFileSystemWarning, stacklevel=1)

    monkeypatch.setattr("starfish_storage.storage.local.warn_of_network_file_systems", warn)
    warnings.simplefilter("default", NetworkFileSystemWarning)
    ended = call("projects")
    assert (ended.status, ended.err) == (0, "warning: this is a network share\n")


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (
            "--help",
            [
                *("rich", "asyncio", "pydantic", "apsw", "starfish_storage.models", "starfish_storage.cli.runs"),
                "starfish_storage.redaction",
            ],
        ),
        ("--version", ["rich", "asyncio", "pydantic", "apsw", "orjson"]),
        ("runs --status failed --limit 5", ["pydantic", "starfish_storage.generation"]),
        (
            "runs --json",
            [
                *("rich", "pydantic", "pydantic_core", "annotated_types", "tenacity", "jsonschema", "aiolimiter"),
                *("importlib.resources", "importlib.metadata", "asyncpg", "obstore", "pyarrow"),
                "starfish_storage.models",
                "starfish_storage.copying",
                "starfish_storage.generation",
                "starfish_storage.maintenance",
                "starfish_storage.cli.watch",
            ],
        ),
        ("records last", ["rich", "tenacity", "starfish_storage.generation", "starfish_storage.cli.running"]),
        ("config last --json", ["rich"]),
    ],
)
def test_a_command_imports_what_it_needs(words: str, unused: list[str], here: Path):
    code = (
        "import sys\nfrom starfish_storage.cli import main\n"
        f"try:\n    main({words.split()!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([name for name in {unused!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(("called", "times"), [("pass", 2), ("import starfish_storage.generation", 1)])
def test_a_command_is_imported_without_the_collector(called: str, times: int, here: Path):
    """What was imported is not looked at as the collector begins; nor anything in the end, without a user's objects."""
    code = (
        f"{called}\nimport atexit, gc, sys\nfrom starfish_storage.__main__ import run\n"
        "frozen, freeze = [], gc.freeze\n"
        "def noted():\n    frozen.append(gc.isenabled())\n    freeze()\n"
        "gc.freeze = noted\n"
        "def tell(): print(gc.isenabled(), frozen, file=sys.stderr)\n"
        "atexit.register(tell)\nsys.argv[1:] = ['runs']\nrun()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    assert done.stderr == f"True {[False, True][:times]}\n"
