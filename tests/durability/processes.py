"""Starting Python in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def start(arguments: list[str], **options: object) -> subprocess.Popen[str]:
    """Start Python with these arguments, able to import the tests' own modules."""
    path = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), PYTHONWARNINGS="error")
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def run(arguments: list[str], timeout: float = 60) -> tuple[int, str, str]:
    """Run Python with these arguments and return its exit status, output and errors."""
    with start(arguments) as process:
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err
