"""What a page holds, as a browser would read it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

_VOID = {"meta", "link", "input", "br", "hr", "img"}


class Page(HTMLParser):
    """Reads a page, and complains about what no page may hold.

    Attributes:
        text: all that is read by people.
        links: where links lead, with their texts.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: dict[str, str] = {}
        self.ids: set[str] = set()
        self._open: list[str] = []
        self._link: str | None = None
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag not in ("img", "iframe", "object", "embed", "style", "base"), tag
        assert not any(name.startswith("on") or name in ("style", "srcset") for name in given), given
        for name in ("href", "src", "action", "hx-get"):
            place = urlsplit(given.get(name) or "")
            is_a_link = tag == "a" and place.scheme in ("http", "https", "mailto")
            assert is_a_link or not (place.scheme or place.netloc), given
            assert not is_a_link or "noreferrer" in (given.get("rel") or ""), given
        if tag == "script":
            assert (given.get("src") or "").startswith("/static/"), given
        if tag == "a":
            self._link = given.get("href") or ""
            self.links[self._link] = ""
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._link is not None:
            self.links[self._link] += data.strip()

    def link(self, words: str) -> str:
        """Return where the link of these words leads."""
        return next(place for place, text in self.links.items() if text == words)

    def has_link(self, words: str) -> bool:
        return words in self.links.values()
