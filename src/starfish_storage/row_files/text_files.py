"""Rows of a directory of text files: the name and the text of each."""

from __future__ import annotations

import os
from collections.abc import Iterator

from starfish_storage.row_files.folders import Directory
from starfish_storage.row_files.rows import MAX_ROW_BYTES, BadRow, GoodRow
from starfish_storage.row_files.source_file import shown


class TextFiles:
    """The files below a directory, in the order of their names: ``{"name": path below it, "text": ...}``.

    What begins with a dot is left out, as directories for the system's own use do.

    Args:
        path: the directory.

    Raises:
        InvalidInputError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._directory = Directory(path)

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """Read the files, one after the other. Blocks."""
        for name in self.names():
            yield self._row(name)

    def names(self) -> list[str]:
        """Return the names of the files, with ``/`` between the directories below this one."""
        return self._directory.names()

    def _row(self, name: str) -> GoodRow | BadRow:
        path = os.path.join(self._path, name)
        place = f"file {shown(path)}"
        if not os.path.isfile(path):  # a pipe would wait for whoever writes into it
            return BadRow(f"{place} is not a regular file")
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_ROW_BYTES + 1)
        except OSError as error:
            return BadRow(f"{place} cannot be read: {error.strerror}")
        if len(content) > MAX_ROW_BYTES:
            return BadRow(f"{place} is longer than {MAX_ROW_BYTES // 2**20} MiB")
        try:
            return GoodRow(place, {"name": name, "text": content.decode("utf-8-sig")})
        except UnicodeDecodeError:
            return BadRow(f"{place} is not text in UTF-8")
