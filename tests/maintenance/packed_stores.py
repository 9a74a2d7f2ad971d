"""What the rows of a packed store say of its packs, and ways to damage them."""

from __future__ import annotations

from pathlib import Path

import apsw

from starfish_storage import LocalStorage
from starfish_storage.keys import PackPlace
from starfish_storage.maintenance.compressing import compress
from starfish_storage.maintenance.packing_report import PackingReport

FIRST = "data/packs/000001.jsonl"


def execute(root: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Run a statement on the database of a store that nobody has open here."""
    connection = apsw.Connection(str(root / "metadata.db"))
    try:
        return list(connection.execute(statement, values))
    finally:
        connection.close()


def places(root: Path) -> dict[str, PackPlace]:
    """Return where the data of each key lies."""
    rows = execute(root, "SELECT key, pack, start, length FROM packed_data ORDER BY pack, start")
    return {str(key): PackPlace._make(place) for key, *place in rows}


def place_of(root: Path, number: int) -> tuple[str, PackPlace]:
    """Return the key of a record's data and where it lies."""
    return next((key, place) for key, place in places(root).items() if key.endswith(f"/r{number:04}.json"))


def change_bytes(root: Path, place: PackPlace, content: bytes, at: int = 0) -> None:
    """Write over bytes of a place."""
    with (root / "data" / "packs" / f"{place.pack}.jsonl").open("r+b") as pack:
        pack.seek(place.start + at)
        pack.write(content)


def line_of(root: Path, place: PackPlace) -> bytes:
    content = (root / "data" / "packs" / f"{place.pack}.jsonl").read_bytes()
    return content[place.start : place.end]


async def compress_all(root: Path) -> None:
    """Compress every pack of a store that nobody has open."""
    async with LocalStorage(f"file://{root}") as storage:
        await compress(storage, PackingReport(storage.storage_uri, "packed", None, dry_run=False))
