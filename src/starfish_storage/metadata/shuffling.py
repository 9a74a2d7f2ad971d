"""A seeded order of numbers that is known without sorting them: where a number stands, and which stands at a place."""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDS = 4
_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Shuffled:
    """What is asked of records in a seeded order.

    Attributes:
        seed: of the order; any integer.
        after: uid of the record behind which to begin; None: at the first.
        backwards: begin at the last, and go back.
        limit: how many records at most.
    """

    seed: int
    after: str | None
    backwards: bool
    limit: int

    @property
    def signed_seed(self) -> int:
        """The seed as a signed integer of 64 bits, spread over all of them."""
        mixed = _mixed(self.seed & _MASK)
        return mixed - 2**64 if mixed >= 2**63 else mixed


class Shuffle:
    """A permutation of the numbers from 0 to `size`, a power of four.

    A Feistel network: each round keeps one half of the bits and changes the other by it, so that it can be undone.

    Args:
        seed: of the order; any integer.
        largest: the largest number that is asked about.

    >>> shuffle = Shuffle(7, 100)
    >>> places = [shuffle.place_of(number) for number in range(shuffle.size)]
    >>> sorted(places) == list(range(shuffle.size)), [shuffle.number_at(place) for place in places[:3]]
    (True, [0, 1, 2])
    """

    def __init__(self, seed: int, largest: int) -> None:
        self._bits = max(1, (max(largest, 0).bit_length() + 1) // 2)
        self._half = 2**self._bits - 1
        self._keys = [_mixed((seed + number * 0x9E3779B97F4A7C15) & _MASK) for number in range(_ROUNDS)]
        self.size = 4**self._bits

    def place_of(self, number: int) -> int:
        """Return where a number stands in the order."""
        left, right = number >> self._bits, number & self._half
        for key in self._keys:
            left, right = right, left ^ (_mixed(right ^ key) & self._half)
        return left << self._bits | right

    def number_at(self, place: int) -> int:
        """Return the number that stands at a place of the order."""
        left, right = place >> self._bits, place & self._half
        for key in reversed(self._keys):
            left, right = right ^ (_mixed(left ^ key) & self._half), left
        return left << self._bits | right


def _mixed(number: int) -> int:
    """Return 64 bits each of which depends on all of a number's (the finalizer of SplitMix64)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
