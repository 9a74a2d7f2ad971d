"""Appends to files and syncs each append, without the library; what was synced goes to its output.

Usage: ``python -m durability.syncing_process DIRECTORY``; it ends when something fails.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

FILES = 4
_SIZE = 4096


def block(number: int) -> bytes:
    return b"%016d" % number * (_SIZE // 16)


def is_there(directory: Path, line: bytes) -> bool:
    """Return whether what a line of the output says is on the disk."""
    name, number = line.decode().split()
    try:
        with (directory / name).open("rb") as file:
            file.seek(int(number) * _SIZE)
            return file.read(_SIZE) == block(int(number))
    except FileNotFoundError:
        return False


def append(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in itertools.count():
        try:
            os.write(descriptor, block(number))
            os.fsync(descriptor)
        except OSError:
            return
        os.write(1, f"{path.name} {number}\n".encode())


if __name__ == "__main__":
    for name in range(FILES):
        threading.Thread(target=append, args=(Path(sys.argv[1]) / f"file{name}",)).start()
