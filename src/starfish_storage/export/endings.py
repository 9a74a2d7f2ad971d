"""Which form a file name means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.compression import ENDINGS as COMPRESSIONS
from starfish_storage.export.compression import Compression
from starfish_storage.export.forms import Form, registered_forms


def form_of(path: str, **options: Any) -> Form:
    """Return the form that the ending of a file name means.

    ``.jsonl``, ``.ndjson`` and ``.csv``, each also with ``.gz`` or ``.zst`` behind it; ``.parquet``, ``.arrow`` and
    ``.feather``.

    Args:
        path: of the file.
        options: of the form.

    Raises:
        InvalidInputError: no form has this ending.

    >>> form_of("answers.jsonl.gz")
    JsonLines(compression='gzip', metadata_key=None)
    """
    kind = form_ending_as(path)
    if kind is not None:
        return form_named(kind.name, path, **options)
    forms = registered_forms()
    raise InvalidInputError(
        f"cannot infer the form of {os.path.basename(path)!r} from its name: end it in {_endings(forms)} "
        f"({_endings(kind for kind in forms if kind.is_compressed_by_ending)} may have {' or '.join(COMPRESSIONS)} "
        "behind them), or pass form= (--form)."
    )


def form_ending_as(path: str) -> type[Form] | None:
    """Return the kind of form whose files end as this one does, or None."""
    ending = _ending(path)
    for kind in registered_forms():
        if ending in kind.endings and (kind.is_compressed_by_ending or compression_of(path) is None):
            return kind
    return None


def form_named(name: str, path: str, **options: Any) -> Form:
    """Return the form of a name; the ending of the file says how it is compressed.

    Raises:
        InvalidInputError: no form has this name, or the options do not fit it.
    """
    for kind in registered_forms():
        if kind.name == name:
            if kind.is_compressed_by_ending:
                options.setdefault("compression", compression_of(path))
            return cast("Callable[..., Form]", kind)(**options)
    known = ", ".join(kind.name for kind in registered_forms())
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


def _endings(forms: Iterable[type[Form]]) -> str:
    return ", ".join(ending for kind in forms for ending in kind.endings)
