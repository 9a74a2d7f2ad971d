"""Which split of a dataset a record belongs to."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten

MOST_SPLITS = 50
"""Of a field that names splits: with more different values, it is refused."""

_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)  # what `datasets` takes, and every file system
_RESERVED = frozenset({"all"})  # `datasets` means every split by it
_CLOSE = 1e-6

Split = Callable[[str, Mapping[str, Any]], str]
"""Given the uid of a record and its data, its split."""


@dataclass(frozen=True, slots=True)
class HuggingFaceOptions:
    """How a dataset is laid out.

    Attributes:
        splits: names of splits and what fraction of the records each gets, together 1, such as ``{"train": 0.9, "test":
            0.1}``. Which one a record gets follows from its uid and the seed: it keeps it when others are added.
            With neither this nor `split_by`, all are ``train``.
        split_by: in place of that, the field of the data that names the split.
        seed: another seed divides the records differently.
        shard_bytes: bytes of JSON after which another file begins.

    Raises:
        InvalidInputError: a name, a fraction or a size cannot be used, or both kinds of splits are asked for.
    """

    splits: Mapping[str, float] | None = None
    split_by: str | None = None
    seed: int = 0
    shard_bytes: int = 500_000_000

    def __post_init__(self) -> None:
        if self.splits is not None and self.split_by is not None:
            raise InvalidInputError("records are split by fractions or by a field: give splits or split_by, not both.")
        if self.shard_bytes < 1:
            raise InvalidInputError(f"shard_bytes {self.shard_bytes} cannot be used: give 1 or more.")
        if self.splits is not None:
            _check_fractions(self.splits)

    def splitter(self, known: Collection[str] = ()) -> Split:
        """Return what tells the split of a record.

        Args:
            known: the names of the splits that have records, to which the caller adds.
        """
        if self.split_by is not None:
            return _by_field(self.split_by, known)
        return _by_fraction({"train": 1.0} if self.splits is None else self.splits, self.seed)


def parse_splits(text: str) -> dict[str, float]:
    """Return the splits that are written as on the command line.

    Raises:
        InvalidInputError: a share is not a number.

    >>> parse_splits("train=0.9,test=0.1")
    {'train': 0.9, 'test': 0.1}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            found[name.strip()] = float(share)
        except ValueError:
            raise InvalidInputError(
                f"splits {text!r} cannot be read: write NAME=SHARE, such as train=0.9,test=0.1."
            ) from None
    return found


def check_split_name(name: object, where: str) -> str:
    """Return a name, if it can name a split.

    Raises:
        InvalidInputError: it cannot name a split; the message begins with ``where``.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"{where}: the name of a split must be a string, not {type(name).__name__}.")
    if _NAME.fullmatch(name) is None or name in _RESERVED or len(name) > 100:  # noqa: PLR2004 (files are named by it)
        raise InvalidInputError(
            f"{where}: {shorten(name, 40)} cannot name a split: use letters, digits and '_', such as 'train'."
        )
    return name


def _check_fractions(splits: Mapping[str, float]) -> None:
    if not splits:
        raise InvalidInputError('no split is named: give at least one, such as {"train": 0.9, "test": 0.1}.')
    for name, fraction in cast("Mapping[str, object]", splits).items():
        check_split_name(name, "splits")
        if not isinstance(fraction, int | float) or isinstance(fraction, bool) or not 0 < fraction <= 1:
            raise InvalidInputError(f"split {name!r} must get a fraction above 0 and up to 1, not {fraction!r}.")
    if not math.isclose(sum(splits.values()), 1, abs_tol=_CLOSE):
        raise InvalidInputError(f"the fractions of the splits make {sum(splits.values()):g}: they must make 1.")
    _refuse_same(list(splits), "splits")


def _refuse_same(names: list[str], where: str) -> None:
    if len({name.lower() for name in names}) < len(names):
        raise InvalidInputError(f"{where}: two splits have names that differ only in case, as their files would.")


def _by_fraction(splits: Mapping[str, float], seed: int) -> Split:
    bounds: list[tuple[float, str]] = []
    total = 0.0
    for name, fraction in splits.items():
        total += fraction
        bounds.append((total, name))
    last = bounds[-1][1]

    def split(uid: str, _data: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(f"{seed}\n{uid}".encode()).digest()
        place = int.from_bytes(digest[:6]) / 2**48  # 48 bits are exact in a float
        return next((name for bound, name in bounds if place < bound), last)

    return split


def _by_field(field: str, known: Collection[str]) -> Split:
    def split(uid: str, data: Mapping[str, Any]) -> str:
        where = f"record {shorten(uid)}, field {shorten(field, 40)}"
        if field not in data:
            raise InvalidInputError(f"record {shorten(uid)} has no field {shorten(field, 40)} that names its split.")
        name = data[field]
        if isinstance(name, str) and name in known:
            return name
        name = check_split_name(name, where)
        _refuse_same([name, *known], where)
        if len(known) >= MOST_SPLITS:
            raise InvalidInputError(f"{where}: it has more than {MOST_SPLITS} values, so it does not name splits.")
        return name

    return split
