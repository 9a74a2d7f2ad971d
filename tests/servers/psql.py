"""A `psql` that stays: to start one for each statement takes longer than most statements do."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import threading
from typing import IO, Any

_LOST = ("server closed the connection", "terminating connection", "connection to server", "could not send data")


class Psql:
    """One process of `psql`, which is given statements one after the other.

    Args:
        command: its program and options, without those that say where statements come from.
        how: what `subprocess.Popen` takes besides: user, directory, environment.
    """

    def __init__(self, command: list[str], **how: Any) -> None:
        self._command = command
        self._how = how
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._owner = os.getpid()
        self._turn = threading.Lock()

    def execute(self, text: str) -> str | None:
        """Return what statements print. None if they have to go another way: it is in use, or its session has ended.

        Raises:
            RuntimeError: with what `psql` says of a statement that fails.
        """
        if os.getpid() != self._owner or not self._turn.acquire(blocking=False):
            return None
        try:
            return self._execute(text)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End its session; the next statement begins another."""
        process, self._process = self._process, None
        if self._errors is not None:
            self._errors.close()
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
            process.wait(30)

    def _execute(self, text: str) -> str | None:
        if self._process is None:
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
            self._process = subprocess.Popen(
                [*self._command, "--file", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                **self._how,
            )
        process, errors = self._process, self._errors
        assert process.stdin is not None
        assert process.stdout is not None
        assert errors is not None
        before = os.fstat(errors.fileno()).st_size
        end = f"end of {secrets.token_hex(8)}\n"
        try:
            # What a statement has set holds for those that are given with it, as if each had a process of its own.
            process.stdin.write(f"{text}\n;\nDISCARD ALL;\n\\echo {end}")
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            return None
        lines: list[str] = []
        for line in process.stdout:
            if line == end:
                return "".join(lines)
            lines.append(line)
        process.wait(30)
        errors.seek(before)
        said = errors.read().strip()
        self.close()
        if any(lost in said for lost in _LOST):
            return None
        raise RuntimeError(said)
