"""Inputs from files: JSON Lines, JSON arrays, CSV, Parquet, and directories of text files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.sources import OR_SKIP, BadInput, OnBadInput, Rereadable
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.forms import form_named, form_of, form_of_content
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile
from starfish_storage.row_files.text_files import TextFiles


class FileInputs(Rereadable):
    """The inputs of a file or a directory, read one by one; `resume` finds them again by their path.

    Args:
        path: the file or directory.
        form: what the file is, such as ``"csv"``; None to go by the ending of its name, or else by how it begins.

    Attributes:
        path: as it was given.
        count: how many inputs there are; None if that is not known.

    Raises:
        InvalidInputError: it cannot be read, or its form is not known.
        MissingExtraError: what reads such files is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], form: str | None = None) -> None:
        self.path = os.fspath(path)
        self.count: int | None = None
        self._form: FileForm | None = None
        if os.path.isdir(self.path):
            self.count = len(TextFiles(self.path).names())
            return
        with SourceFile(self.path) as file:
            self._form = form_named(form) if form else _form_of(self.path, file)
            self._form.table(file)  # says what it needs, and what is wrong with a Parquet file

    def __iter__(self) -> Iterator[dict[str, Any] | BadInput]:
        if self._form is None:
            yield from map(_input, TextFiles(self.path).rows())
            return
        with SourceFile(self.path) as file:
            yield from map(_input, self._form.table(file).rows())


def read_inputs(path: str | os.PathLike[str], on_bad_input: OnBadInput = "stop") -> FileInputs:
    """Return the inputs of a file, or of a directory of text files.

    A file holds JSON Lines (``.jsonl``, ``.ndjson``), one JSON array of objects or texts (``.json``), CSV with a header
    (``.csv``, ``.tsv``; each cell is text) or Parquet (``.parquet``, ``.pq``; with the extra ``parquet``). It may be
    compressed with gzip, zstd, bzip2 or xz. Each file of a directory becomes ``{"name": ..., "text": ...}``.

    Args:
        path: the file or directory.
        on_bad_input: ``"stop"``: all of it is checked now. ``"skip"``: `generate` warns of each bad input.

    Raises:
        InvalidInputError: it cannot be read, or an input is bad; says where.
        MissingExtraError: what reads such files is not installed.
    """
    return _checked(FileInputs(path), on_bad_input)


def read_json_lines(path: str | os.PathLike[str], on_bad_input: OnBadInput = "stop") -> FileInputs:
    """Return the inputs of a JSON Lines file, whatever its name; otherwise as `read_inputs`.

    Args:
        path: the file.
        on_bad_input: as for `read_inputs`.

    Raises:
        InvalidInputError: the file cannot be read, or a line is not a JSON object; names the line.
    """
    return _checked(FileInputs(path, "jsonl"), on_bad_input)


def _checked(inputs: FileInputs, on_bad_input: OnBadInput) -> FileInputs:
    if on_bad_input == "skip":
        return inputs
    count = 0
    for found in inputs:
        if isinstance(found, BadInput):
            raise InvalidInputError(f"{found.reason}. Nothing was started: correct it, {OR_SKIP}")
        count += 1
    inputs.count = count
    return inputs


def _form_of(path: str, file: SourceFile) -> FileForm:
    try:
        return form_of(path)
    except InvalidInputError:
        found = form_of_content(file)
        if found is None:
            raise
        return found


def _input(row: GoodRow | BadRow) -> dict[str, Any] | BadInput:
    return row.data if isinstance(row, GoodRow) else BadInput(row.reason)
