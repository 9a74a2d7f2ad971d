"""The preloaded C shim: building it, starting Python under it, and driving it from inside that process."""

from __future__ import annotations

import ctypes
import enum
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durability import processes

SOURCE = Path(__file__).with_name("fault_shim.c")


class Kind(enum.IntFlag):
    """Calls that change files, or open them; the numbers are those of the C source."""

    WRITE = 1
    TRUNCATE = 2
    SYNC = 4
    RENAME = 8
    LINK = 16
    MKDIR = 32
    UNLINK = 64
    OPEN = 128
    CHANGING = WRITE | TRUNCATE | SYNC | RENAME | LINK | MKDIR | UNLINK
    ALL = CHANGING | OPEN


logger = logging.getLogger(__name__)


class Action(enum.IntEnum):
    """What happens at the chosen call.

    ``KILL`` kills the process before the call, ``KILL_TORN`` after half of a write. ``FAIL`` fails the call, ``SHORT``
    writes half of it and fails the one after it. ``LIE`` makes every sync do nothing and return success.
    """

    COUNT = 0
    KILL = 1
    KILL_TORN = 2
    FAIL = 3
    SHORT = 4
    LIE = 5


def unavailable() -> str | None:
    """Return why the shim cannot be built here, or None."""
    if sys.platform != "linux":
        return "the fault shim needs LD_PRELOAD and /proc, so Linux"
    return None if _compiler() else "the fault shim needs a C compiler (cc or gcc)"


def build(directory: Path) -> Path:
    """Compile the shim and return the library."""
    library = directory / "fault_shim.so"
    command = [str(_compiler()), "-std=gnu11", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(SOURCE), "-ldl", "-lpthread"], check=True)
    return library


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def run(library: Path, module: str, *arguments: object, timeout: float = 280) -> dict[str, Any]:
    """Run a module of the tests under the shim, and return the JSON object that is its last line of output."""
    command = ["-m", f"durability.{module}", *map(str, arguments)]
    status, out, errors = processes.run(command, timeout, LD_PRELOAD=str(library))
    assert status == 0, errors
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    cases = {name: value for name, value in result.items() if isinstance(value, int)}
    logger.info("%s %s: %s", module, " ".join(map(str, arguments[1:])), cases)
    return result


class Shim:
    """The shim in this process, which has it preloaded."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.shim_hit.restype = ctypes.c_char_p
        self._library.shim_seen.restype = self._library.shim_hits.restype = ctypes.c_long
        self._library.shim_arm.argtypes = [
            ctypes.c_char_p, ctypes.c_uint, ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int,
        ]  # fmt: skip

    def arm(
        self,
        root: Path,
        kinds: Kind,
        action: Action = Action.COUNT,
        at: int = 0,
        *,
        error: int = 0,
        for_good: bool = False,
        trace: int = -1,
    ) -> None:
        """Act on the ``at``-th call of these kinds below a directory, and ``for_good`` on all that follow it.

        Args:
            root: the directory; calls that concern others pass.
            kinds: which calls are counted.
            action: what to do.
            at: the number of the call, from 1; 0 is none.
            error: the errno of a failure.
            for_good: whether the later calls fail too.
            trace: a descriptor that every call below the directory is recorded to.
        """
        path = os.path.realpath(root).encode()
        self._library.shim_arm(path, int(kinds), int(action), at, error, int(for_good), trace)

    def disarm(self) -> None:
        """Let every call pass."""
        self._library.shim_disarm()

    def mark(self, text: str) -> None:
        """Put a line into the trace."""
        self._library.shim_mark(text.encode())

    @property
    def seen(self) -> int:
        """How many calls were counted since the shim was armed."""
        return self._library.shim_seen()

    @property
    def hit(self) -> str:
        """The call that was acted on, such as ``"sync /.../metadata.db-wal"``; empty if it never came."""
        return self._library.shim_hit().decode()


@dataclass
class Ended:
    """How a child process ended: its exit status as `os.waitstatus_to_exitcode` gives it, and what it returned."""

    status: int
    result: Any = None
    error: str = ""

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


def in_child(work: Callable[[], Any], seconds: int = 60) -> Ended:
    """Run something in a forked child of this process, which must have no other thread, and wait for it.

    A child that takes longer is killed, and that is an error like any other.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            message = {"result": work()}
        except BaseException:
            message = {"error": traceback.format_exc()}
        with open(writing, "w") as pipe:
            json.dump(message, pipe)
        os._exit(1 if "error" in message else 0)
    os.close(writing)
    text, timed_out = _read_all(reading, time.monotonic() + seconds)
    if timed_out:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if timed_out:
        return Ended(1, error=f"it did not end within {seconds} s")
    return Ended(status, **(json.loads(text) if text else {}))


def _read_all(descriptor: int, deadline: float) -> tuple[bytes, bool]:
    text = b""
    with open(descriptor, "rb", buffering=0) as pipe:
        while True:
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return text, True
            more = pipe.read(1 << 16)
            if not more:
                return text, False
            text += more


def evenly(last: int, wanted: int) -> list[int]:
    """Return so many of the numbers from 1 to ``last``, evenly spread with both ends; 0 is all of them, and so is 1."""
    if wanted in (0, 1) or wanted >= last:
        return list(range(1, last + 1))
    return sorted({1 + round(index * (last - 1) / (wanted - 1)) for index in range(wanted)})
