"""Reads what a call of a model used, from numbers of any kind and from what the SDKs of providers report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from starfish_storage.errors import shorten
from starfish_storage.runs import MOST_USED, Usage
from starfish_storage.surrogates import escaped
from starfish_storage.value_forms import RAISED, form_of

_MODEL, _SENT, _RECEIVED, _COST = "model", "input_tokens", "output_tokens", "cost"
_NAMES = {
    **dict.fromkeys(
        ("prompt_tokens", "prompt_token_count", "promptTokenCount", "inputTokens", "inputTokenCount"), _SENT
    ),
    **dict.fromkeys(
        (
            *("completion_tokens", "candidates_token_count", "candidatesTokenCount"),
            *("outputTokens", "outputTokenCount"),
        ),
        _RECEIVED,
    ),
    **dict.fromkeys(("total_cost", "response_cost"), _COST),
    **dict.fromkeys(
        (
            *("cache_read_input_tokens", "cached_content_token_count", "cachedContentTokenCount"),
            *("cacheReadInputTokens", "cacheReadInputTokenCount", "prompt_cache_hit_tokens"),
        ),
        "cached_tokens",
    ),
    **dict.fromkeys(
        ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"), "cache_write_tokens"
    ),
    **dict.fromkeys(("thoughts_token_count", "thoughtsTokenCount"), "reasoning_tokens"),
}
"""What OpenAI, Anthropic, Google, Amazon, DeepSeek and those that follow them call the same thing."""

_TOTALS = frozenset({"total_tokens", "total_token_count", "totalTokenCount", "totalTokens"})  # the sum of two others
_SIDES = {"prompt": "input", "input": "input", "completion": "output", "output": "output"}
_OF_ONE_SIDE = frozenset({"audio_tokens", "text_tokens", "image_tokens", "video_tokens"})
_HOLDERS = ("usage", "usage_metadata", "usageMetadata")
_OF_A_RESPONSE = (*_HOLDERS, "id", "object")
_MOST_COUNTS, _LONGEST_NAME, _DEEPEST = 50, 100, 5


@dataclass(slots=True)
class Reported:
    """What was reported.

    Attributes:
        found: the numbers by name, and the model.
        complaint: what is wrong with the first that cannot be used; None if all can.
    """

    found: dict[str, Any] = field(default_factory=dict[str, Any])
    complaint: str | None = None

    def usage(self) -> Usage:
        """Return it as the store keeps it."""
        found = dict(self.found)
        model, sent, received = found.pop(_MODEL, None), found.pop(_SENT, 0), found.pop(_RECEIVED, 0)
        return Usage(model, sent, received, found.pop(_COST, 0.0), found)

    def add(self, name: str, value: object) -> None:
        """Take over a number, or the model; None and what cannot be used count as not reported."""
        if value is None:
            return
        if name == _MODEL:
            if isinstance(value, str):
                self.found[name] = escaped(value)
            else:
                self._complain(f"model must be text, not {shorten(value)}")
            return
        number, is_whole = _number(value), name in (_SENT, _RECEIVED)
        least = 0 if is_whole or name == _COST else -MOST_USED
        if number is None or not least <= number <= MOST_USED or (is_whole and number != int(number)):
            kind = "an integer of 0 or more" if is_whole else "a number" if least else "a number of 0 or more"
            is_plain = type(value) is float or (type(value) is int and abs(value) <= MOST_USED)
            self._complain(f"{name} must be {kind}, not {value if is_plain else shorten(value)}")
        elif name == _COST:
            self.found[name] = float(number)
        elif number or is_whole:
            self.found[name] = int(number) if number == int(number) else float(number)

    def _complain(self, what: str) -> None:
        self.complaint = self.complaint or what


def read_usage(reported: object, named: Mapping[str, object]) -> Reported:
    """Return what was reported about one call of a model; raises nothing.

    Args:
        reported: the usage object of an SDK, the response that has it, or a dict of its fields; or None.
        named: the numbers and the model that were named, which win.

    >>> read_usage({"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}, {"cost": Decimal(1)}).usage()
    Usage(model=None, input_tokens=9, output_tokens=7, cost=1.0, counts={})
    """
    found = Reported()
    if reported is not None:
        fields = _fields(reported)
        if fields is None:
            found.complaint = f"an object {shorten(reported)} reports no usage"
        else:
            _read_response(fields, found)
    for name, value in named.items():
        if name in (_MODEL, _SENT, _RECEIVED, _COST) or _is_room(found, name):
            found.add(name, value)
    return found


def _read_response(fields: Mapping[Any, object], found: Reported) -> None:
    """Take over the usage of a response, or usage as it is.

    Of a response without usage only the model: its other numbers, such as the time, count nothing.
    """
    if any(name in fields for name in _OF_A_RESPONSE):
        model = fields.get(_MODEL) or fields.get("model_version")
        found.add(_MODEL, model if isinstance(model, str) else None)
        holder = next((name for name in _HOLDERS if fields.get(name) is not None), None)
        fields = {} if holder is None else _fields(fields[holder]) or {}
    for name, value in _numbers(fields, None, 1):
        if name == _MODEL or name in (_SENT, _RECEIVED, _COST) or _is_room(found, name):
            found.add(name, value)


def _numbers(fields: Mapping[Any, object], side: str | None, depth: int) -> Iterator[tuple[str, object]]:
    """Yield the numbers of a usage object under the names by which they are kept, and its model."""
    for key, value in fields.items():
        if not isinstance(key, str) or key in _TOTALS:
            continue
        name = _NAMES.get(key, key)
        if name == _MODEL:
            if isinstance(value, str):
                yield name, value
        elif side is not None and name in _OF_ONE_SIDE:
            yield f"{side}_{name}", value
        elif _number(value) is not None:
            yield name, value
        elif value is not None and not isinstance(value, str | bool | list | tuple) and depth < _DEEPEST:
            inner = _fields(value)
            if inner is not None:
                yield from _numbers(inner, _SIDES.get(key.partition("_")[0], side), depth + 1)


def _is_room(found: Reported, name: str) -> bool:
    return len(name) <= _LONGEST_NAME and (name in found.found or len(found.found) < _MOST_COUNTS)


def _fields(value: object) -> Mapping[Any, object] | None:
    """Return the fields of an object, without converting what they hold; None if it has none."""
    if isinstance(value, Mapping):
        return cast("Mapping[Any, object]", value)
    try:
        form = form_of(value)
        found = None if form is None else form.value
        if isinstance(found, Mapping):
            return cast("Mapping[Any, object]", found)
        held = vars(value)
    except RAISED:
        return None
    return {name: one for name, one in held.items() if not name.startswith("_")} or None


def _number(value: object) -> int | float | Fraction | None:
    """Return a number exactly, whatever its class; None if it is none, or not finite."""
    try:
        if not isinstance(value, bool | int | float | Decimal | Fraction) and not isinstance(value, str):
            form = form_of(value)  # a scalar of numpy
            value = None if form is None else form.value
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction):
            return None
        if isinstance(value, Decimal):
            return Fraction(value) if value.is_finite() else None
        return value if isinstance(value, int | Fraction) or math.isfinite(value) else None
    except RAISED:
        return None
