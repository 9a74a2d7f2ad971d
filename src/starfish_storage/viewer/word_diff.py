"""Which words of two texts differ, found in bounded time: what models wrote is hostile here too.

`difflib` takes the cube of the length where words repeat: minutes, for two pages of the same letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A word; a stretch of blanks; any other character by itself. So each character of Chinese or Japanese, which have no
# blanks between words.
_TOKENS = re.compile(r"[^\W\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7af]+|\s+|.", re.DOTALL)

_MOST_EDITS = 200  # of two texts that differ in more words, everything between the first and the last differs


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text.

    Attributes:
        text: what it is.
        differs: whether the other text does not have it there.
    """

    text: str
    differs: bool


@dataclass(slots=True)
class Effort:
    """How much more may be done for a page."""

    steps: int = 150_000


def differing(old: str, new: str, effort: Effort) -> tuple[list[Span], list[Span]]:
    """Return two texts in stretches that are the same, and that differ.

    >>> old, new = differing("It is a cat.", "It is the cat.", Effort())
    >>> [one.text for one in old if one.differs], [one.text for one in new if one.differs]
    (['a'], ['the'])
    """
    if old == new:
        return _spans([old], {0}), _spans([new], {0})
    left, right = _TOKENS.findall(old), _TOKENS.findall(new)
    begin = _common(zip(left, right, strict=False))
    end = _common(zip(reversed(left[begin:]), reversed(right[begin:]), strict=False))
    left_same = {*range(begin), *range(len(left) - end, len(left))}
    right_same = {*range(begin), *range(len(right) - end, len(right))}
    middle = left[begin : len(left) - end], right[begin : len(right) - end]
    for one, other in _matching(*middle, effort):
        left_same.add(begin + one)
        right_same.add(begin + other)
    return _spans(left, left_same), _spans(right, right_same)


def _common(pairs: Iterable[tuple[str, str]]) -> int:
    number = 0
    for one, other in pairs:
        if one != other:
            break
        number += 1
    return number


def _spans(tokens: Sequence[str], same: set[int]) -> list[Span]:
    spans: list[Span] = []
    stretch: list[str] = []
    for place, token in enumerate(tokens):
        if stretch and (place in same) != (place - 1 in same):
            spans.append(Span("".join(stretch), place - 1 not in same))
            stretch = []
        stretch.append(token)
    if stretch:
        spans.append(Span("".join(stretch), len(tokens) - 1 not in same))
    return spans


def _matching(left: Sequence[str], right: Sequence[str], effort: Effort) -> list[tuple[int, int]]:
    """Return which words of two texts belong together, by the fewest edits (Myers 1986); none if that takes too long.

    ``furthest[k]`` is how many words of the left text are used up by the best path that has used ``k`` fewer of the
    right one.
    """
    furthest = {1: 0}
    history: list[dict[int, int]] = []
    for edits in range(min(_MOST_EDITS, len(left) + len(right)) + 1):
        history.append(dict(furthest))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1])
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            y = x - k
            while x < len(left) and y < len(right) and left[x] == right[y]:
                x, y = x + 1, y + 1
                effort.steps -= 1
            furthest[k] = x
            effort.steps -= 1
            if x >= len(left) and y >= len(right):
                return _traced(history, x, y)
        if effort.steps <= 0:
            break
    return []


def _traced(history: Sequence[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    """Return the words on the path that ends at a place, from the last one back."""
    found: list[tuple[int, int]] = []
    for edits in range(len(history) - 1, -1, -1):
        furthest, k = history[edits], x - y
        down = k == -edits or (k != edits and furthest.get(k - 1, -1) < furthest.get(k + 1, -1))
        before = k + 1 if down else k - 1
        begin_x = furthest.get(before, 0)
        begin_y = begin_x - before
        while x > max(begin_x, 0) and y > max(begin_y, 0):
            x, y = x - 1, y - 1
            found.append((x, y))
        x, y = begin_x, begin_y
    return found
