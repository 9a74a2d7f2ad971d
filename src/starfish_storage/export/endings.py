"""Which form a file name means."""

from __future__ import annotations

import os
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.compression import ENDINGS as COMPRESSIONS
from starfish_storage.export.forms import Form
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.spreadsheet import Csv

_COMPRESSED: tuple[type[JsonLines | Csv], ...] = (JsonLines, Csv)


def form_of(path: str, **options: Any) -> Form:
    """Return the form that the ending of a file name means.

    ``.jsonl``, ``.ndjson`` and ``.csv``, each also with ``.gz`` or ``.zst`` behind it.

    Args:
        path: of the file.
        options: of the form.

    Raises:
        InvalidInputError: it has no ending that is known.

    >>> form_of("answers.jsonl.gz")
    JsonLines(compression='gzip', metadata_key=None)
    """
    stem, ending = os.path.splitext(path)
    compression = COMPRESSIONS.get(ending.lower())
    if compression is not None:
        ending = os.path.splitext(stem)[1]
    for kind in _COMPRESSED:
        if ending.lower() in kind.endings:
            return kind(compression=compression, **options)
    known = ", ".join(one for kind in _COMPRESSED for one in kind.endings)
    raise InvalidInputError(
        f"the form of {os.path.basename(path)!r} is not clear: end its name in {known} (with .gz or .zst behind it, if "
        "it is to be compressed), or name the form."
    )
