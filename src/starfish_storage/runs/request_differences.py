"""What differs between two recorded requests, in lines for people that quote no text of a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from starfish_storage.codec import json_line, readable_text
from starfish_storage.runs.exchanges import CallRequest
from starfish_storage.wording import number_of

_SHOWN = frozenset(
    {"effort", "mode", "model", "reasoning_effort", "role", "service_tier", "tool_choice", "type", "verbosity"}
)
"""Members whose text is shown: names that a provider has given. Other text may be a prompt, or hold a secret."""

_LONGEST_VALUE = 60
_MOST_LINES = 20
_ABSENT = object()


def request_differences(old: CallRequest, new: CallRequest) -> list[str]:
    """Return what differs between two requests, one line each; none if they are equal.

    Lists are compared from both ends, so that a message that was added is one line.

    Args:
        old: such as a request whose answer is stored.
        new: such as one that was sent all the same.

    >>> old = CallRequest("POST", "https://a/v1", {"max_tokens": 256, "messages": [{"role": "user", "content": "Hi"}]})
    >>> new = CallRequest("POST", "https://a/v1", {"max_tokens": 512, "messages": [{"role": "user", "content": "Ho"}]})
    >>> request_differences(old, new)
    ['max_tokens 256 -> 512', 'messages[0].content changed']
    """
    found: list[str] = []
    if old.method != new.method:
        found.append(f"method {old.method} -> {new.method}")
    if old.url != new.url:
        found.append(f"url {old.url} -> {new.url}" if len(old.url + new.url) <= 2 * _LONGEST_VALUE else "url changed")
    lines = _differences(old.body, new.body)
    for line in lines:
        if len(found) == _MOST_LINES:
            more = 1 + sum(1 for _ in lines)
            return [*found, f"{more:,} more"]
        found.append(line)
    return found


def _differences(old: object, new: object) -> Iterator[str]:
    pending: list[tuple[Any, Any, str]] = [(old, new, "")]
    while pending:
        before, after, place = pending.pop()
        if _is_same(before, after):
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            first, second = cast("dict[str, object]", before), cast("dict[str, object]", after)
            if list(first) != list(second) and first.keys() == second.keys():
                yield f"{place or 'body'} in another order"  # of a schema: models write their answers in it
            pending += reversed(_members(first, second, place))
        elif isinstance(before, list) and isinstance(after, list):
            items, line = _items(cast("list[object]", before), cast("list[object]", after), place)
            pending += reversed(items)
            if line is not None:
                yield line
        else:
            yield _line(cast("object", before), cast("object", after), place)


def _members(old: dict[str, object], new: dict[str, object], place: str) -> list[tuple[object, object, str]]:
    prefix = f"{place}." if place else ""
    names = dict.fromkeys([*old, *new])
    return [(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{prefix}{name}") for name in names]


def _items(old: list[object], new: list[object], place: str) -> tuple[list[tuple[object, object, str]], str | None]:
    """Return the pairs of items to compare, or a line about items that have no counterpart."""
    if len(old) == len(new):
        return [(old[at], new[at], f"{place}[{at}]") for at in range(len(old))], None
    least = min(len(old), len(new))
    begin = next((at for at in range(least) if not _is_same(old[at], new[at])), least)
    end = next((at for at in range(least - begin) if not _is_same(old[-1 - at], new[-1 - at])), least - begin)
    gone, come = len(old) - begin - end, len(new) - begin - end
    if not gone:
        return [], f"{_range(place, begin, come)} added"
    if not come:
        return [], f"{_range(place, begin, gone)} removed"
    return [], f"{_range(place, begin, gone)} changed, now {number_of(come, 'item')}"


def _range(place: str, begin: int, count: int) -> str:
    return f"{place}[{begin}]" if count == 1 else f"{place}[{begin}..{begin + count - 1}]"


def _line(before: object, after: object, place: str) -> str:
    name = place or "body"
    was, now = _shown(before, place), _shown(after, place)
    if before is _ABSENT:
        return f"{name} added" + (f" {now}" if now else "")
    if after is _ABSENT:
        return f"{name} removed"
    return f"{name} {was} -> {now}" if was and now else f"{name} changed"


def _shown(value: object, place: str) -> str:
    """Return a value as a line shows it; nothing if it may be a prompt, or is long."""
    is_named = isinstance(value, str) and place.rpartition(".")[2] in _SHOWN
    is_plain = value is None or isinstance(value, bool | int | float)
    text = readable_text(value) if is_named or is_plain else ""
    return text if len(text) <= _LONGEST_VALUE else ""


def _is_same(old: object, new: object) -> bool:
    """Return whether two values are the same JSON: to a provider, 1 and 1.0 and true are not."""
    if old is _ABSENT or new is _ABSENT:
        return old is new
    return old == new and (isinstance(old, str) or json_line(old) == json_line(new))
