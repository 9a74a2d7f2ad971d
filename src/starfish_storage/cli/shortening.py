"""Long values as people look at them: the beginning, and how much more there is."""

from __future__ import annotations

from typing import Any, cast

from starfish_storage.codec import readable_text

LIMIT = 2048
"""Characters of a value that are shown."""

_MOST_ITEMS = 20
"""Items of a longer list that are shown: each takes a line."""


def shortened(value: Any) -> Any:
    """Return a JSON value in which each value over 2 KB is cut, with a text in its place that says how much is missing.

    >>> shortened({"answer": "short"})
    {'answer': 'short'}
    >>> shortened({"answer": "x" * 3000})["answer"][2040:]
    'xxxxxxxx… (952 more characters; --full shows all)'
    """
    if isinstance(value, str):
        return shortened_text(value)
    if isinstance(value, dict):
        return {name: shortened(child) for name, child in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return _shortened_list(cast("list[Any]", value))
    return value


def shortened_text(text: str) -> str:
    """Return the beginning of a text over 2 KB, and how much more there is."""
    if len(text) <= LIMIT:
        return text
    return f"{text[:LIMIT]}… ({len(text) - LIMIT:,} more characters; --full shows all)"


def shortened_traceback(text: str) -> str:
    """Return the end of a traceback over 2 KB, which says what happened, and how much there is before."""
    if len(text) <= LIMIT:
        return text
    end = text[-LIMIT:].partition("\n")[2]  # from the beginning of a line
    return f"… ({len(text) - len(end):,} characters before this; --full shows all)\n{end}"


def _shortened_list(items: list[Any]) -> list[Any]:
    kept = [shortened(item) for item in items]
    size = 0
    for number, item in enumerate(kept):
        size += len(readable_text(item))
        if size > LIMIT:
            shown = min(number + 1, _MOST_ITEMS)
            left = len(items) - shown
            return [*kept[:shown], f"… ({left:,} more items; --full shows all)"] if left else kept
    return kept
