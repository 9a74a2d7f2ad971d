"""The rows of several files as one table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from starfish_storage.row_files.dataset_files import Split, is_of_datasets
from starfish_storage.row_files.folders import Directory, Folder
from starfish_storage.row_files.packed import PackedFolder
from starfish_storage.row_files.rows import BadRow, GoodRow, Table


class ManyFiles:
    """The rows of several files, one after the other, as one table.

    Args:
        tables: of the files; at least one.
        name: what they are called together.
        form: what they are together.
        about: what else is kept of them, and tells files of the same content apart.
    """

    def __init__(self, tables: Sequence[Table], name: str, form: str, about: Mapping[str, str]) -> None:
        self._tables = tables
        self._about = about
        self.name = name
        self.form = form

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        return hashlib.sha256("".join(table.identity for table in self._tables).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        return {"name": self.name, **self._about, "files": [table.describe() for table in self._tables]}

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        return list(dict.fromkeys(note for table in self._tables for note in table.notes()))

    def has_changed(self) -> bool:
        """See `Table.has_changed`."""
        return any(table.has_changed() for table in self._tables)

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        for table in self._tables:
            yield from table.rows()


def folder_at(path: str, stack: ExitStack) -> Folder:
    """Return the folder that a directory, or a zip or tar file, is; it is open until the stack is closed.

    Raises:
        InvalidInputError: it cannot be read, or is made to do harm.
    """
    return Directory(path) if os.path.isdir(path) else stack.enter_context(PackedFolder(path, is_of_datasets))


def table_of(folder: Folder, split: Split, stack: ExitStack, options: Mapping[str, Any] | None = None) -> Table:
    """Return the rows of a split, whose files are open until the stack is closed.

    Args:
        folder: where its files are.
        split: the split.
        stack: closes the files.
        options: of the form of the files, by name; those of others are passed over.
    """
    own = {option.name for option in split.form.options}
    chosen = {name: value for name, value in (options or {}).items() if name in own}
    tables: list[Table] = [split.form.table(stack.enter_context(folder.open(name)), **chosen) for name in split.files]
    if isinstance(folder, PackedFolder) and len(tables) == 1 and not split.about():
        return tables[0]  # as if it had not been packed
    return ManyFiles(tables, folder.name, "dataset", split.about())
