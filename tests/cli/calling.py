"""Calling commands: in this process, and as people do."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from starfish_storage.cli import main

# The same whatever the machine says, and nothing of the developer's own store.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "HOME": "/nonexistent"} | {
    "PYTHONWARNINGS": "ignore:durability='power' cannot be kept"  # temporary files may lie in memory
}
COMMAND = (sys.executable, "-m", "starfish_storage")


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def call(*words: str, environment: Mapping[str, str | None] | None = None) -> Ended:
    """Call a command in this process; a traceback fails the test. What it imported from its directory is forgotten."""
    here, loaded = os.path.join(os.getcwd(), ""), set(sys.modules)
    try:
        result = CliRunner().invoke(main, list(words), env={"STARFISH_STORAGE_URI": None, **(environment or {})})
    finally:
        for name in set(sys.modules) - loaded:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(here):
                del sys.modules[name]  # another test has another module of this name
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def call_json(*words: str) -> Any:
    ended = call(*words, "--json")
    assert (ended.status, ended.err) == (0, ""), ended
    return json.loads(ended.out)


def rows(out: str) -> list[dict[str, str]]:
    """Return the lines of tab-separated text by the names of their columns."""
    names, *lines = (line.split("\t") for line in out.splitlines())
    return [dict(zip(names, line, strict=True)) for line in lines]


def run(*words: str, directory: Path, **environment: str) -> Ended:
    """Run a command as a process."""
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=directory,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def interrupt(*words: str, directory: Path, when: Path, number: signal.Signals) -> Ended:
    """Run a command, and send it a signal when a file is there."""
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=directory,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        until = time.monotonic() + 60
        while not when.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)  # between looks for what another process makes, up to a deadline
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out, err)


def in_a_terminal(*words: str, directory: Path, **environment: str) -> tuple[int, str]:
    """Run a command whose output goes to a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [*COMMAND, *words],
        cwd=directory,
        env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "120"} | environment,
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    out = b""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # what Linux says at the end
            break
        if not read:
            break
        out += read
    os.close(ours)
    return done.wait(timeout=60), out.decode()
