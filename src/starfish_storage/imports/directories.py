"""Directories in which other tools store what they make: finding them, and what the tools note in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError
from starfish_storage.imports.fields import object_in
from starfish_storage.row_files.rows import MAX_ROW_BYTES
from starfish_storage.row_files.source_file import shown


def names_in(path: str) -> list[str]:
    """Return the names in a directory, sorted; none if it is no directory.

    Raises:
        InvalidInputError: it cannot be read.
    """
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InvalidInputError(f"{shown(path)} cannot be read: {error.strerror}.") from error


def found_in(path: str, depth: int, is_one: Callable[[str], bool]) -> Iterator[str]:
    """Yield the directories that are meant, in one that is given or down to a depth below it; links are not followed.

    Raises:
        InvalidInputError: a directory cannot be read.
    """
    if is_one(path):
        yield path
    elif depth:
        for name in names_in(path):
            below = os.path.join(path, name)
            if os.path.isdir(below) and not os.path.islink(below):
                yield from found_in(below, depth - 1, is_one)


def noted_in(path: str) -> dict[str, Any]:
    """Return what a tool has noted in a file with a JSON object; nothing if it is missing.

    Raises:
        InvalidInputError: it cannot be read, or is none.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_ROW_BYTES + 1)
        found: object = decode(content) if len(content) <= MAX_ROW_BYTES else None
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInputError(f"{shown(path)} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInputError(f"{shown(path)} is damaged: it holds no JSON object. Correct it, or move it away.")
    return object_in(found)  # pyright: ignore[reportUnknownArgumentType] (whatever is in it)
