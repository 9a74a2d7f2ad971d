"""How values are written on pages: times, numbers, and text without what would hide or turn it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import urlencode

from starfish_storage.codec import readable_text
from starfish_storage.conversations.parts import last_said
from starfish_storage.wording import money, number_of, size

LONGEST_CELL = 160
"""Characters of a value in a table."""
LONGEST_TEXT = 20_000
"""Characters of a text on a page; all of it is in the raw JSON."""

_LONGEST_CONVERSATION = 200  # messages of one whose end stands in a table
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|[\ud800-\udfff]")
_MINUTE, _HOUR = 60, 3600


def plain(text: object) -> str:
    r"""Return text in which control characters, turns of direction and lone surrogates can be seen, as escapes.

    The template escapes markup; nothing here does.

    >>> plain("a\x1b[31m\u202e"), plain("two\nlines")
    ('a\\x1b[31m\\u202e', 'two\nlines')
    """
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], str(text))


def cut(text: str, most: int = LONGEST_TEXT) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= most else f"{text[:most]}…"


def cell(value: object, most: int = LONGEST_CELL) -> str:
    r"""Return a JSON value on one line, cut; of a conversation, the last that was said.

    >>> cell("one\ntwo"), cell(None), cell({"a": 1}), cell([{"a": 1}])
    ('one two', '', '{"a": 1}', '1 item')
    >>> cell([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
    'ho'
    """
    if value is None:
        return ""
    if isinstance(value, list) and len(cast("list[object]", value)) <= _LONGEST_CONVERSATION:
        value = last_said(cast("object", value)) or cast("object", value)
    if isinstance(value, str):
        return cut(" ".join(value[: 4 * most].split()), most)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return number_of(len(fields), "field") if _says_little(fields.values()) else cut(readable_text(fields), most)
    if isinstance(value, list):
        items = cast("list[object]", value)
        return number_of(len(items), "item") if _says_little(items) else cut(readable_text(items), most)
    return cut(readable_text(value), most)


def _says_little(members: Collection[object]) -> bool:
    """Return whether the beginning of a list or an object, written out, says less than how much is in it."""
    if len(members) > LONGEST_CELL:
        return True
    return any(isinstance(one, dict | list) or (isinstance(one, str) and len(one) > LONGEST_CELL) for one in members)


def moment(when: datetime | None) -> str:
    """Return a time as people read it, in UTC."""
    return "" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | timedelta | None) -> str:
    """Return how long something took.

    >>> duration(0.0123), duration(75), duration(7300)
    ('12 ms', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return ""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    return f"{seconds // _HOUR:,.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def link(path: str, parameters: Mapping[str, object] | None = None, /, **further: object) -> str:
    """Return the address of a page. Ids stand in the query: in a path, browsers resolve ``..`` and servers ``%2F``.

    >>> link("/records", run="a/..&b", status=["failed", "completed"], after=None)
    '/records?run=a%2F..%26b&status=failed&status=completed'
    """
    given = {**(parameters or {}), **further}
    pairs = {name: value for name, value in given.items() if value is not None and value not in ("", [], ())}
    return path + (f"?{urlencode(pairs, doseq=True, errors='surrogatepass')}" if pairs else "")


def file_name(id: str) -> str:
    """Return a file's name for an id, without what a path or a header would take for something else.

    >>> file_name('../r"1')
    '___r_1'
    """
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in id)


def number(count: float) -> str:
    """Return a number with its thousands apart."""
    return f"{count:,}"


def combine(parameters: Mapping[str, object], **further: object) -> dict[str, object]:
    """Return parameters with others in place of theirs."""
    return {**parameters, **further}


FILTERS: dict[str, Callable[..., object]] = {
    "plain": plain,
    "cut": cut,
    "cell": cell,
    "combine": combine,
    "moment": moment,
    "duration": duration,
    "money": money,
    "size": size,
    "number": number,
}
"""What templates call them."""
