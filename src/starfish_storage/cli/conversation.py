"""What was said in a recorded call, as turns: the forms that clients of OpenAI and Anthropic send and get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from starfish_storage.cli.event_stream import answer_of_stream
from starfish_storage.codec import readable_text


class Turn(NamedTuple):
    """A part of a conversation.

    Attributes:
        role: who says it, such as ``user``.
        text: what is said; calls of tools and their results as text.
    """

    role: str
    text: str


_ASKED = frozenset({"messages", "system", "instructions", "input"})
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})


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


def _turn(message: Mapping[str, Any]) -> Turn:
    kind = message.get("type")
    if kind in ("function_call_output", "custom_tool_call_output"):
        return Turn("tool", _text(message.get("output")))
    role = str(message.get("role", "assistant" if kind in ("function_call", "reasoning") else kind or "?"))
    return Turn(role, "\n".join(line for line in _lines(message) if line))


def _lines(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a message says: what it thinks, its text, and the tools that it calls."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str):
            yield f"(thinks) {message[name]}"
    if message.get("type") not in (None, "message"):
        yield _part(message)
        return
    for name in ("content", "refusal"):
        if message.get(name):
            yield _text(message[name])
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        for call in _objects(cast("list[object]", calls)):
            yield _part({"type": "function_call"} | cast("dict[str, Any]", call.get("function", call)))


def _text(said: object) -> str:
    """Return what is said in a content: text, or a list of parts."""
    if isinstance(said, list):
        return "\n".join(map(_part, cast("list[object]", said)))
    return _part(said)


def _part(part: object) -> str:  # noqa: PLR0911 (a table)
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return readable_text(part)
    fields = cast("dict[str, Any]", part)
    kind = str(fields.get("type"))
    if kind in _TEXT_PARTS:
        return str(fields.get("text", fields.get("refusal", "")))
    if kind == "thinking":
        return f"(thinks) {fields.get('thinking', '')}"
    if kind == "reasoning":
        summary = _text(fields.get("summary") or [])
        return f"(thinks) {summary}" if summary else ""
    if kind in ("tool_use", "function_call", "server_tool_use"):
        given = fields.get("input", fields.get("arguments", ""))
        return f"calls {fields.get('name')}({given if isinstance(given, str) else readable_text(given)})"
    if kind == "tool_result":
        return f"result: {_text(fields.get('content', ''))}"
    if kind.startswith(("image", "input_image", "input_audio", "audio", "document", "file", "input_file")):
        return f"[{kind}]"
    return readable_text(fields)


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
