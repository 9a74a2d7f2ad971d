"""Local stores with their record data in packs, as the suites need them; rows say where the data of a key lies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from starfish_storage.keys import PackPlace, pack_key, pack_named, place_in_pack
from starfish_storage.testing.store import DirectoryStore

_PLACES = "SELECT key, pack, start, length FROM packed_data"
_LOST_PACK = "999999"


class PackedStore(DirectoryStore):
    """A store in one local directory, or with its data in another, whose record data lies in packs.

    What has no row among the packed data is a file: request configurations, what was saved while the store was one of
    files, and what another writer puts there.
    """

    def raw_read(self, key: str) -> bytes | None:
        """See `StoreUnderTest.raw_read`."""
        place = self._packed().get(key)
        return super().raw_read(key) if place is None else self._read(place)

    def raw_write(self, key: str, payload: bytes) -> None:
        """See `StoreUnderTest.raw_write`: of what is packed, as much as there is room for; then whole, behind the rest.

        Whoever knows the place already finds what was cut off, and all others what was put behind.
        """
        key, place = self._found(key)
        if place is None:
            super().raw_write(key, payload)
            return
        with self._pack(place).open("r+b") as file:
            file.seek(place.start)
            file.write(payload[: place.length].ljust(place.length, b"\0"))
            start = file.seek(0, os.SEEK_END)
            file.write(payload)
        self._execute("UPDATE packed_data SET start = ?, length = ? WHERE key = ?", (start, len(payload), key))
        self._execute("UPDATE packs SET size = ? WHERE pack = ?", (start + len(payload), place.pack))

    def raw_delete(self, key: str) -> None:
        """See `StoreUnderTest.raw_delete`: of what is packed, zeros are left, and rows name a pack that is lost."""
        key, place = self._found(key)
        if place is None:
            super().raw_delete(key)
            return
        with self._pack(place).open("r+b") as file:
            file.seek(place.start)
            file.write(bytes(place.length))
        self._execute("UPDATE packed_data SET pack = ? WHERE key = ?", (_LOST_PACK, key))

    def raw_keys(self) -> set[str]:
        """See `StoreUnderTest.raw_keys`."""
        packed = self._packed()
        files = {key for key in super().raw_keys() if pack_named(key) is None}
        assert not files & packed.keys(), "data lies in a pack, and its earlier file is still there"
        return files | {key for key, place in packed.items() if self._read(place) is not None}

    def _found(self, key: str) -> tuple[str, PackPlace | None]:
        """Return the key and the place of what is under a key, or at a place in a pack."""
        place = place_in_pack(key)
        if place is None:
            return key, self._packed().get(key)
        (key,) = [other for other, at in self._packed().items() if at == place]
        return key, place

    def _read(self, place: PackPlace) -> bytes | None:
        path = self._pack(place)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(place.start)
            content = file.read(place.length)
        return content if len(content) == place.length else None

    def _pack(self, place: PackPlace) -> Path:
        return self.data_root / pack_key(place.pack)

    def _packed(self) -> dict[str, PackPlace]:
        rows = self._execute(_PLACES)
        return {key: PackPlace(pack, start, length) for key, pack, start, length in rows}

    def _execute(self, text: str, parameters: Sequence[Any] = ()) -> list[Any]:
        # SQLite as the library has it: another copy of it in this process would take away the locks of that one.
        path = self.root / "metadata.db"
        if not path.exists():
            return []
        with closing(apsw.Connection(str(path))) as connection:
            connection.set_busy_timeout(10_000)
            return list(connection.execute(text, parameters))


class MixedStore(PackedStore):
    """A store with files and packs: what is saved goes where the store was told last.

    Args:
        directory: see `DirectoryStore`.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, layout=None, durability="process")

    def change_layout(self, *, packed: bool) -> None:
        """Let what is saved from now on go into packs, or into files, and leave the rest. Nobody has it open."""
        layout = "mixed" if packed else "files"
        assert self._execute("UPDATE settings SET value = ? WHERE name = 'layout' RETURNING 1", (layout,))
