"""Where data lies, as checks ask for it: in a file, in a pack, or after a power cut in the journal alone."""

from __future__ import annotations

from typing import NamedTuple

from starfish_storage.keys import PackPlace, pack_key, place_in_pack
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.sqlite.driver import Connection


class CommittedData(NamedTuple):
    """What is committed of a key, of one moment.

    Attributes:
        digests: of the records and versions that refer to it.
        payload: what the journal has of it; of data in a pack, of its place there.
        is_journaled: the journal has an entry of the key; without a payload, its file is removed.
        place: where it lies in a pack; None: it is a file.
    """

    digests: list[str | None]
    payload: bytes | None
    is_journaled: bool
    place: PackPlace | None


class PackFill(NamedTuple):
    """How full a pack is, in bytes.

    Attributes:
        pack: its name.
        size: how much of it is committed; 0: it was given up.
        live: how much of that rows name.
        last_end: how far the last range goes that a row names.
    """

    pack: str
    size: int
    live: int
    last_end: int


def journaled_bytes(connection: Connection, place: PackPlace) -> bytes | None:
    """Return what the journal has of a place in a pack; None if it has not all of it."""
    queries = sqlite_queries()
    prefix = f"{pack_key(place.pack)}:"
    for number, key in connection.execute(queries["list_journaled_ranges"], (prefix, prefix)).fetchall():
        found = place_in_pack(key)
        if found is not None and found.start <= place.start and place.end <= found.end:
            payload = only_value(connection.execute(queries["get_journal_payload"], (number,)).fetchone()) or b""
            return payload[place.start - found.start : place.end - found.start]
    return None
