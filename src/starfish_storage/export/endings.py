"""Which form a file name means."""

from __future__ import annotations

import os
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.compression import ENDINGS as COMPRESSIONS
from starfish_storage.export.compression import Compression
from starfish_storage.export.forms import Form
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.spreadsheet import Csv
from starfish_storage.export.tables import ArrowIpc, HuggingFace, Parquet

_LINES: tuple[type[JsonLines | Csv], ...] = (JsonLines, Csv)
_TABLES: tuple[type[Parquet | ArrowIpc | HuggingFace], ...] = (Parquet, ArrowIpc, HuggingFace)


def form_of(path: str, **options: Any) -> Form:
    """Return the form that the ending of a file name means.

    ``.jsonl``, ``.ndjson`` and ``.csv``, each also with ``.gz`` or ``.zst`` behind it; ``.parquet``, ``.arrow`` and
    ``.feather``.

    Args:
        path: of the file.
        options: of the form.

    Raises:
        InvalidInputError: it has no ending that is known.

    >>> form_of("answers.jsonl.gz")
    JsonLines(compression='gzip', metadata_key=None)
    """
    ending = _ending(path)
    for kind in (*_LINES, *_TABLES):
        if ending in kind.endings and (kind in _LINES or compression_of(path) is None):
            return form_named(kind.name, path, **options)
    known = ", ".join(one for kind in (*_LINES, *_TABLES) for one in kind.endings)
    raise InvalidInputError(
        f"the form of {os.path.basename(path)!r} is not clear: end its name in {known} (lines and CSV with .gz or .zst "
        "behind it, if they are to be compressed), or name the form."
    )


def form_named(name: str, path: str, **options: Any) -> Form:
    """Return the form of a name; lines and CSV are compressed as the ending of the file says.

    Raises:
        InvalidInputError: there is none of that name.
    """
    for lines in _LINES:
        if lines.name == name:
            return lines(compression=compression_of(path), **options)
    for table in _TABLES:
        if table.name == name:
            return table(**options)
    known = ", ".join(kind.name for kind in (*_LINES, *_TABLES))
    raise InvalidInputError(f"form {name!r} is unknown: use one of {known}.")


def compression_of(path: str) -> Compression | None:
    """Return how a file of this name is compressed.

    >>> compression_of("answers.jsonl.zst"), compression_of("answers.jsonl")
    ('zstd', None)
    """
    return COMPRESSIONS.get(os.path.splitext(path)[1].lower())


def _ending(path: str) -> str:
    stem, ending = os.path.splitext(path)
    return (os.path.splitext(stem)[1] if compression_of(path) else ending).lower()
