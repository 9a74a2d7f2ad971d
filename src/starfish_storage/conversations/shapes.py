"""All shapes in which conversations are trained on, and which one rows have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starfish_storage.conversations.faults import Fault
from starfish_storage.conversations.llama_factory_shapes import Alpaca, ShareGPT
from starfish_storage.conversations.openai_shapes import OpenAIChat, OpenAIPreference
from starfish_storage.conversations.shape import ConversationShape, PairShape, RowShape
from starfish_storage.conversations.trl_shapes import Preferences, TRLConversation, TRLPromptCompletion
from starfish_storage.errors import InvalidInputError, shorten

__all__ = ["ConversationShape", "Fault", "PairShape", "RowShape", "conversation_shapes", "recognise", "shape_named"]

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
        present = {key: value for key, value in row.items() if value is not None}
        name = next((name for name in _RECOGNISED if _BY_NAME[name].is_like(present)), None)
        if name is None:
            return None
        names.add(name)
        if len(names) > 1 and names != _MESSAGES:
            return None
    if names == _MESSAGES:
        return "trl"  # one sign of it is enough: without calls and thinking, both are the same
    return names.pop() if names else None
