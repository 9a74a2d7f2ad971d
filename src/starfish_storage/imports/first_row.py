"""The first row of a file of JSON Lines, by which what a tool has written is recognised."""

from __future__ import annotations

import os
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import StorageError
from starfish_storage.row_files.rows import MAX_ROW_BYTES
from starfish_storage.row_files.source_file import SourceFile

_ENDINGS = (".jsonl", ".ndjson", ".json")
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_BUFFER = 2**16


def first_row(path: str) -> dict[str, Any] | None:
    """Return the object on the first line that has one; None where that is none, or cannot be read.

    Only files that end as JSON Lines do are opened.
    """
    name = os.path.basename(path).lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    if not name.endswith(_ENDINGS) or not os.path.isfile(path):
        return None
    try:
        with SourceFile(path) as file, file.text(_BUFFER) as content:
            line = content.readline(MAX_ROW_BYTES)
            while line and not line.strip():
                line = content.readline(MAX_ROW_BYTES)
        found: object = decode(line.strip() + b"\n") if line.strip().startswith(b"{") else None
    except (StorageError, ValueError, RecursionError, OSError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
