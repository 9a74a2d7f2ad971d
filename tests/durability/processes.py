"""Starting Python in processes of their own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
WARNINGS = "error,ignore:durability='power' cannot be kept"  # as in pyproject.toml: temporary files may lie in memory


def start(arguments: list[str], **variables: str) -> subprocess.Popen[str]:
    """Start Python with these arguments and environment variables, able to import the tests' own modules."""
    path = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), PYTHONWARNINGS=WARNINGS, **variables)
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(arguments: list[str], timeout: float = 60, **variables: str) -> tuple[int, str, str]:
    """Run Python with these arguments and return its exit status, output and errors."""
    with start(arguments, **variables) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, out, err


def first_to_write(processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """Return a process that has written something that was not read yet, as soon as there is one."""
    ready, _, _ = select.select([process.stdout for process in processes if process.stdout], [], [], 60)
    return next(process for process in processes if process.stdout in ready)
