"""The real Starfish framework, in an environment and in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
ENVIRONMENT = Path(sys.prefix) / "foreign-starfish"
PYTHON = ENVIRONMENT / "bin" / "python"
FACTORIES, CONTRACT = HERE / "factories.py", HERE / "contract_calls.py"
DIALLED = "dialled.txt"
SECONDS = 60.0


def needed() -> None:
    """Skip a test where there is no Starfish."""
    if not (ENVIRONMENT / "finished").exists():
        pytest.skip("Starfish is not installed: make .venv/foreign")


def environment_in(directory: Path, **variables: str) -> dict[str, str]:
    """Return the variables of a process with Starfish that reports nothing, asks nothing, and stores below a directory.

    Unless it is told not to, Starfish reports each run to its makers, and litellm gets a list of prices.
    """
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": f"{SOURCES}:{HERE.parent}",
        "PYTHONUTF8": "1",
        "PYTHONWARNINGS": "ignore:durability='power' cannot be kept",  # temporary files may lie in memory
        "STARFISH_LOCAL_STORAGE_DIR": str(directory / "starfish"),
        "STARFISH_STORAGE_SPOOL": str(directory / "spool"),
        "TELEMETRY_ENABLED": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **{name: value for name, value in os.environ.items() if name.startswith(("AWS_", "NO_PROXY", "no_proxy"))},
        **variables,
    }


class FrameworkError(Exception):
    """A function failed in a process of Starfish; `kind` is the name of its error's class."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Case:
    """A function that a process of Starfish carries out."""

    def __init__(self, connection: socket.socket, directory: Path) -> None:
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")
        self._directory = directory
        self.pid: int = json.loads(self._lines.readline())["pid"]

    def hear(self) -> Any:
        """Wait for the next thing that the function says, and return it."""
        line = self._lines.readline()
        assert line, f"it has ended: {self.output()}"
        said = json.loads(line)
        assert "said" in said, said
        return said["said"]

    def kill(self) -> None:
        """End the process, and wait for that."""
        os.kill(self.pid, signal.SIGKILL)
        self._read_all()

    def result(self) -> Any:
        """Wait until the process has ended, and return what the function returned.

        Raises:
            FrameworkError: it raised.
        """
        said = [line for line in self._read_all() if "said" not in line]
        assert said, f"it has ended without an answer: {self.output()}"
        dialled = self._directory / DIALLED
        assert not dialled.exists(), f"it has spoken to another machine: {dialled.read_text('utf-8')}"
        if "error" in said[-1]:
            raise FrameworkError(said[-1]["type"], said[-1]["error"])
        return said[-1]["result"]

    def _read_all(self) -> list[dict[str, Any]]:
        with self._connection, self._lines:
            try:
                return [json.loads(line) for line in self._lines]
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it does not end: {self.output()}") from None

    def output(self) -> str:
        """Return what it has printed."""
        return (self._directory / "output.txt").read_text("utf-8", "replace")


class Framework:
    """Processes that have imported Starfish: one that waits, and one forked from it for each case."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="starfish-framework-")  # short: of a socket
        self._root = Path(self._directory.name)
        self._socket = self._root / "socket"
        self._process = subprocess.Popen(
            [PYTHON, HERE / "framework_server.py", self._socket],
            cwd=self._root,
            env=environment_in(self._root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        assert not (self._root / DIALLED).exists(), "Starfish speaks to another machine when it is imported"

    def start(
        self,
        directory: Path,
        function: str,
        /,
        *,
        program: Path = FACTORIES,
        environment: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Case:
        """Have a function of a program called, in a directory."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        connection.connect(str(self._socket))
        names = environment_in(directory, **(environment or {}))
        request = {"function": function, "program": str(program), "arguments": arguments}
        connection.sendall(json.dumps(request | {"directory": str(directory), "environment": names}).encode() + b"\n")
        return Case(connection, directory)

    def call(self, directory: Path, function: str, /, **arguments: Any) -> Any:
        """Have a function called, and return what it returns."""
        return self.start(directory, function, **arguments).result()

    def run(self, directory: Path, program: Path, *words: str) -> tuple[int, str]:
        """Run a program, and return its exit status and what it has printed."""
        printed = directory / "output.txt"
        printed.unlink(missing_ok=True)
        status = self.start(directory, "", program=program, words=words).result()
        return status or 0, printed.read_text("utf-8")

    def command(self, directory: Path, *words: str) -> tuple[int, str]:
        """Run a command of ours where there is Starfish, and return its exit status and what it has printed."""
        return self.run(directory, SOURCES / "starfish_storage" / "__main__.py", *words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._directory, self._process:
            self._process.kill()
