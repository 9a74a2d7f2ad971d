"""Which form a file name means, and which forms may have it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.compression import ENDINGS as COMPRESSIONS
from starfish_storage.export.compression import Compression
from starfish_storage.export.forms import Form, registered_forms
from starfish_storage.wording import alternatives

_OF_OTHERS = frozenset({".bz2", ".xz", ".lz4", ".br", ".7z", ".zip", ".tar", ".tgz", ".xls", ".xlsx", ".pq", ".tsv"})
"""Endings of what no form writes, though somebody may think so."""

_DIRECTORY = "huggingface"  # what is meant by a name without an ending


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
        f"cannot infer the form of {os.path.basename(path.rstrip('/'))!r} from its name: end it in {_endings(forms)} "
        f"({_endings(kind for kind in forms if kind.is_compressed_by_ending)} may have {' or '.join(COMPRESSIONS)} "
        "behind them), or pass form= (--form), such as huggingface for a directory."
    )


def form_ending_as(path: str) -> type[Form] | None:
    """Return the kind of form whose files end as this one does, or None."""
    kind = _ending_as(path)
    return kind if kind is not None and (kind.is_compressed_by_ending or compression_of(path) is None) else None


def form_named(name: str, path: str, **options: Any) -> Form:
    """Return the form of a name; the ending of the file says how it is compressed, and by which form rows are written.

    Args:
        name: of the form.
        path: of the file.
        options: of the form. Those that are not its own are of the form by which it writes rows: its ``container``, an
            object or a name, if the ending of the file should not choose it.

    Raises:
        InvalidInputError: no form has this name, or the options or the ending of the file do not fit it.
    """
    for kind in registered_forms():
        if kind.name == name:
            if kind.is_compressed_by_ending:
                options.setdefault("compression", compression_of(path))
            if kind.containers and not isinstance(options.get("container"), Form):
                inner = {option: options.pop(option) for option in options.keys() - _settings(kind)}
                options["container"] = _container(kind, options.pop("container", None), path, inner)
            return cast("Callable[..., Form]", kind)(**options)
    known = ", ".join(kind.name for kind in registered_forms())
    raise InvalidInputError(f"form {name!r} is unknown: use one of {known}.")


def refuse_other_ending(form: Form, path: str, given: str) -> None:
    """Refuse a file name that says something else than what is written.

    Args:
        form: what is written.
        path: of the file.
        given: as it was named.

    Raises:
        InvalidInputError: it does.
    """
    written, meant, compression = form.written_as, _ending_as(path), compression_of(path)
    if written.makes_directory:
        if meant is not None or compression is not None:
            stem = os.path.basename(path).partition(".")[0] or "dataset"
            with_splits = "" if written.is_directory else " with splits"
            raise InvalidInputError(
                f"{given!a} is the name of a file, but {form.name}{with_splits} makes a directory: name one, such as "
                f"{stem!a}, and say the form (--form {form.name})."
            )
        return
    if given.endswith("/"):
        raise InvalidInputError(f"{given!a} names a directory, but {form.name} writes a file: remove the last '/'.")
    ending = os.path.splitext(path)[1].lower()
    usual = written.endings[0] if written.endings else ""
    if meant is not None and not isinstance(written, meant):
        raise InvalidInputError(
            f"the ending of {given!a} means {meant.name}, and not {written.name}: end it in "
            f"{usual or 'something else'}, or choose another form."
        )
    own = getattr(written, "compression", None) if written.is_compressed_by_ending else None
    if own is not None and compression not in (None, own):
        raise InvalidInputError(f"the ending of {given!a} means {compression}, and not {own}: change one of them.")
    if ending in _OF_OTHERS or (compression is not None and own is None):
        raise InvalidInputError(f"{form.name} does not write {ending}: end {given!a} in {usual or 'something else'}.")
    packed = next((end for end, name in COMPRESSIONS.items() if name == own), None)
    if meant is not None and meant.is_compressed_by_ending and compression is None and packed is not None:
        raise InvalidInputError(f"what is written is compressed, and {given!a} does not say so: end it in {packed}.")


def compression_of(path: str) -> Compression | None:
    """Return how a file of this name is compressed.

    >>> compression_of("answers.jsonl.zst"), compression_of("answers.jsonl")
    ('zstd', None)
    """
    return COMPRESSIONS.get(os.path.splitext(path)[1].lower())


def _container(kind: type[Form], name: object, path: str, options: dict[str, Any]) -> Form:
    """Return the form by which another writes its rows."""
    by_ending = form_ending_as(path)
    ending = os.path.splitext(path)[1]
    if name is None and by_ending is None:
        if ending and not path.endswith("/"):
            raise InvalidInputError(
                f"cannot infer how to write {kind.name} into {os.path.basename(path)!r}: end the name in "
                f"{_endings(form for form in registered_forms() if form.name in kind.containers)}, or in '/' for a "
                f"directory."
            )
        name = _DIRECTORY
    name = name or (by_ending.name if by_ending else None)
    if name not in kind.containers:
        raise InvalidInputError(f"{kind.name} is written as {alternatives(list(kind.containers))}, and not as {name}.")
    made = next(form for form in registered_forms() if form.name == name)
    unknown = options.keys() - _settings(made)
    if unknown:
        raise InvalidInputError(f"{kind.name}, written as {name}, has no option {min(unknown)}: leave it out.")
    return form_named(made.name, path, **options)


def _settings(kind: type[Form]) -> set[str]:
    """Return the names of the parameters of a form."""
    return {one.name for one in fields(kind) if one.init} if is_dataclass(kind) else set()


def _ending_as(path: str) -> type[Form] | None:
    """Return the kind of form whose ending a name has, also before one of a compression that it does not know."""
    ending = _ending(path)
    return next((kind for kind in registered_forms() if ending in kind.endings), None)


def _ending(path: str) -> str:
    stem, ending = os.path.splitext(path)
    return (os.path.splitext(stem)[1] if compression_of(path) else ending).lower()


def _endings(forms: Iterable[type[Form]]) -> str:
    return ", ".join(ending for kind in forms for ending in kind.endings)
