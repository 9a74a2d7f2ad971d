"""Rows of JSON Lines that tools have written: the first of a file, by which it is recognised, and any."""

from __future__ import annotations

import json
import os
from typing import Any, cast

from starfish_storage.codec import decode, encode
from starfish_storage.errors import InvalidDataError, StorageError
from starfish_storage.imports.fields import CONSTANTS, Conversions, without_nan
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow
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


def read_object(place: str, line: bytes, *, allows_nan: bool = False) -> tuple[dict[str, Any] | BadRow, Conversions]:
    """Read a line that holds a JSON object which a store accepts; a bad one says where it stands, and why.

    Args:
        place: where it stands.
        line: it.
        allows_nan: null stands for NaN and infinities, and what is returned says where.
    """
    if len(line) > MAX_ROW_BYTES:
        return BadRow(f"{place} is longer than {MAX_ROW_BYTES // 2**20} MiB"), ()
    conversions: Conversions = ()
    try:
        # With the line end of the codec, which then need not look twice.
        found: object = decode(line.rstrip() + b"\n")
        if not isinstance(found, dict):
            return BadRow(f"{place} is not a JSON object"), ()
        row = cast("dict[str, Any]", found)
        if allows_nan and CONSTANTS.search(line):
            row, conversions = without_nan(row)
        encode(row, place)
    except InvalidDataError as error:
        return BadRow(str(error).rstrip(".")), ()
    except json.JSONDecodeError as error:
        # The column would be the first of the line after it where the line was torn.
        return BadRow(f"{place} is not JSON, at column {min(error.pos, len(line.decode().rstrip())) + 1}"), ()
    except (ValueError, RecursionError):
        return BadRow(f"{place} is not JSON"), ()
    return row, conversions
