"""What a page holds, as a browser would read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$")
_VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass(slots=True)
class Form:
    """A form of a page.

    Attributes:
        action: where it is sent to.
        method: how.
        fields: what is sent without being touched; of choices nothing.
        buttons: what is sent if one is pressed, by its words.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict[str, str])
    buttons: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


class Page(HTMLParser):
    """Reads a page, and complains about what no page may hold.

    Attributes:
        text: all that is read by people.
        links: where links lead, with their texts.
        forms: its forms.
        images: what is drawn.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self._field: str | None = None
        self._button: dict[str, str] | None = None
        self._words = ""
        self.ids: set[str] = set()
        self.images: list[str] = []
        self._open: list[str] = []
        self._link: str | None = None
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag != "img" or _PICTURE.match(given.get("src") or ""), given
        assert tag not in ("iframe", "object", "embed", "style", "base"), tag
        assert not any(name.startswith("on") or name in ("style", "srcset") for name in given), given
        for name in ("href", "src", "action", "hx-get"):
            place = urlsplit(given.get(name) or "")
            is_a_link = tag == "a" and place.scheme in ("http", "https", "mailto")
            assert is_a_link or tag == "img" or not (place.scheme or place.netloc), given
            assert not is_a_link or "noreferrer" in (given.get("rel") or ""), given
        if tag == "script":
            assert (given.get("src") or "").startswith("/static/"), given
        if tag == "img":
            self.images.append(given.get("src") or "")
        if tag == "a":
            self._link = given.get("href") or ""
            self.links[self._link] = ""
        if tag not in _VOID:
            self._open.append(tag)
        self._begin_control(tag, {name: value or "" for name, value in attrs})

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag
        if tag == "a":
            self._link = None
        if tag == "textarea":
            self._field = None
        if tag == "button" and self._button is not None:
            self.forms[-1].buttons[" ".join(self._words.split())] = self._button
            self._button = None

    def _begin_control(self, tag: str, given: dict[str, str]) -> None:
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get")))
        elif tag == "input" and "form" in self._open and given.get("type") not in ("checkbox", "radio"):
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "textarea":
            self._field = given["name"]
            self.forms[-1].fields[self._field] = ""
        elif tag == "button" and "form" in self._open:
            self._button, self._words = {given["name"]: given["value"]} if "name" in given else {}, ""

    def handle_data(self, data: str) -> None:
        self.text += data
        self._words += data
        if self._field is not None:
            self.forms[-1].fields[self._field] += data
        if self._link is not None:
            self.links[self._link] = f"{self.links[self._link]} {data.strip()}".strip()

    def link(self, words: str) -> str:
        """Return where the link of these words leads."""
        return next(place for place, text in self.links.items() if text == words)

    def has_link(self, words: str) -> bool:
        return words in self.links.values()

    def form(self, button: str) -> Form:
        """Return the form that has a button of these words."""
        return next(one for one in self.forms if button in one.buttons)
