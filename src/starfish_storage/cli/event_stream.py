"""The answer that a recorded stream of events adds up to, in the form that it has without a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from starfish_storage.codec import decode


def answer_of_stream(text: str) -> dict[str, Any] | None:
    r"""Return what the events of a model's answer add up to; None if they are none that are known here.

    >>> answer_of_stream('data: {"choices":[{"index":0,"delta":{"content":"Par"}}]}\n\n'
    ...     'data: {"choices":[{"index":0,"delta":{"content":"is"}}]}\n\ndata: [DONE]\n\n')
    {'choices': [{'message': {'role': 'assistant', 'content': 'Paris'}}]}
    """
    choices: dict[int, dict[str, Any]] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in _events(text):
        kind = event.get("type")
        if isinstance(event.get("choices"), list):
            _add_choices(choices, event["choices"])
        elif kind in ("content_block_start", "content_block_delta"):
            _add_block(blocks, event)
        elif kind in ("response.completed", "response.incomplete") and isinstance(event.get("response"), dict):
            return cast("dict[str, Any]", event["response"])
    if choices:
        return {"choices": [{"message": choices[index]} for index in sorted(choices)]}
    if blocks:
        return {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}
    return None


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("data:"):
            try:
                event = decode(line[5:].strip().encode("utf-8", "surrogatepass"))
            except (ValueError, RecursionError):
                continue  # such as [DONE]
            if isinstance(event, dict):
                yield cast("dict[str, Any]", event)


def _add_choices(messages: dict[int, dict[str, Any]], choices: list[Any]) -> None:
    for choice in choices:
        delta = choice.get("delta") if isinstance(choice, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if not isinstance(delta, dict):
            continue
        message = messages.setdefault(_index(cast("dict[str, Any]", choice)), {"role": "assistant"})
        for name, value in cast("dict[str, Any]", delta).items():
            if name == "tool_calls" and isinstance(value, list):
                _add_tool_calls(message.setdefault("tool_calls", []), cast("list[Any]", value))
            elif isinstance(value, str) and name != "role":
                message[name] = f"{message.get(name) or ''}{value}"


def _add_tool_calls(calls: list[dict[str, Any]], deltas: list[Any]) -> None:
    for delta in deltas:
        if not isinstance(delta, dict):
            continue
        fields = cast("dict[str, Any]", delta)
        index = _index(fields)
        if index == len(calls):
            calls.append({"name": "", "arguments": ""})
        function = fields.get("function")
        if index < len(calls) and isinstance(function, dict):
            for name in ("name", "arguments"):
                calls[index][name] += str(cast("dict[str, Any]", function).get(name) or "")


def _add_block(blocks: dict[int, dict[str, Any]], event: dict[str, Any]) -> None:
    index = _index(event)
    if event["type"] == "content_block_start":
        start = event.get("content_block")
        blocks[index] = dict(cast("dict[str, Any]", start)) if isinstance(start, dict) else {}
        if blocks[index].get("input") == {}:
            blocks[index]["input"] = ""  # it comes in pieces of JSON text
        return
    delta = event.get("delta")
    if isinstance(delta, dict):
        block = blocks.setdefault(index, {"type": "text"})
        for name, value in cast("dict[str, Any]", delta).items():
            if isinstance(value, str) and name in ("text", "thinking", "partial_json"):
                kept = "input" if name == "partial_json" else name
                block[kept] = f"{block.get(kept) or ''}{value}"


def _index(fields: dict[str, Any]) -> int:
    index = fields.get("index")
    return index if isinstance(index, int) else 0
