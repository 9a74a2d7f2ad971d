"""The documentation as the tests see it: pages, their code blocks, and how each kind of block is run."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.calling import call

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN_IN_SHELL = {"cat", "chmod", "cp", "grep", "ls", "mkdir", "python", "starfish-storage"}
_ENDING = re.compile(r" \|\| test \$\? = (\d)$")
_ONLY_IN_SHELL = re.compile(r"[|&;<>$`*]")
_NOT_RUN = {"duckdb", "pip"}  # not there, or would change the environment
_SQLITE = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]), sep='\\n')"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    info: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in order."""
    content = page.read_text("utf-8")
    for match in _FENCE.finditer(content):
        yield Block(page, content.count("\n", 0, match.start()) + 1, match["info"], match["text"])


def run_python(block: Block, namespace: dict[str, Any], runner: asyncio.Runner) -> None:
    """Run a block in a page's namespace; it may await at the top level."""
    # Moved down to its place in the page, so that a traceback names the page's own line.
    source = "\n" * block.line + block.text
    code = compile(source, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(eval(code, namespace))
    else:
        exec(code, namespace)


def file_of(block: Block) -> str | None:
    """Return the name of the file that a block shows, if its fence says so: ``python file=answers.py``."""
    _, said, name = block.info.partition(" file=")
    return name if said else None


def commands(block: Block) -> list[str]:
    """Return the commands of a console block."""
    return [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]


def run_in_process(command: str, directory: Path) -> None:
    """Run a documented command of ours in this process, where it needs no shell; any other as a process.

    A process takes half a second to start, and that commands work as processes is tested in `cli/test_processes.py`.
    """
    ending = _ENDING.search(command)
    words = command if ending is None else command[: ending.start()]
    if not words.startswith("starfish-storage ") or _ONLY_IN_SHELL.search(words):
        run_command(command, directory)
        return
    with contextlib.chdir(directory):
        ended = call(
            *shlex.split(words)[1:], environment={"STARFISH_STORAGE_URI": os.environ.get("STARFISH_STORAGE_URI")}
        )
    assert ended.status == int(ending[1] if ending else 0), f"{command}\n{ended.err}"


def run_command(command: str, directory: Path) -> str:
    """Run a documented command, and return what it prints.

    ``make`` targets are only looked up, and SQL is run by Python's own SQLite, in a process of its own.
    """
    program, *arguments = shlex.split(command)
    if program in _NOT_RUN:
        return ""
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE), command
        return ""
    if program == "sqlite3":
        argv = [sys.executable, "-c", _SQLITE, *(argument for argument in arguments if argument != "-readonly")]
    else:
        assert program in _RUN_IN_SHELL, f"the tests do not know how to run {command!r}"
        argv = ["sh", "-c", command]
    # Our own command is the one of this environment, which need not be activated.
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        argv, cwd=directory, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout
