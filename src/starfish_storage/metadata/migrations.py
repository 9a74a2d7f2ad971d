"""The numbered migrations of each engine, and the schema version they lead to."""

from __future__ import annotations

import re
from functools import cache

from starfish_storage.metadata.queries import SQL_FILES

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")


@cache
def migrations(engine: str) -> tuple[str, ...]:
    """Return the migrations of an engine in order: the first brings an empty database to version 1."""
    found: dict[int, str] = {}
    for entry in (SQL_FILES / engine / "migrations").iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            found[int(match[1])] = entry.read_text("utf-8")
    return tuple(found[number] for number in sorted(found))


def latest_version(engine: str = "sqlite") -> int:
    """Return the schema version of this release."""
    return len(migrations(engine))
