"""All shapes in which conversations are trained on, and which one rows have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from starfish_storage.conversations.faults import Fault
from starfish_storage.conversations.llama_factory_shapes import Alpaca, ShareGPT
from starfish_storage.conversations.openai_shapes import OpenAIChat, OpenAIPreference
from starfish_storage.conversations.shape import ConversationShape, PairShape, RowShape
from starfish_storage.conversations.trl_shapes import Preferences, TRLConversation, TRLPromptCompletion
from starfish_storage.errors import InvalidInputError, shorten

__all__ = [
    "ConversationShape",
    "Fault",
    "PairShape",
    "RowShape",
    "conversation_shapes",
    "count_unlike",
    "most_like",
    "recognise",
    "shape_named",
]

_SHAPES: tuple[RowShape, ...] = (
    OpenAIChat(),
    OpenAIPreference(),
    TRLConversation(),
    TRLPromptCompletion(),
    Preferences(),
    ShareGPT(),
    Alpaca(),
)
_BY_NAME = {shape.name: shape for shape in _SHAPES}
# A row may be like several: the first of these is meant. OpenAI's chat is what is left of messages with roles.
_RECOGNISED = ("openai-dpo", "sharegpt", "alpaca", "trl", "openai", "trl-prompt-completion", "preferences")
_MESSAGES = {"trl", "openai"}
# What is meant by the keys of a row whose values are like no shape.
_TELLING_KEYS = {
    "preferred_output": "openai-dpo",
    "conversations": "sharegpt",
    "instruction": "alpaca",
    "messages": "openai",
    "completion": "trl-prompt-completion",
    "rejected": "preferences",
}


def conversation_shapes() -> tuple[RowShape, ...]:
    """Return all shapes, in the order in which they are documented."""
    return _SHAPES


def shape_named(name: str) -> RowShape:
    """Return the shape of a name.

    Raises:
        InvalidInputError: no shape has it.
    """
    if name not in _BY_NAME:
        raise InvalidInputError(f"{shorten(name)} is no shape of conversations: use one of {', '.join(_BY_NAME)}.")
    return _BY_NAME[name]


def recognise(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the name of the shape that all rows are meant to have; None if there is none, or no row.

    By keys and their types alone: rows that have faults are recognised too. Keys that are null count as absent, since
    columns hold one value for each row.

    >>> recognise([{"messages": [{"role": "user", "content": "hi"}]}])
    'openai'
    >>> recognise([{"instruction": "Say hi.", "input": "", "output": "hi"}, {"question": "?"}]) is None
    True
    """
    names: set[str] = set()
    for row in rows:
        name = _meant(row)
        if name is None:
            return None
        names.add(name)
        if len(names) > 1 and names != _MESSAGES:
            return None
    if names == _MESSAGES:
        return "trl"  # one sign of it is enough: without calls and thinking, both are the same
    return names.pop() if names else None


def most_like(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the name of the shape that most rows are meant to have, by their keys if by nothing else.

    None if no row is like any shape. Of shapes that equally many rows have, it is that of the first of these rows.

    >>> most_like([{"messages": None}, {"messages": "hi"}, {"conversations": []}, {"question": "?"}])
    'openai'
    """
    names = [name for row in rows if (name := _meant(row) or _meant_by_keys(row)) is not None]
    if "trl" in names:  # as `recognise` has it: one sign is enough
        names = ["trl" if name in _MESSAGES else name for name in names]
    return Counter(names).most_common(1)[0][0] if names else None


def count_unlike(name: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Return how many rows do not look like a shape, by keys and their types.

    >>> count_unlike("openai", [{"messages": [{"role": "user"}]}, {"messages": "hi"}])
    1
    """
    meant = _MESSAGES if name in _MESSAGES else {name}
    return sum(_meant(row) not in meant for row in rows)


def _meant(row: Mapping[str, Any]) -> str | None:
    present = {key: value for key, value in row.items() if value is not None}
    return next((name for name in _RECOGNISED if _BY_NAME[name].is_like(present)), None)


def _meant_by_keys(row: Mapping[str, Any]) -> str | None:
    return next((name for key, name in _TELLING_KEYS.items() if key in row), None)
