"""Upgrades a store in a process of its own, which is killed before a statement or a change of files.

Usage: ``python -m migrations.upgrading ROOT KILL_AT``
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import apsw

from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance import upgrade

_CHANGES = ("write_new", "rename", "sync", "sync_all", "make_root", "make_directory")


def kill_before(number: int) -> None:
    """Have this process killed before the statement or change of files of that number."""
    seen = 0

    def count(*_: object) -> bool:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: count() and change(*given)

    for name in _CHANGES:
        setattr(FileOperations, name, counted(getattr(FileOperations, name)))
    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(count))


if __name__ == "__main__":
    kill_before(int(sys.argv[2]))
    upgrade(sys.argv[1])
