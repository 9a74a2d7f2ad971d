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

_FORMS: tuple[type[JsonLines | Csv], ...] = (JsonLines, Csv)


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
    ending = _ending(path)
    for kind in _FORMS:
        if ending in kind.endings:
            return form_named(kind.name, path, **options)
    known = ", ".join(one for kind in _FORMS for one in kind.endings)
    raise InvalidInputError(
        f"the form of {os.path.basename(path)!r} is not clear: end its name in {known} (with .gz or .zst behind it, if "
        "it is to be compressed), or name the form."
    )


def form_named(name: str, path: str, **options: Any) -> Form:
    """Return the form of a name, compressed as the ending of a file says.

    Raises:
        InvalidInputError: there is none of that name.
    """
    for kind in _FORMS:
        if kind.name == name:
            return kind(compression=compression_of(path), **options)
    raise InvalidInputError(f"form {name!r} is unknown: use one of {', '.join(kind.name for kind in _FORMS)}.")


def compression_of(path: str) -> Compression | None:
    """Return how a file of this name is compressed.

    >>> compression_of("answers.jsonl.zst"), compression_of("answers.jsonl")
    ('zstd', None)
    """
    return COMPRESSIONS.get(os.path.splitext(path)[1].lower())


def _ending(path: str) -> str:
    stem, ending = os.path.splitext(path)
    return (os.path.splitext(stem)[1] if compression_of(path) else ending).lower()
