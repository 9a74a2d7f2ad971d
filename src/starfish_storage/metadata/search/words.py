"""Words of a text: how it is cut and folded, for the index, for queries and for snippets alike.

Words are runs of letters, digits and marks, without case and without the accents of Latin, Greek and Cyrillic letters.
Scripts that put no spaces between words are cut into pairs of neighbouring characters, and the last character alone:
then any two or more characters in a row are found as a phrase of pairs, and a single one as the beginning of pairs.
Trigrams, which FTS5 has, would not find the words of two characters that most of Chinese is made of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"  # Hangul: it has spaces, but particles stick to its words
    "\u3005-\u3007\u3041-\u30ff\u3100-\u312f\u31f0-\u31ff\uff66-\uff9f"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_ACCENTS = re.compile("[\u0300-\u036f]+")
_ASCII_WORD = re.compile("[0-9A-Za-z]+")


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        text: as it is indexed.
        start: where it begins in the text.
        end: where it ends.
        is_last_of_unspaced: it is the last character of a run without spaces, which was cut into pairs.
    """

    text: str
    start: int
    end: int
    is_last_of_unspaced: bool = False


def words_of(text: str) -> Iterator[Word]:
    """Yield the words of a text in order, each in the place that it has in the index."""
    if text.isascii():
        for found in _ASCII_WORD.finditer(text):
            yield Word(found[0].lower(), *found.span())
        return
    for found in _any_word().finditer(text):
        if found[1] is None:
            yield Word(folded(found[0]), *found.span())
        else:
            yield from _pairs(found[1], found.start())


def indexed_text(text: str) -> str:
    """Return a text as the index takes it, which cuts it at spaces: what is plain ASCII it cuts and folds itself."""
    return text if text.isascii() else " ".join(word.text for word in words_of(text))


def folded(text: str) -> str:
    """Return a text without case, without accents, and with one form for each character."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold()).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", plain))


def _pairs(run: str, start: int) -> Iterator[Word]:
    text = folded(run)
    is_whole = len(text) == len(run)  # half-width forms become fewer characters: then the whole run is marked

    def span(at: int, size: int) -> tuple[int, int]:
        return (start + at, start + at + size) if is_whole else (start, start + len(run))

    for at in range(len(text) - 1):
        yield Word(text[at : at + 2], *span(at, 2))
    if text:
        yield Word(text[-1], *span(len(text) - 1, 1), is_last_of_unspaced=True)


@cache
def _any_word() -> re.Pattern[str]:
    """Return what matches a word of any script; a run without spaces is its first group."""
    marks = _ranges(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(f"([{_UNSPACED}]+)|(?:[^\\W_{_UNSPACED}]|(?![{_UNSPACED}])[{marks}])+")


def _ranges(characters: Iterator[str]) -> str:
    """Return characters, given in order, as the inside of a class of a pattern."""
    text, first, last = "", "", ""
    for character in characters:
        if last and ord(character) == ord(last) + 1:
            last = character
            continue
        text += f"{first}-{last}" if last else ""
        first = last = character
    return f"{text}{first}-{last}"
