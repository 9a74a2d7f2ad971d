"""The numbered migrations of each engine, and the schema version they lead to."""

from __future__ import annotations

import re
from functools import cache

from starfish_storage.errors import StoreVersionError
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


def migrated_meanwhile(place: str, found: str | int, known: int) -> StoreVersionError:
    """Return the error of a write to a store that another release has migrated while it was open."""
    return StoreVersionError(
        place,
        f"another release has migrated it (from format {known} to {found}) while this process had it open; nothing "
        "more is written here. Install that release, and start again: resume takes in what was paid for meanwhile",
    )


def newer_release(place: str, found: int, known: int) -> StoreVersionError:
    """Return the error of opening a store on a server that a newer release has made or migrated."""
    return StoreVersionError(
        place,
        f"a newer release wrote it (its schema is {found}, this release knows {known}); upgrade starfish-storage. "
        "It was left untouched",
    )


def older_release(place: str, found: int, known: int) -> StoreVersionError:
    """Return the error of opening a store on a server that an earlier release has made: others may be at work in it."""
    return StoreVersionError(
        place,
        f"an earlier release wrote it (its schema is {found}, this release needs {known}), and was left untouched. End "
        "the workers of that release, then run 'starfish-storage migrate'",
    )
