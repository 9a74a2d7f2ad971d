"""Makes or restores a backup in a process of its own that is killed before its n-th step.

Usage: ``python -m maintenance.backup_process backup|restore SOURCE TARGET KILL_AT``; exit status 0: it was done before.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from starfish_storage.files.atomic import FileOperations
from starfish_storage.maintenance.backup import backup
from starfish_storage.maintenance.restore import restore

STEPS = (
    "write_new",
    "write_at",
    "truncate",
    "rename",
    "replace_file",
    "remove",
    "sync",
    "sync_all",
    "make_directory",
    "set_modified",
)


def kill_before(chosen: int) -> None:
    """Count the file operations of the whole process."""
    numbers = count()

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            if next(numbers) == chosen:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*args)

        return run

    for name in STEPS:
        setattr(FileOperations, name, counted(getattr(FileOperations, name)))


if __name__ == "__main__":
    what, source, target, number = sys.argv[1:]
    kill_before(int(number))
    if what == "backup":
        backup(f"file://{source}", target)
    else:
        restore(source, f"file://{target}")
