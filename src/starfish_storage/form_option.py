"""Options of the forms that are exported and imported: declared beside a form, offered by the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FormOption:
    """One option of a form.

    Attributes:
        name: of the parameter in Python; the command line writes it with ``-`` in place of ``_``.
        help: what it means, in a sentence.
        metavar: what the help writes for its value.
        kind: of the value on the command line: ``str``, ``int``, or ``bool`` for a flag.
        flag: its name on the command line, if that is another than the parameter's.
        read: makes the parameter's value of what stands on the command line.
    """

    name: str
    help: str
    metavar: str | None = None
    kind: type[str | int | bool] = str
    flag: str | None = None
    read: Callable[[Any], Any] | None = None

    @property
    def on_command_line(self) -> str:
        """The option as it is typed, such as ``--split-by``."""
        return f"--{(self.flag or self.name).replace('_', '-')}"

    def value(self, given: Any) -> Any:
        """Return the parameter's value.

        Raises:
            InvalidInputError: what was given cannot be read.
        """
        return given if self.read is None else self.read(given)
