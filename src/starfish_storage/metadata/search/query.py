"""The language of queries: one for every engine, read here, and handed to SQLite as FTS5 takes it.

Nothing that people type is an error of the driver: what means nothing here is searched as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from starfish_storage.errors import InvalidInputError
from starfish_storage.metadata.search.words import words_of

MOST_CHARACTERS = 1000
MOST_WORDS = 32
LANGUAGE = 'Write words, "phrases", beginnings (photo*), field:word, a OR b, -without.'

_TERM = re.compile(
    r"""
    (?P<without>-(?=\S))?
    (?: (?P<field>"[^"]+"|[^\s":]+) : (?=[^\s:]) )?
    (?: "(?P<phrase>[^"]*)(?:"|$)(?P<start>\*)? | (?P<word>[^\s"]+) )
    """,
    re.VERBOSE,
)
_OR = "OR"


class Term(NamedTuple):
    """What a record is to contain: words, one behind the other.

    Attributes:
        words: as they are indexed.
        is_start: the last of them is the beginning of a word.
        field: where they are to be, with what is within; None anywhere.
    """

    words: tuple[str, ...]
    is_start: bool
    field: str | None = None


class Query(NamedTuple):
    """What a record is to match.

    Attributes:
        groups: of each, one term at least.
        without: none of these terms.
    """

    groups: tuple[tuple[Term, ...], ...]
    without: tuple[Term, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms that may be in a record."""
        return tuple(term for group in self.groups for term in group)


def parse(text: str, is_field: Callable[[str], bool]) -> Query:
    """Return the query of a text.

    Args:
        text: what was typed.
        is_field: whether some record has a field of a name, so that ``name:word`` means it.

    Raises:
        InvalidInputError: see `RecordSearch.search_records`.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidInputError(f"a search takes at most {MOST_CHARACTERS:,} characters, not {len(text):,}.")
    groups: list[list[Term]] = []
    without: list[Term] = []
    is_or = False
    for found in _TERM.finditer(text):
        if found[0] == _OR:
            is_or = bool(groups)
            continue
        term = _term(found, is_field)
        if term is None:
            continue
        if found["without"]:
            without.append(term)
        elif is_or:
            groups[-1].append(term)
        else:
            groups.append([term])
        is_or = False
    _check(groups, without)
    return Query(tuple(map(tuple, groups)), tuple(without))


def term_of(text: str, field: str | None = None, *, is_start: bool = False) -> Term | None:
    """Return the term of a text, or None if it has no word.

    The last character of a run without spaces stands behind its pairs in the index. So in a term it is left out at the
    end, where the text may go on, and kept before another word, where the run has ended.
    """
    words = list(words_of(text))
    if words and words[-1].is_last_of_unspaced:
        is_start = len(words) == 1 or words[-2].end <= words[-1].start  # it has no pair of its own
        if not is_start:
            words.pop()
    return Term(tuple(word.text for word in words), is_start, field) if words else None


def _term(found: re.Match[str], is_field: Callable[[str], bool]) -> Term | None:
    field = None if found["field"] is None else found["field"].strip('"')
    text, is_start = found["phrase"], bool(found["start"])
    if text is None:
        text = found["word"]
        is_start = text.endswith("*")
    if field is not None and not is_field(field):
        text, field = f"{field} {text}", None
    return term_of(text, field, is_start=is_start)


def _check(groups: Sequence[Sequence[Term]], without: Sequence[Term]) -> None:
    if not groups:
        reason = "only words that must not be there" if without else "no word to search for"
        raise InvalidInputError(f"the search has {reason}. {LANGUAGE}")
    terms = [*(term for group in groups for term in group), *without]
    if sum(len(term.words) for term in terms) > MOST_WORDS:
        raise InvalidInputError(f"a search takes at most {MOST_WORDS} words. {LANGUAGE}")
    for term in terms:
        if term.is_start and len(term.words[-1]) == 1 and term.words[-1].isascii():
            raise InvalidInputError(f"one character is too short for the beginning of a word. {LANGUAGE}")


class Compiled(NamedTuple):
    """A query as FTS5 takes it.

    Attributes:
        text: the expression.
        phrases: each phrase of the expression that counts for the rank, in the order that it has there, as FTS5 takes
            it alone.
    """

    text: str
    phrases: tuple[str, ...]


def compiled(query: Query, filter_of: Callable[[str | None], str], scope: str | None) -> Compiled:
    """Return a query as FTS5 takes it.

    Args:
        query: the query.
        filter_of: the filter of columns, as FTS5 takes it, for a field, or for all fields that are searched.
        scope: the word that marks the records that are searched; None: all.
    """
    groups = [" OR ".join(_filtered(term, filter_of) for term in group) for group in query.groups]
    text = " AND ".join(f"({group})" for group in groups)
    if query.without:
        without = " OR ".join(_filtered(term, filter_of) for term in query.without)
        text = f"({text}) NOT ({without})"
    if scope is not None:
        text = f'({text}) AND scope : "{scope}"'
    return Compiled(text, tuple(_filtered(term, filter_of) for term in query.terms))


def _filtered(term: Term, filter_of: Callable[[str | None], str]) -> str:
    """Return a term with its columns; words hold letters, digits and marks only."""
    start = " *" if term.is_start else ""
    return f'{filter_of(term.field)} : "{" ".join(term.words)}"{start}'
