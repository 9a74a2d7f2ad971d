"""What every page has: the store, its name, the commands about it, and the templates."""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Self

import jinja2
from starlette.responses import HTMLResponse

from starfish_storage.interface import Storage
from starfish_storage.viewer.counting import RunNumbers
from starfish_storage.viewer.matching import FieldMatching
from starfish_storage.viewer.visitors import Reviewer
from starfish_storage.viewer.words import FILTERS, link

Command = Callable[..., str]
"""Returns a command line about the store, of the words of a command."""

_TEMPLATES = Path(__file__).parents[1] / "templates"


class Sheet:
    """Renders pages.

    Args:
        storage: what the pages are read from.
        name: what the store is called.
        command: returns the command lines that pages offer.
        version: of the library; in the addresses of what browsers may keep.
        notice: what the first page says about the store.

    Attributes:
        reviewer: who asks for a page that may hold forms that write; None of a viewer that only shows.
    """

    reviewer: Reviewer | None = None

    def __init__(self, storage: Storage, name: str, command: Command, version: str, notice: str = "") -> None:
        self.storage = storage
        self.command = command
        self.numbers = RunNumbers(storage)
        self.matching = FieldMatching(storage)
        self._templates = environment(has_sources=True)
        self._values = {"link": link, "store": name, "version": version, "notice": notice}

    def seen_by(self, reviewer: Reviewer | None) -> Self:
        """Return the sheet for the pages of a reviewer."""
        sheet = copy.copy(self)
        sheet.reviewer = reviewer
        return sheet

    async def page(self, template: str, status: int = 200, /, **shown: Any) -> HTMLResponse:
        """Return a page, rendered in a thread: what a model wrote may take a while, and others are not to wait."""
        rendering = self._templates.get_template(template).render
        who = {"reviewer": self.reviewer, "new_form": secrets.token_urlsafe}
        html = await asyncio.to_thread(rendering, self._values | who | shown)
        return HTMLResponse(html.encode("utf-8", "backslashreplace"), status)  # names of fields may be no characters


@cache
def environment(*directories: Path, has_sources: bool) -> jinja2.Environment:
    """Return what renders templates: one for all who ask the same, since compiling them takes a tenth of a second.

    Args:
        directories: of templates besides those of the viewer.
        has_sources: whether what is rendered as Markdown is shown as it is stored, too.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*directories, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)  # pyright: ignore[reportUnknownMemberType] (jinja2 leaves it untyped)
    made.globals["has_sources"] = has_sources  # pyright: ignore[reportUnknownMemberType] (as above)
    return made
