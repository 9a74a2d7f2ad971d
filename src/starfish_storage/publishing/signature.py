"""Which pieces of text a shard holds, in a few kilobytes: a search asks for no shard that lacks one of its words.

A Bloom filter over all that stands at three places in a row, in lower case. It may say yes where a shard has none, and
never no where it has one. Three letters are what every language has: no words are split, and none are too short to be
found within others. ``bundle.js`` has the same arithmetic.
"""

from __future__ import annotations

import base64

_BITS_EACH = 8  # with two of them for each, one in 20 that are not there is taken for one that is
_FEWEST_BITS, _MOST_BITS = 1 << 10, 1 << 20


class Signature:
    """The pieces of the texts of a shard."""

    def __init__(self) -> None:
        self._pieces: set[tuple[str, str, str]] = set()
        self._is_open = False

    def add(self, text: str) -> None:
        r"""Take in a JSON text. One with ``\u`` escapes could hold anything."""
        if "\\u" in text:
            self._is_open = True
        lower = text.lower()
        self._pieces.update(zip(lower, lower[1:], lower[2:], strict=False))

    def packed(self) -> str | None:
        """Return the filter in base64; None if the shard has to be looked at in any case.

        >>> one = Signature()
        >>> one.add("Zürich")
        >>> len(base64.b64decode(one.packed()))
        128
        """
        if self._is_open:
            return None
        size = _FEWEST_BITS
        while size < min(_BITS_EACH * len(self._pieces), _MOST_BITS):
            size *= 2
        bits = bytearray(size // 8)
        for piece in self._pieces:
            for bit in _bits_of(piece, size):
                bits[bit >> 3] |= 1 << (bit & 7)
        return base64.b64encode(bits).decode()


def _bits_of(piece: tuple[str, str, str], size: int) -> tuple[int, int]:
    number = 2166136261
    for letter in piece:
        number = (number ^ ord(letter)) * 16777619 & 0xFFFFFFFF
    other = (number ^ number >> 15) * 2246822519 & 0xFFFFFFFF
    return number & (size - 1), other >> 7 & (size - 1)
