"""Markdown that models wrote, as HTML that can do nothing: no markup of its own, no images, no script addresses."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from starfish_storage.viewer.words import plain

LONGEST = 50_000
"""Characters that are rendered; a longer text is shown as it is, for some Markdown takes its time squared."""

_ADDRESSES = ("http://", "https://", "mailto:")


def rendered(text: str) -> Markup | None:
    """Return a text as HTML; None if it is too long to be rendered.

    Markup in it is shown as text. A link goes where the text says, if that is a web or mail address, and tells nothing
    about where it was followed. An image becomes a link: a page asks nobody else for anything.
    """
    if len(text) > LONGEST:
        return None
    return Markup(_renderer().render(plain(text)))  # noqa: S704 (all that it puts in is escaped; see above)


@lru_cache(maxsize=1)
def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(["image"])
    markdown.validateLink = lambda url: url.lower().startswith(_ADDRESSES)  # type: ignore[method-assign]
    markdown.add_render_rule("link_open", _link)
    markdown.add_render_rule("td_open", _cell)
    markdown.add_render_rule("th_open", _cell)
    return markdown


def _link(renderer: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("target", "_blank")
    return renderer.renderToken(tokens, index, options, env)


def _cell(renderer: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    tokens[index].attrs.pop("style", None)  # how a column is aligned; the policy forbids inline style
    return renderer.renderToken(tokens, index, options, env)
