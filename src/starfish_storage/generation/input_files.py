"""Inputs from files of rows, datasets, and directories of text files."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.sources import OR_SKIP, BadInput, OnBadInput, Rereadable
from starfish_storage.row_files.dataset_files import Split, is_of_columns, splits_of
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.folders import Directory, Folder
from starfish_storage.row_files.forms import form_named, form_of, form_of_content
from starfish_storage.row_files.many_files import folder_at, table_of
from starfish_storage.row_files.packed import is_packed
from starfish_storage.row_files.rows import BadRow, GoodRow, Table
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
        self._form: str | None = form
        self._texts: TextFiles | None = None
        self._is_dataset = False
        if os.path.isdir(self.path):
            self._is_dataset = is_of_columns(Directory(self.path))
        elif form is None:
            self._is_dataset = is_packed(self.path)
        if os.path.isdir(self.path) and not self._is_dataset:
            self._texts = TextFiles(self.path)
            self.count = len(self._texts.names())
            return
        with self._table():  # says what it needs, and what is wrong with a Parquet file
            pass

    def __iter__(self) -> Iterator[dict[str, Any] | BadInput]:
        if self._texts is not None:
            yield from map(_input, self._texts.rows())
            return
        with self._table() as table:
            yield from map(_input, table.rows())

    @contextmanager
    def _table(self) -> Generator[Table]:
        with ExitStack() as stack:
            if self._is_dataset:
                folder = folder_at(self.path, stack)
                yield table_of(folder, _only_split(folder), stack)
                return
            file = stack.enter_context(SourceFile(self.path))
            form = form_named(self._form) if self._form else _form_of(self.path, file)
            yield form.table(file)


def read_inputs(path: str | os.PathLike[str], on_bad_input: OnBadInput = "stop") -> FileInputs:
    """Return the inputs of a file, or of a directory of text files.

    A file holds JSON Lines (``.jsonl``, ``.ndjson``), one JSON array of objects or texts (``.json``), CSV with a header
    (``.csv``, ``.tsv``; each cell is text), or with the extra ``parquet`` Parquet (``.parquet``, ``.pq``) or Arrow
    (``.arrow``, ``.feather``). It may be compressed with gzip, zstd, bzip2 or xz. Each file of a directory becomes
    ``{"name": ..., "text": ...}``, unless it is a dataset: saved by `datasets`, or of Parquet or Arrow files. A dataset
    may also be a zip or tar file of any files of rows. One with several splits is refused: name the files of one.

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


def _only_split(folder: Folder) -> Split:
    """Return the split of a dataset that has no other: what is tested with should not be trained on by mistake."""
    splits = splits_of(folder)
    if len(splits) > 1:
        known = ", ".join(shorten(split.name or "") for split in splits)
        raise InvalidInputError(
            f"{folder.shown} has the splits {known}: give the directory or the file of one, or import it and choose."
        )
    return splits[0]


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
