"""The packs of one root, for tests of packs alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from durability.faults import RecordedFiles, Steps
from starfish_storage.data.directories import Directories
from starfish_storage.data.pack_files import PackFiles
from starfish_storage.keys import PackPlace


class Ends(dict[str, int]):
    """How much of packs is committed, of which rows name all."""

    def __call__(self, names: Sequence[str]) -> Mapping[str, int]:
        return {name: self[name] for name in names if name in self}

    def last_end(self, pack: str) -> int:
        return self.get(pack, 0)


class Store:
    """The packs of one root, and what its rows would know of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.steps = Steps()
        self.committed = self.ends = Ends()
        self._opened: list[tuple[PackFiles, Directories]] = []

    def open(self) -> PackFiles:
        files = RecordedFiles(self.steps)
        directories = Directories(str(self.root), files)
        packs = PackFiles(directories, files)
        self._opened.append((packs, directories))
        return packs

    def save(self, packs: PackFiles, *payloads: bytes, safe: bool = False) -> list[PackPlace]:
        """Append, and commit."""
        places = packs.append(payloads, self.committed, safe=safe)
        self.ends[places[-1].pack] = places[-1].end
        return places

    def path(self, name: str = "000001") -> Path:
        return self.root / "data" / "packs" / f"{name}.jsonl"

    def taken(self) -> list[str]:
        """What was done since the last look."""
        taken, self.steps.taken = self.steps.taken, []
        return taken

    def close(self) -> None:
        for packs, directories in self._opened:
            packs.close()
            directories.close()


def line(number: int, length: int = 20) -> bytes:
    return b'{"n": "' + str(number).encode().rjust(length - 10, b"0") + b'"}\n'


def open_files() -> set[str]:
    found: set[str] = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            pass
    return found
