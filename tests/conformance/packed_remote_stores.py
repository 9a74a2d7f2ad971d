"""Stores of many machines with their record data in packs, as the suites need them; rows say where data lies."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import apsw

from conformance.object_stores import SQLiteObjectStore
from conformance.postgres_stores import PostgresDirectoryStore, PostgresObjectStore, Schema
from starfish_storage import Storage, open_storage
from starfish_storage.keys import PackPlace, new_pack, pack_key, pack_named, packed_at, place_in_pack
from starfish_storage.testing.store import StoreUnderTest


class PackedData(StoreUnderTest):
    """Goes before a class of stores whose data it looks at: what rows say to lie in a pack is read and changed there.

    What is written under a key goes into a pack of its own, and what is deleted into one that is not there; at a place,
    the pack is damaged.
    """

    def open(self) -> Storage:
        """See `StoreUnderTest.open`."""
        return open_storage(*cast("Any", self).places, layout="packed")

    def raw_read(self, key: str) -> bytes | None:
        """See `StoreUnderTest.raw_read`."""
        place = place_in_pack(key) or self.packed().get(key)
        return self._objects.raw_read(key) if place is None else self._read(place)

    def raw_write(self, key: str, payload: bytes) -> None:
        """See `StoreUnderTest.raw_write`."""
        if (damaged := place_in_pack(key)) is not None:
            self._overwrite(damaged, payload)
            return
        place = self.packed().get(key)
        if place is None:
            self._objects.raw_write(key, payload)
            return
        moved = PackPlace(new_pack(), 0, len(payload))
        self._objects.raw_write(pack_key(moved.pack), payload)
        self.point(place, moved)

    def raw_delete(self, key: str) -> None:
        """See `StoreUnderTest.raw_delete`."""
        if (damaged := place_in_pack(key)) is not None:
            self._overwrite(damaged, b"")
        elif (place := self.packed().get(key)) is None:
            self._objects.raw_delete(key)
        else:
            self.point(place, place._replace(pack=new_pack()))

    def raw_keys(self) -> set[str]:
        """See `StoreUnderTest.raw_keys`."""
        files = {key for key in self._objects.raw_keys() if pack_named(key) is None}
        return files | {key for key, place in self.packed().items() if self._read(place) is not None}

    def pack_names(self) -> set[str]:
        """Return the names of the packs that are there."""
        return {pack for key in self._objects.raw_keys() if (pack := pack_named(key)) is not None}

    @abstractmethod
    def packed(self) -> dict[str, PackPlace]:
        """Return where the data of keys lies that is in packs now."""

    @abstractmethod
    def point(self, before: PackPlace, now: PackPlace) -> None:
        """Say in the rows that what lay in one place lies in another."""

    def _overwrite(self, place: PackPlace, payload: bytes) -> None:
        """Damage a pack."""
        content = self._objects.raw_read(pack_key(place.pack))
        payload = payload[: place.length].ljust(place.length)
        self._objects.raw_write(pack_key(place.pack), content[: place.start] + payload + content[place.end :])

    def _read(self, place: PackPlace) -> bytes | None:
        content = self._objects.raw_read(pack_key(place.pack))
        return None if content is None or len(content) < place.end else content[place.start : place.end]

    @property
    def _objects(self) -> Any:
        return super()


class PackedPostgres(PackedData):
    """Packs that rows in PostgreSQL name."""

    _schema: Schema

    def packed(self) -> dict[str, PackPlace]:
        """See `PackedData.packed`."""
        rows = self._schema.execute(
            "SELECT output_ref, data_version FROM record_versions WHERE output_ref IS NOT NULL"
            " UNION ALL SELECT key, data_version FROM loose_data"
            " UNION ALL SELECT output_ref, data_version FROM records WHERE output_ref IS NOT NULL"
        )
        return {key: place for key, version in rows if (place := packed_at(version)) is not None}

    def noted_removals(self) -> list[str]:
        """Return the names of the objects that are to be removed."""
        return [name for (name,) in self._schema.execute("SELECT object FROM data_removals")]

    def point(self, before: PackPlace, now: PackPlace) -> None:
        """See `PackedData.point`."""
        for table in ("records", "loose_data", "record_versions"):
            self._schema.execute(
                f"UPDATE {table} SET data_version = '{now.version}' WHERE data_version = '{before.version}'"
            )


class PackedPostgresDirectoryStore(PackedPostgres, PostgresDirectoryStore):
    """A store in PostgreSQL with packs in a directory."""

    def __init__(self, directory: Path, schema: Schema) -> None:
        super().__init__(directory, schema)
        schema.settle_layout("packed")


class PackedPostgresObjectStore(PackedPostgres, PostgresObjectStore):
    """A store in PostgreSQL with packs in an object store."""

    def __init__(self, data_uri: str, schema: Schema) -> None:
        super().__init__(data_uri, schema)
        schema.settle_layout("packed")


class PackedSQLiteObjectStore(PackedData, SQLiteObjectStore):
    """Rows in a directory and packs in an object store."""

    def packed(self) -> dict[str, PackPlace]:
        """See `PackedData.packed`."""
        rows = self._execute("SELECT key, pack, start, length FROM packed_data")
        return {key: PackPlace(*place) for key, *place in rows}

    def point(self, before: PackPlace, now: PackPlace) -> None:
        """See `PackedData.point`."""
        self._execute(
            "UPDATE packed_data SET pack = ?, start = ?, length = ? WHERE pack = ? AND start = ? AND length = ?",
            (*now, *before),
        )

    def _execute(self, text: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        # SQLite as the library has it: another copy of it in this process would take away the locks of that one.
        path = self.root / "metadata.db"
        if not path.exists():
            return []
        with closing(apsw.Connection(str(path))) as connection:
            connection.set_busy_timeout(10_000)
            return list(connection.execute(text, parameters))
