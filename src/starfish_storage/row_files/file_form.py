"""A form of a file: it declares its name, its endings, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starfish_storage.form_option import FormOption
from starfish_storage.row_files.rows import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    """A form of one file.

    Attributes:
        name: as it is called on the command line and in reports.
        title: as it is called in prose.
        endings: of the names of such files.
        table: given the `SourceFile`, and each option by its name, returns its rows.
        options: what the caller may choose.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    table: Callable[..., Table]
    options: tuple[FormOption, ...] = ()
