"""What a row of a shape asks a model: rows that ask the same must not be trained on and tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_ANSWERS = ("assistant", "gpt", "model", "bot", "chatgpt")


def prompt_of(row: Mapping[str, Any]) -> object:
    """Return what a row asks, as JSON has it; None if the row has none of the shapes of `conversation_shapes`.

    Of a conversation, that is what stands before the first answer: later questions follow from what was said.

    >>> prompt_of({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]})
    [{'role': 'user', 'content': 'Hi'}]
    >>> prompt_of({"prompt": "2+2?", "chosen": "4", "rejected": "5"}), prompt_of({"question": "2+2?"})
    ('2+2?', None)
    """
    for key in ("messages", "conversations"):
        if key in row:
            return _before_answer(row[key])
    if isinstance(row.get("input"), dict) and "preferred_output" in row:  # OpenAI's pairs
        return cast("dict[str, object]", row["input"]).get("messages")
    if isinstance(row.get("instruction"), str) and "output" in row:  # Alpaca
        return [row.get("system"), row["instruction"], row.get("input")]
    if "prompt" in row and row.keys() & {"completion", "chosen", "rejected"}:
        return row["prompt"]
    if "chosen" in row and "rejected" in row:  # pairs whose prompt is the beginning of both
        return _before_answer(row["chosen"])
    return None


def _before_answer(messages: object) -> object:
    asked: list[object] = []
    for message in cast("list[object]", messages) if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            return None
        spoken = cast("dict[str, object]", message)
        if spoken.get("role", spoken.get("from")) in _ANSWERS:
            break
        asked.append(spoken)
    return asked or None
