"""Conversations as messages with roles: the forms in which clients send and get them, and data to train on has them.

Of OpenAI (chat, Responses), of Anthropic, and of ShareGPT. Whatever a message is, it is taken apart: pages and commands
show the parts as they are, and `reading` makes canonical messages of them, or refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from starfish_storage.codec import decode, readable_text

PartKind = Literal["text", "thinking", "call", "result", "other"]
"""What a part of a message is; ``other``: an image, a sound, or what is not known."""

_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "function": "tool",
    "observation": "tool",
}
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})
_THINKING = frozenset({"thinking", "reasoning"})
_CALLS = frozenset({"tool_use", "function_call", "server_tool_use", "custom_tool_call"})
_RESULTS = frozenset({"tool_result", "function_call_output", "custom_tool_call_output"})
ITEMS = _THINKING | _CALLS | _RESULTS
"""Types of what stands between messages, or in them."""

_SAYING = ("tool_calls", "function_call", "refusal")
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Keys of a message under which stands, as text, what was thought."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message.

    Attributes:
        kind: what it is.
        content: what is said or thought; the arguments of a call, as a text or a JSON value; what it returned, as a
            text; what is not known, as it is.
        name: of the tool that is called or has answered, or the type of what is not known.
        id: of the call, or of the call that is answered; empty if it is not told.
        place: where it stands in the message, such as ``tool_calls[0]``; what stands with a result has the same.
    """

    kind: PartKind
    content: Any
    name: str = ""
    id: str = field(default="", repr=False, compare=False)
    place: str = field(default="", repr=False, compare=False)

    @property
    def text(self) -> str:
        """The content as a text: a JSON value on several lines."""
        return _text(self.content)


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
    [ChatMessage(role='user', parts=(Part(kind='text', content='hi', name=''),))]
    >>> conversation_of([{"from": "gpt", "value": "yes"}])[0].role
    'assistant'
    >>> conversation_of(["hi"]), conversation_of([])
    (None, None)
    """
    if not isinstance(value, list) or not value:
        return None
    items = cast("list[object]", value)
    if not all(isinstance(one, dict) and is_message(cast("dict[str, Any]", one)) for one in items):
        return None
    return [message_of(one) for one in cast("list[dict[str, Any]]", items)]


def last_said(value: object) -> str | None:
    """Return the last text of a conversation; None if the value is none, or nothing is said in it.

    >>> last_said([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
    'ho'
    """
    for message in reversed(conversation_of(value) or []):
        for part in message.parts:
            if part.kind == "text" and part.text.strip():
                return part.text
    return None


def message_of(fields: Mapping[str, Any]) -> ChatMessage:
    """Return an object as a message, whatever it is: what has no known form is a part of the kind ``other``.

    >>> message_of({"type": "function_call", "name": "look_up", "arguments": "{}"})
    ChatMessage(role='assistant', parts=(Part(kind='call', content='{}', name='look_up'),))
    """
    kind, role = type_of(fields), _role(fields)
    is_unknown = kind not in ("", "message") and "content" not in fields and not _is_of_sharegpt(fields)
    if kind in ITEMS or is_unknown:  # as Responses have them between messages
        return ChatMessage(role, tuple(_parts(fields)))
    if _is_of_sharegpt(fields):
        parts = _called(fields["value"]) if fields["from"] == "function_call" else parts_of(fields["value"], "value")
    else:
        parts = [Part("thinking", fields[name]) for name in THOUGHTS if isinstance(fields.get(name), str)]
        parts += parts_of(fields.get("content"))
        if isinstance(fields.get("refusal"), str):
            parts.append(Part("text", fields["refusal"], place="refusal"))
    if role == "tool":
        name, answered = str(fields.get("name") or ""), str(fields.get("tool_call_id") or "")
        parts = [
            Part("result", part.content, name, answered, part.place) if part.kind == "text" else part for part in parts
        ]
    return ChatMessage(role, (*parts, *_calls(fields)))


def parts_of(said: object, place: str = "content") -> list[Part]:
    """Return what the content of a message says: a text, or a list of texts and parts.

    Args:
        said: the content.
        place: where it stands in the message.
    """
    if said is None or said == "":
        return []
    if isinstance(said, list):
        items = enumerate(cast("list[object]", said))
        return [part for index, one in items for part in _parts(one, f"{place}[{index}]")]
    return _parts(said, place)


def is_message(fields: Mapping[str, Any]) -> bool:
    """Return whether an object is a message: it has a role and says something, or stands between messages."""
    if _is_of_sharegpt(fields):
        return True
    if fields.get("role") is None and type_of(fields) in ITEMS:
        return True
    says_something = fields.get("content") is not None or any(
        map(fields.get, ("tool_calls", "function_call", "refusal"))
    )
    return isinstance(fields.get("role"), str) and says_something


def _is_of_sharegpt(fields: Mapping[str, Any]) -> bool:
    return fields.get("role") is None and isinstance(fields.get("from"), str) and "value" in fields


def _role(fields: Mapping[str, Any]) -> str:
    kind = type_of(fields)
    if kind in _RESULTS:
        return "tool"
    usual = "assistant" if kind in ITEMS else kind or "?"
    role = str(fields["from"] if _is_of_sharegpt(fields) else fields.get("role") or usual)
    return _ROLES.get(role, role)


def type_of(fields: Mapping[str, Any]) -> str:
    """Return what an object says it is; empty if that is no text."""
    kind = fields.get("type")
    return kind if isinstance(kind, str) else ""


def _calls(fields: Mapping[str, Any]) -> list[Part]:
    if not fields.get("tool_calls") and fields.get("function_call"):
        return [_call(fields["function_call"], "function_call")]
    calls: object = fields.get("tool_calls") or []
    if not isinstance(calls, list):
        return [Part("other", calls, "tool_calls", place="tool_calls")]
    return [_call(one, f"tool_calls[{index}]") for index, one in enumerate(cast("list[object]", calls))]


def _call(one: object, place: str) -> Part:
    call = cast("dict[str, Any]", one) if isinstance(one, dict) else {"arguments": one}
    function = call.get("function", call)
    if isinstance(function, str) and "arguments" in call:
        function = call | {"name": function}  # as Inspect has it: name and arguments side by side
    called = cast("dict[str, Any]", function) if isinstance(function, dict) else {"arguments": function}
    return _part({"id": call.get("id")} | called | {"type": "function_call"}, place)


def _called(value: object) -> list[Part]:
    """Return the calls that ShareGPT has as JSON text: one, or a list of them."""
    try:
        said: object = decode(value.encode()) if isinstance(value, str) else value
    except ValueError:
        return parts_of(value, "value")
    calls = cast("list[object]", said) if isinstance(said, list) else [said]
    return [_call(one, "value") for one in calls]


def _parts(part: object, place: str = "") -> list[Part]:
    """Return a part; what a tool has returned beside text, such as an image, stands behind it as parts of its own."""
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", part) if isinstance(part, Mapping) else {}
    if type_of(fields) not in _RESULTS:
        return [_part(cast("object", part), place)]
    returned = parts_of(fields.get("content", fields.get("output", "")))
    others = [Part(one.kind, one.content, one.name, place=place) for one in returned if one.kind == "other"]
    text = "\n".join(one.text for one in returned if one.kind != "other")
    answered = fields.get("tool_use_id") or fields.get("call_id") or ""
    return [Part("result", text, id=str(answered), place=place), *others]


def _part(part: object, place: str) -> Part:
    if not isinstance(part, Mapping):
        return Part("text", _text(part), place=place)
    fields = cast("Mapping[str, Any]", part)
    kind = type_of(fields)
    if kind in _TEXTS:
        return Part("text", _text(fields.get("text", fields.get("refusal", ""))), place=place)
    if kind in _THINKING:
        said = (fields.get(name) for name in ("thinking", "reasoning", "summary", "content"))
        thought = _joined(next((one for one in said if one), None))
        return Part("thinking", thought, place=place)
    if kind in _CALLS:
        given, called = fields.get("input", fields.get("arguments", "")), fields.get("call_id") or fields.get("id")
        return Part("call", given, str(fields.get("name") or ""), str(called or ""), place)
    return Part("other", dict(fields), kind, place=place)


def _joined(said: object) -> str:
    return "\n".join(part.text for part in parts_of(said))


def _text(value: object) -> str:
    return value if isinstance(value, str) else readable_text(value, 2)
