"""Conversations in the data of records, as messages with roles: the forms that data to train on has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from starfish_storage.codec import readable_text

PartKind = Literal["text", "thinking", "call", "result", "other"]
"""What a part of a message is; ``other``: an image, a sound, or what is not known."""

_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "function": "tool"}
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})
_CALLS = frozenset({"tool_use", "function_call", "server_tool_use", "custom_tool_call"})
_RESULTS = frozenset({"tool_result", "function_call_output", "custom_tool_call_output"})
_MOST_MESSAGES = 200


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message.

    Attributes:
        kind: what it is.
        text: what is said or thought, the arguments of a call, or what it returned.
        name: of the tool that is called, or the kind of what is not shown.
    """

    kind: PartKind
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a conversation.

    Attributes:
        role: who says it, such as ``user``.
        parts: what is said.
    """

    role: str
    parts: tuple[Part, ...]


def conversation_of(value: object) -> list[ChatMessage] | None:
    """Return a value as a conversation; None if it is none: a list in which every item has a role and says something.

    >>> conversation_of([{"role": "user", "content": "hi"}])
    [ChatMessage(role='user', parts=(Part(kind='text', text='hi', name=''),))]
    >>> conversation_of([{"from": "gpt", "value": "yes"}])[0].role
    'assistant'
    >>> conversation_of(["hi"]), conversation_of([])
    (None, None)
    """
    if not isinstance(value, list) or not 0 < len(cast("list[object]", value)) <= _MOST_MESSAGES:
        return None
    messages: list[ChatMessage] = []
    for one in cast("list[object]", value):
        message = _message(cast("dict[str, Any]", one)) if isinstance(one, dict) else None
        if message is None:
            return None
        messages.append(message)
    return messages


def _message(fields: Mapping[str, Any]) -> ChatMessage | None:
    role, said = fields.get("role"), fields.get("content")
    if role is None and isinstance(fields.get("from"), str) and "value" in fields:  # as ShareGPT has it
        role, said = fields["from"], fields["value"]
    kind = fields.get("type")
    if role is None and kind in _CALLS | _RESULTS:  # as OpenAI's Responses have it
        return ChatMessage("tool" if kind in _RESULTS else "assistant", (_part(fields),))
    if not isinstance(role, str) or not (said is not None or fields.get("tool_calls") or fields.get("refusal")):
        return None
    named = _ROLES.get(role, role)
    parts = [Part("thinking", fields[name]) for name in _THOUGHTS if isinstance(fields.get(name), str)]
    parts += _parts(said)
    if isinstance(fields.get("refusal"), str):
        parts.append(Part("text", fields["refusal"]))
    if named == "tool":
        parts = [Part("result", part.text, str(fields.get("name") or "")) for part in parts]
    return ChatMessage(named, (*parts, *_calls(fields)))


_THOUGHTS = ("reasoning_content", "reasoning")


def _calls(fields: Mapping[str, Any]) -> list[Part]:
    calls = fields.get("tool_calls") or ([fields["function_call"]] if fields.get("function_call") else [])
    if not isinstance(calls, list):
        return [Part("other", _text(calls), "tool_calls")]
    parts: list[Part] = []
    for one in cast("list[object]", calls):
        call = cast("dict[str, Any]", one) if isinstance(one, dict) else {"arguments": one}
        function = call.get("function", call)
        parts.append(_part({"type": "function_call"} | cast("dict[str, Any]", function or {})))
    return parts


def _parts(said: object) -> list[Part]:
    if said is None or said == "":
        return []
    if isinstance(said, list):
        return [_part(one) for one in cast("list[object]", said)]
    return [_part(said)]


def _part(part: object) -> Part:
    if not isinstance(part, dict):
        return Part("text", _text(part))
    fields = cast("dict[str, Any]", part)
    kind = str(fields.get("type"))
    if kind in _TEXTS:
        return Part("text", _text(fields.get("text", fields.get("refusal", ""))))
    if kind in ("thinking", "reasoning"):
        return Part("thinking", _joined(fields.get("thinking", fields.get("summary", ""))))
    if kind in _CALLS:
        return Part("call", _text(fields.get("input", fields.get("arguments", ""))), str(fields.get("name") or ""))
    if kind in _RESULTS:
        return Part("result", _joined(fields.get("content", fields.get("output", ""))))
    return Part("other", _text(fields), kind if "type" in fields else "")


def _joined(said: object) -> str:
    return "\n".join(part.text for part in _parts(said))


def _text(value: object) -> str:
    return value if isinstance(value, str) else readable_text(value, 2)
