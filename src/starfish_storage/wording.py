"""Phrases of messages: how values are quoted, on one line and without secrets, and which remedies are named."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import cast

REPAIR_OR_RESTORE = "run 'starfish-storage repair --store STORE', or restore a backup"
SEE_DAMAGE = "run 'starfish-storage verify --store STORE' to see what else is damaged"
"""The remedies that errors about damage name."""


def path_as_text(given: object) -> object:
    """Return the text of a ``Path``; anything else as it is."""
    return os.fspath(cast("os.PathLike[str]", given)) if isinstance(given, os.PathLike) else given


_BEFORE_USER = re.compile(r"(?://|^[^/]*:/|^[^/]*:)(?!/)")


def without_secrets(uri: object) -> object:
    """Return a URI without its user, password and query; a ``file:///`` URI has none and stays as it is."""
    uri = path_as_text(uri)
    if not isinstance(uri, str):
        return uri
    # Also after one slash, as a Path merges the two, and after none.
    before, at, behind = uri.rpartition("@")
    found = _BEFORE_USER.search(before) if at else None
    place = uri if found is None else f"{found.string[: found.end()]}...@{behind}"
    return place if place.startswith("file:///") else re.sub(r"\?.*", "?...", place, flags=re.DOTALL)


def shorten(value: object, limit: int = 120) -> str:
    """Quote a value for a message: escaped, so that it cannot forge lines, and cut to ``limit`` characters."""
    text = ascii(value) if isinstance(value, str) else f"of type {type(value).__name__}"
    return text if len(text) <= limit else f"{text[:limit]}...' ({len(text)} characters)"


def beginning(text: str, limit: int = 60) -> str:
    """Return the beginning of a text, for a line that tells other things too.

    >>> beginning("RateLimitError: please wait", 20)
    'RateLimitError: p...'
    """
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def outcome(*, unsettled: bool) -> str:
    """Say what a failed read or change left behind."""
    if unsettled:
        return "The change could not be undone: open the store again, and check whether it took effect"
    return "What was stored before is unchanged"


def number_of(count: int, one: str) -> str:
    """Return how many there are of a thing, whose plural ends in ``s``.

    >>> number_of(1, "run"), number_of(0, "bad row"), number_of(1200, "record")
    ('1 run', '0 bad rows', '1,200 records')
    """
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def alternatives(names: Sequence[str]) -> str:
    """Return names of which one is to be chosen.

    >>> alternatives(["a"]), alternatives(["a", "b", "c"])
    ('a', 'a, b or c')
    """
    return " or ".join([", ".join(names[:-1]), *names[-1:]] if names[1:] else names)


def results_wait(results: int, paths: Sequence[str]) -> str:
    """Return where results wait that a store did not take.

    >>> results_wait(2, ["/tmp/a.jsonl"])
    "2 results wait in '/tmp/a.jsonl', and resume stores them"
    """
    wait, them = ("result waits", "it") if results == 1 else ("results wait", "them")
    return f"{results:,} {wait} in {', '.join(map(repr, paths))}, and resume stores {them}"


def failed_again(inputs: int) -> str:
    """Return at how many inputs a call has failed without a trace in the counts of the run.

    >>> failed_again(6)
    '6 inputs failed again; what there was of them before stands'
    """
    them = "it" if inputs == 1 else "them"
    return f"{number_of(inputs, 'input')} failed again; what there was of {them} before stands"


_UNIT = 1000


def size(count: int) -> str:
    """Return a size as people write it.

    >>> size(1), size(640), size(2345), size(12_345_678)
    ('1 byte', '640 bytes', '2.3 KB', '12.3 MB')
    """
    if count < _UNIT:
        return number_of(count, "byte")
    return f"{count / _UNIT:,.1f} KB" if count < _UNIT**2 else f"{count / _UNIT**2:,.1f} MB"


_CENTS = 2
_MOST_DECIMALS = 9


def money(cost: float) -> str:
    """Return a cost as people write it: cents, and where a cent is too much, two digits that say something.

    >>> money(1234.5), money(1.9999999999998905), money(0.66), money(0.000021), money(0), money(1e-12)
    ('$1,234.50', '$2.00', '$0.66', '$0.000021', '$0.00', '<$0.000000001')
    """
    if 0 < cost < 10**-_MOST_DECIMALS:
        return f"<${10**-_MOST_DECIMALS:.{_MOST_DECIMALS}f}"
    if cost == 0 or cost >= 1:
        return f"${cost:,.{_CENTS}f}"
    decimals = min(_CENTS - 1 - math.floor(math.log10(cost)), _MOST_DECIMALS)
    whole, _, fraction = f"{cost:.{decimals}f}".rstrip("0").partition(".")
    return f"${whole}.{fraction:0<{_CENTS}}"
