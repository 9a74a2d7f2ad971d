"""What `make site` adds to griffe: the examples of docstrings are code, wherever in a docstring they stand."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# griffe comes with the dependency group `site` only.

from __future__ import annotations

import re
from typing import Any

import griffe

_LITERAL = re.compile(r"::$", re.MULTILINE)  # before an indented block, which is code in Markdown
_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n(?!\s*\n).+)*", re.MULTILINE)


class Examples(griffe.Extension):
    """Fences each example, which is a quotation in Markdown otherwise; one colon is enough before a literal block."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _LITERAL.sub(":", _EXAMPLE.sub(_fenced, obj.docstring.value))


def _fenced(example: re.Match[str]) -> str:
    return f"{example[1]}```pycon\n{example[0]}\n{example[1]}```"
