"""What was said in a recorded call, as turns: the forms that clients of OpenAI and Anthropic send and get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from starfish_storage.cli.event_stream import answer_of_stream
from starfish_storage.codec import readable_text
from starfish_storage.conversations.parts import Part, message_of, parts_of


class Turn(NamedTuple):
    """A part of a conversation.

    Attributes:
        role: who says it, such as ``user``.
        text: what is said; calls of tools and their results as text.
    """

    role: str
    text: str


_ASKED = frozenset({"messages", "system", "instructions", "input"})
_NOT_TEXT = ("image", "input_image", "input_audio", "audio", "document", "file", "input_file")


def turns_of_request(body: object) -> list[Turn] | None:
    """Return what a request says; None if its form is none of those known here."""
    if not isinstance(body, dict):
        return None
    fields = cast("dict[str, Any]", body)
    said = fields.get("messages", fields.get("input"))
    if not isinstance(said, list | str):
        return None
    turns = [Turn("system", _text(fields[name])) for name in ("system", "instructions") if fields.get(name)]
    if isinstance(said, str):
        return [*turns, Turn("user", said)]
    messages = cast("list[object]", said)
    if not all(isinstance(one, dict) for one in messages):
        return None  # such as texts to embed
    return [*turns, *(_turn(one) for one in cast("list[dict[str, Any]]", messages))]


def settings_of_request(body: Mapping[str, Any]) -> dict[str, str]:
    """Return what a request says besides the conversation, each on one line: numbers and names as they are.

    >>> settings_of_request({"model": "m", "messages": [], "tools": [{"function": {"name": "look"}}], "n": 1})
    {'model': 'm', 'tools': 'look', 'n': '1'}
    """
    return {name: _setting(value) for name, value in body.items() if name not in _ASKED}


def turns_of_response(content: object) -> list[Turn] | None:
    """Return what a response says; None if its form is none of those known here."""
    if isinstance(content, str):
        content = answer_of_stream(content)
    if not isinstance(content, dict):
        return None
    fields = cast("dict[str, Any]", content)
    choices, output, said = fields.get("choices"), fields.get("output"), fields.get("content")
    if isinstance(choices, list):
        found = [one.get("message") for one in _objects(cast("list[object]", choices))]
        return [_turn(cast("dict[str, Any]", one)) for one in found if isinstance(one, dict)] or None
    if isinstance(output, list):
        return [_turn({"role": "assistant"} | one) for one in _objects(cast("list[object]", output))] or None
    if isinstance(said, list) and "role" in fields:
        return [_turn(fields)]
    return None


def _turn(fields: Mapping[str, Any]) -> Turn:
    message = message_of(fields)
    lines = [_line(part, answers=message.role == "tool") for part in message.parts]
    return Turn(message.role, "\n".join(line for line in lines if line))


def _text(said: object) -> str:
    return "\n".join(_line(part, answers=False) for part in parts_of(said))


def _line(part: Part, *, answers: bool) -> str:
    """Return what a part says; of a role that only answers, without saying that it does."""
    if part.kind == "thinking":
        return f"(thinks) {part.text}" if part.text else ""
    if part.kind == "call":
        given = part.content
        return f"calls {part.name}({given if isinstance(given, str) else readable_text(given)})"
    if part.kind == "result" and not answers:
        return f"result: {part.text}"
    if part.kind == "other":
        return f"[{part.name}]" if part.name.startswith(_NOT_TEXT) else readable_text(part.content)
    return part.text


def _setting(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        items = cast("list[object]", value)
        names = [_name(one) for one in items]
        return ", ".join(name for name in names if name) if names and all(names) else readable_text(items)
    return readable_text(value)


def _name(item: object) -> str | None:
    """Return the name of a tool."""
    if not isinstance(item, dict):
        return None
    fields = cast("dict[str, Any]", item)
    function = fields.get("function")
    named = cast("dict[str, Any]", function) if isinstance(function, dict) else fields
    name = named.get("name")
    return name if isinstance(name, str) else None


def _objects(items: Iterable[object]) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", one) for one in items if isinstance(one, dict)]
