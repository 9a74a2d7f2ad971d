"""The driver's side of the conversation with the contestants: one process each, one turn at a time."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# When imported, the peer fetches a price list from the network and can report its use to its makers: neither is
# storage, and waiting for the network would be charged to it.
ENVIRONMENT = {
    **os.environ,
    "TELEMETRY_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PYTHONPATH": str(PROJECT_ROOT / "src"),  # the peer's environment has what this library needs, and not itself
}


class ContestantError(Exception):
    """A contestant failed; carries its traceback."""


class Contestant:
    """A process that runs ``python -m MODULE`` and does a turn when asked.

    Args:
        python: the interpreter that runs it.
        module: one of this package that calls `benchmarks.turns.serve`.
    """

    def __init__(self, python: str, module: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", module],
            cwd=PROJECT_ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def turn(self, task: str, **arguments: Any) -> Any:
        """Have a task done and return its result.

        Raises:
            ContestantError: the task raised, or the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"task": task, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ContestantError(f"{self._module} ended in the middle of {task!r} (code {self._process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise ContestantError(f"{self._module} failed in {task!r}:\n{answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
