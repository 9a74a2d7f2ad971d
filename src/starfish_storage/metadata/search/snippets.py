"""Snippets: the part of a record that shows why it was found, made from its data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from starfish_storage.metadata.search.leaves import is_within, leaves_of
from starfish_storage.metadata.search.query import Term
from starfish_storage.metadata.search.words import words_of

_LENGTH = 240
_BEFORE = 60
_MOST_FINDS = 200  # in one field; more would not show more
_LOOKED_AT = 100_000  # characters of a field that is not plain ASCII, where looking is slow
_LINE_ENDS = re.compile(r"\s")
_CUT = "…"


class Snippet(NamedTuple):
    """A part of a field.

    Attributes:
        field: the path of the field.
        text: the part, on one line.
        marks: where the words stand in it.
        is_match: it has words that were searched for.
    """

    field: str
    text: str
    marks: tuple[tuple[int, int], ...]
    is_match: bool


class _Find(NamedTuple):
    start: int
    end: int
    term: int


class Snippets:
    """Makes the snippets of a query.

    Args:
        terms: what is searched for.
        fields: where; None: everywhere.
    """

    def __init__(self, terms: Sequence[Term], fields: Sequence[str] | None) -> None:
        self._terms = terms
        self._fields = fields
        self.is_filtered = fields is not None or any(term.field is not None for term in terms)
        """Only some fields are searched: then a record without a find does not match."""
        self._patterns = [_ascii_pattern(term) for term in terms]

    def of(self, data: object) -> Snippet:
        """Return the snippet of a record: of the first field that has the most of the terms."""
        best: tuple[str, str, list[_Find]] | None = None
        most = 0
        for path, text in leaves_of(data):
            finds = self._finds(path, text)
            number = len({find.term for find in finds})
            if number > most or best is None:
                best, most = (path, text, finds), number
            if most == len(self._terms):
                break
        if best is None:
            return Snippet("", "", (), is_match=False)
        path, text, finds = best
        return Snippet(path, *_cut(text, finds), is_match=bool(finds))

    def _finds(self, path: str, text: str) -> list[_Find]:
        """Return where terms stand in a field, in order."""
        if self._fields is not None and not any(is_within(path, field) for field in self._fields):
            return []
        wanted = [at for at, term in enumerate(self._terms) if term.field is None or is_within(path, term.field)]
        found: list[_Find] = []
        if text.isascii():
            for at in wanted:
                for number, match in enumerate(self._patterns[at].finditer(text)):
                    if number == _MOST_FINDS:
                        break
                    found.append(_Find(*match.span(), at))
        elif wanted:
            found = self._finds_by_words(text[:_LOOKED_AT], wanted)
        return sorted(found)

    def _finds_by_words(self, text: str, wanted: Sequence[int]) -> list[_Find]:
        words = list(words_of(text))
        texts = [word.text for word in words]
        found: list[_Find] = []
        for at in wanted:
            term = self._terms[at]
            number, first = len(term.words), term.words[0]
            for start in range(len(words) - number + 1):
                if number > 1 and texts[start] != first:
                    continue
                if _is_term(texts[start : start + number], term):
                    found.append(_Find(words[start].start, words[start + number - 1].end, at))
                    if len(found) == _MOST_FINDS:
                        break
        return found


def _is_term(texts: Sequence[str], term: Term) -> bool:
    *before, last = term.words
    *texts_before, text = texts
    return texts_before == before and (text.startswith(last) if term.is_start else text == last)


def _ascii_pattern(term: Term) -> re.Pattern[str]:
    """Return what finds a term in plain ASCII text."""
    if not all(word.isascii() for word in term.words):
        return re.compile("(?!)")
    body = "[^0-9A-Za-z]+".join(term.words)
    end = "[0-9A-Za-z]*" if term.is_start else "(?![0-9A-Za-z])"
    return re.compile(f"(?<![0-9A-Za-z]){body}{end}", re.IGNORECASE | re.ASCII)


def _cut(text: str, finds: Sequence[_Find]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the part of a text that has the most of the terms, on one line, and where they stand in it."""
    best, most = 0, 0
    for at, find in enumerate(finds):
        number = len({one.term for one in finds[at : at + 20] if one.end <= find.start + _LENGTH - _BEFORE})
        if number > most:
            best, most = at, number
    start = max(0, finds[best].start - _BEFORE) if finds else 0
    end = min(len(text), start + _LENGTH)
    start = _word_start(text, start, finds[best].start if finds else 0)
    before = _CUT if start else ""
    part = before + _LINE_ENDS.sub(" ", text[start:end]) + (_CUT if end < len(text) else "")
    shift = len(before) - start
    shown = [(find.start + shift, min(find.end, end) + shift) for find in finds if start <= find.start < end]
    return part, tuple(_joined(shown))


def _joined(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans, given in order, with those that meet as one."""
    current: tuple[int, int] | None = None
    for start, end in spans:
        if current is None:
            current = (start, end)
            continue
        begin, behind = current
        if start <= behind:
            current = (begin, max(behind, end))
        else:
            yield current
            current = (start, end)
    if current is not None:
        yield current


def _word_start(text: str, start: int, limit: int) -> int:
    """Return where the first whole word begins from a place on, if that is before the first find."""
    if not start or text[start - 1].isspace():
        return start
    space = text.find(" ", start, limit)
    return start if space < 0 else space + 1
