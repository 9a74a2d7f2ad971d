"""The stores of other tools: a form declares its name, how it is recognised, and what imports it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starfish_storage.form_option import FormOption
from starfish_storage.imports.report import ImportReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolForm:
    """A form of what another tool has stored: a directory, or a file of its own.

    Attributes:
        name: as it is called on the command line and in reports.
        title: as it is called in prose, with its article.
        recognises: whether what lies at a path, a directory or a file, is that; it reads the beginning of a file at
            most, and returns False where that cannot be read.
        run: imports it; takes the storage, the path, and by name ``project_id``, ``name``, ``skip_bad``, ``progress``
            and each option.
        options: what the caller may choose beside those.
    """

    name: str
    title: str
    recognises: Callable[[str], bool]
    run: Callable[..., Awaitable[ImportReport]]
    options: tuple[FormOption, ...] = ()
