"""The scripts that hold what a bundle shows: a page of a file may read no other file, but may run a script.

Each calls ``bundle.add(kind, number, items)``, where the items are texts of JSON, or lists of them.
"""

from __future__ import annotations

from pathlib import Path

from starfish_storage.codec import json_text

MOST_BYTES = 1 << 20
"""Of a shard, unless one item is larger."""


class Shards:
    """Items of a kind, in scripts of about a megabyte each.

    Args:
        directory: where the scripts are written.
        kind: what the items are.

    Attributes:
        begins: the number of the first item of each shard.
        bytes: of all that was added.
    """

    def __init__(self, directory: Path, kind: str) -> None:
        self._directory = directory
        self._kind = kind
        self._items: list[str] = []
        self._size = 0
        self._count = 0
        self.begins: list[int] = []
        self.bytes = 0

    def add(self, item: object) -> None:
        """Add the next item, a JSON value."""
        text = json_text(item)
        size = len(text.encode()) + 2
        if self._items and self._size + size > MOST_BYTES:
            self.flush()
        self._items.append(text)
        self._size += size
        self.bytes += size

    def flush(self) -> None:
        """Write what has been added."""
        if not self._items:
            return
        number = len(self.begins)
        items = ",\n".join(self._items)
        script = f'bundle.add("{self._kind}",{number},[\n{items}\n]);\n'.encode()
        (self._directory / f"{self._kind}-{number:05}.js").write_bytes(script)
        self.begins.append(self._count)
        self._count += len(self._items)
        self._items, self._size = [], 0
