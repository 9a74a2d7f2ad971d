"""Processes that do the same at the same time, and write lines to one pipe; the first of them can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks.contestants import ENVIRONMENT, PROJECT_ROOT, ContestantError


class Crowd:
    """Processes that run ``python -m MODULE``, let go when all of them are ready.

    Args:
        python: the interpreter that runs them.
        module: what they run; it writes ``ready`` and waits for a line of its standard input.
        arguments: what they are given.
        count: how many they are.
    """

    def __init__(self, python: str, module: str, arguments: Sequence[str], count: int) -> None:
        self._module = module
        self._killed = 0
        reading, writing = os.pipe()
        self._lines = os.fdopen(reading, encoding="utf-8")
        self._processes = [
            subprocess.Popen(
                [python, "-m", module, *arguments],
                cwd=PROJECT_ROOT,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=writing,
            )
            for _ in range(count)
        ]
        os.close(writing)
        if self.read(count) != ["ready"] * count:
            raise ContestantError(f"{module} did something before it was told to")
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()

    def read(self, count: int) -> list[str]:
        """Wait for so many lines of them all, and return them.

        Raises:
            ContestantError: all of them ended before.
        """
        lines = [self._lines.readline().rstrip("\n") for _ in range(count)]
        if "" in lines:
            raise ContestantError(f"{self._module} ended before it had written {count} lines")
        return lines

    def kill_first(self) -> None:
        """Kill the first with SIGKILL.

        Raises:
            ContestantError: it had ended by itself.
        """
        self._processes[0].kill()
        if self._processes[0].wait() != -signal.SIGKILL:
            raise ContestantError(f"{self._module} ended before it was killed")
        self._killed = 1

    def rest(self) -> list[str]:
        """Wait until the others have ended, and return the lines that were not read.

        Raises:
            ContestantError: one of them failed.
        """
        lines = self._lines.read().splitlines()
        codes = [process.wait() for process in self._processes[self._killed :]]
        if any(codes):
            raise ContestantError(f"{self._module} failed (codes {codes})")
        return lines

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._lines.close()
