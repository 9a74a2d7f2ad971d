"""The forms of files that hold rows, and which one a file has."""

from __future__ import annotations

import os

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.row_files.arrow_files import ARROW
from starfish_storage.row_files.csv_rows import CSV
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.json_file import JSON
from starfish_storage.row_files.json_lines import JSON_LINES
from starfish_storage.row_files.parquet import PARQUET
from starfish_storage.row_files.source_file import SourceFile, shown

FILE_FORMS: tuple[FileForm, ...] = (JSON_LINES, JSON, CSV, PARQUET, ARROW)
"""The forms of files; a new one is added here."""

_START = 4096
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


def file_form_of(path: str) -> FileForm | None:
    """Return what a file is, by the ending of its name; None if no form has that ending."""
    name = os.path.basename(path).lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    ending = os.path.splitext(name)[1]
    return next((form for form in FILE_FORMS if ending in form.endings), None)


def form_of(path: str) -> FileForm:
    """Return what a file is, by the ending of its name.

    Raises:
        InvalidInputError: no form has that ending.

    >>> form_of("answers.jsonl.gz").name, form_of("DATA.CSV").name
    ('jsonl', 'csv')
    """
    found = file_form_of(path)
    if found is not None:
        return found
    endings = ", ".join(ending for form in FILE_FORMS for ending in form.endings)
    raise InvalidInputError(
        f"cannot infer the form of {shown(path)} from its name: end it in {endings}, or pass form= (--from), "
        f"one of {_names()}."
    )


def form_of_content(file: SourceFile) -> FileForm | None:
    """Return what a file is, by how it begins; None if that says nothing.

    Raises:
        InvalidInputError: it cannot be read.
    """
    start = file.raw.read(_START)
    for sign, form in ((b"PAR1", PARQUET), (b"ARROW1", ARROW), (b"FEA1", ARROW), (b"\xff\xff\xff\xff", ARROW)):
        if start.startswith(sign):
            return form
    with file.text() as content:
        start = content.read(_START).lstrip()
    for sign, form in ((b"{", JSON_LINES), (b"[", JSON)):
        if start.startswith(sign):
            return form
    return None


def form_named(name: str) -> FileForm:
    """Return the form of a name.

    Raises:
        InvalidInputError: there is none.
    """
    for form in FILE_FORMS:
        if form.name == name:
            return form
    raise InvalidInputError(f"a file of the form {shorten(name)} cannot be imported: use one of {_names()}.")


def _names() -> str:
    return ", ".join(form.name for form in FILE_FORMS)
