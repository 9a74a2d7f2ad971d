"""Rows of JSON Lines that tools have written: the first of a file, by which it is recognised, and any."""

from __future__ import annotations

import os
from typing import Any

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidDataError, StorageError
from starfish_storage.imports.fields import CONSTANTS, Conversions, without_nan
from starfish_storage.row_files.json_lines import parsed_line
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile

_ENDINGS = (".jsonl", ".ndjson", ".json")
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_BUFFER = 2**16
_LOOKED_AT = 8 * 2**20  # of a line: a file on one line is not parsed to find out what it is


def first_row(path: str) -> dict[str, Any] | None:
    """Return the object on the first line that is not blank; None where that is none, or cannot be read.

    Only files that end as JSON Lines do are opened; a line of more than 8 MiB counts as none.
    """
    name = os.path.basename(path).lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    if not name.endswith(_ENDINGS) or not os.path.isfile(path):
        return None
    try:
        with SourceFile(path) as file, file.text(_BUFFER) as content:
            line = content.readline(_LOOKED_AT)
            while line and not line.strip():
                line = content.readline(_LOOKED_AT)
    except (StorageError, OSError):
        return None
    row = parsed_line("", line) if line.startswith(b"{") and line.endswith((b"}", b"\n")) else None
    return row.data if isinstance(row, GoodRow) else None


def read_object(place: str, line: bytes, *, allows_nan: bool = False) -> tuple[dict[str, Any] | BadRow, Conversions]:
    """Read a line that holds a JSON object which a store accepts; a bad one says where it stands, and why.

    Args:
        place: where it stands.
        line: it.
        allows_nan: null stands for NaN and infinities, and what is returned says where.
    """
    if len(line) > MAX_ROW_BYTES:
        return BadRow(f"{place} is longer than {MAX_ROW_BYTES // 2**20} MiB"), ()
    found = parsed_line(place, line)
    if isinstance(found, BadRow):
        return found, ()
    row, conversions = found.data, Conversions()
    if allows_nan and CONSTANTS.search(line):
        row, conversions = without_nan(row)
    try:
        encode(row, place)
    except InvalidDataError as error:
        return BadRow(str(error).rstrip(".")), ()
    return row, conversions
