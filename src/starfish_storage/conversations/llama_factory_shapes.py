"""ShareGPT and Alpaca, as LLaMA-Factory and most others read them.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from starfish_storage.codec import json_text
from starfish_storage.conversations.chat_rules import check_call, check_function, json_object
from starfish_storage.conversations.faults import Fault, Faults
from starfish_storage.conversations.json_texts import value_of_json
from starfish_storage.conversations.messages import Conversation, Message
from starfish_storage.conversations.shape import ConversationShape
from starfish_storage.errors import ConversationError

_ASKING, _ANSWERING = ("human", "observation"), ("gpt", "function_call")
_SPEAKERS = {"system": "system", "developer": "system", "user": "human", "assistant": "gpt", "tool": "observation"}


class ShareGPT(ConversationShape):
    """``{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}]}``.

    Calls are turns from ``function_call``, whose answers come from ``observation``; ``tools`` is JSON text. Rows of
    pairs, with ``chosen`` and ``rejected`` beside the conversation, pass the check too.
    """

    name = "sharegpt"
    title = "ShareGPT, as LLaMA-Factory reads it"
    has_thinking = True

    def written(self, conversation: Conversation) -> dict[str, Any]:
        """See `ConversationShape.written`."""
        turns: list[dict[str, str]] = []
        returned: list[str] = []
        for index, message in enumerate(conversation.messages):
            path = f"messages[{index}]"
            if message["role"] == "tool":
                returned.append(_text_of(message, path, self.name))
                continue
            _add_returned(turns, returned)
            returned = []
            turns.append(_turn(message, path))
        _add_returned(turns, returned)
        row: dict[str, Any] = {"conversations": turns}
        if conversation.tools:
            row["tools"] = json_text([tool["function"] for tool in conversation.tools])
        return row

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        if row.get("conversations") is None:
            found.add("conversations", "is null" if "conversations" in row else "is missing")
            return found.listed()
        if row.get("system") not in (None, ""):
            found.text_at(row["system"], "system")
        declared = _declared(found, row.get("tools"))
        turns = found.list_at(row["conversations"], "conversations", "turns")
        is_pair = "chosen" in row or "rejected" in row
        _check_turns(found, turns, declared, last=_ASKING if is_pair else _ANSWERING)
        if is_pair:
            _check_pair(found, row, declared)
        _check_images(found, row, turns)
        _check_tag(found, row)
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        turns = row.get("conversations")
        if not isinstance(turns, list) or not turns:
            return False
        return all(isinstance(one, dict) and "from" in one for one in cast("list[object]", turns))


class Alpaca(ConversationShape):
    """``{"instruction": ..., "input": ..., "output": ...}``, with ``system`` and ``history`` where there are such.

    Rows of pairs, with ``chosen`` and ``rejected`` in the place of ``output``, pass the check too.
    """

    name = "alpaca"
    title = "Alpaca, as LLaMA-Factory reads it"
    has_thinking = True

    def written(self, conversation: Conversation) -> dict[str, Any]:
        """See `ConversationShape.written`."""
        said: list[tuple[str, str]] = []
        for index, message in enumerate(conversation.messages):
            path, speaker = f"messages[{index}]", _SPEAKERS[message["role"]]
            if speaker == "observation" or message.get("tool_calls"):
                raise ConversationError(path, "calls a tool, which Alpaca has no place for: use sharegpt")
            said.append((speaker, _text_of(message, path, self.name)))
        system = said.pop(0)[1] if said and said[0][0] == "system" else None
        for index, (speaker, _) in enumerate(said):
            if speaker != ("human", "gpt")[index % 2]:
                place = index + (system is not None)
                raise ConversationError(f"messages[{place}]", "is out of turn: in Alpaca, an answer follows a question")
        if len(said) % 2 or not said:
            raise ConversationError("messages", "must end with an answer of the assistant")
        row: dict[str, Any] = {"instruction": said[-2][1], "input": "", "output": said[-1][1]}
        if system is not None:
            row["system"] = system
        if len(said) > 2:  # noqa: PLR2004 (a question and its answer)
            row["history"] = [[said[at][1], said[at + 1][1]] for at in range(0, len(said) - 2, 2)]
        return row

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `RowShape.check`."""
        found = Faults()
        answers = ("chosen", "rejected") if "chosen" in row or "rejected" in row else ("output",)
        for key in ("instruction", *answers):
            if key in row:
                found.text_at(row[key], key)
            else:
                found.add(key, "is missing")
        for key in ("input", "system"):
            if row.get(key) not in (None, "") or (key in row and row[key] is None):
                found.text_at(row[key], key)
        if "history" in row:
            _check_history(found, row["history"])
        if not found and len(answers) > 1 and row["chosen"] == row["rejected"]:
            found.add("rejected", "is the same as chosen")
        _check_tag(found, row)
        return found.listed()

    def is_like(self, row: Mapping[str, Any]) -> bool:
        """See `RowShape.is_like`."""
        if not isinstance(row.get("instruction"), str):
            return False
        answers = ("chosen", "rejected") if row.get("output") is None else ("output",)
        return all(isinstance(row.get(key), str) for key in answers)


def _text_of(message: Message, path: str, shape: str) -> str:
    content = message.get("content")
    if content is None:
        text = ""
    elif isinstance(content, str):
        text = content
    else:
        parts = cast("list[dict[str, Any]]", content)
        for index, part in enumerate(parts):
            if part["type"] != "text":
                reason = f"is an image, and {shape} holds only paths of images: use openai or trl"
                raise ConversationError(f"{path}.content[{index}]", reason)
        text = "\n".join(part["text"] for part in parts)
    thought = message.get("thinking")
    return text if thought is None else f"<think>\n{thought}\n</think>\n\n{text}"


def _turn(message: Message, path: str) -> dict[str, str]:
    if not message.get("tool_calls"):
        return {"from": _SPEAKERS[message["role"]], "value": _text_of(message, path, "sharegpt")}
    if message.get("content"):
        raise ConversationError(
            f"{path}.content", "stands beside a call, which sharegpt has no place for: use openai or trl"
        )
    calls: list[dict[str, Any]] = []
    for index, call in enumerate(message["tool_calls"]):
        function = call["function"]
        arguments = json_object(function["arguments"])
        if arguments is None:
            raise ConversationError(
                f"{path}.tool_calls[{index}].function.arguments", "must be the JSON text of an object"
            )
        calls.append({"name": function["name"], "arguments": arguments})
    value = json_text(calls[0] if len(calls) == 1 else calls)
    return {"from": "function_call", "value": f"{_text_of(message, path, 'sharegpt')}{value}"}


def _add_returned(turns: list[dict[str, str]], returned: Sequence[str]) -> None:
    """Add what tools have returned: one turn, since turns alternate, so a JSON list where several were called."""
    if returned:
        value = returned[0] if len(returned) == 1 else json_text([_value_of(one) for one in returned])
        turns.append({"from": "observation", "value": value})


def _value_of(returned: str) -> object:
    found = json_object(returned)
    return returned if found is None else found


def _declared(found: Faults, tools: object) -> set[str] | None:
    if tools is None or tools == "":
        return None
    listed: object = None
    if isinstance(tools, str):
        try:
            listed = value_of_json(tools)
        except (ValueError, RecursionError):
            pass
    if not isinstance(listed, list):
        found.add("tools", "must be the JSON text of a list of functions")
        return None
    names: set[str] = set()
    for index, tool in enumerate(cast("list[object]", listed)):
        function = found.object_at(tool, f"tools[{index}]")
        if function is not None and function.get("type") == "function":
            function = found.object_at(function.get("function"), f"tools[{index}].function")
        if function is None:
            return None
        names.add(check_function(found, function, f"tools[{index}]", strict_names=False))
    return names


def _check_turns(found: Faults, turns: Sequence[object], declared: set[str] | None, last: Sequence[str]) -> None:
    spoken, path = "", ""
    first = 0
    for index, turn in enumerate(turns):
        path = f"conversations[{index}]"
        speaker = _check_turn(found, turn, path, declared)
        if speaker is None:
            return
        if index == 0 and speaker == "system":
            first = 1
            continue
        allowed = (_ASKING, _ANSWERING)[(index - first) % 2]
        if speaker not in allowed:
            found.add(f"{path}.from", f"must be {' or '.join(allowed)} here: questions and answers take turns")
            return
        if speaker == "observation" and spoken != "function_call":
            found.add(path, "is an observation, but no function_call stands before it")
        elif speaker == "human" and spoken == "function_call":
            found.add(path, "is of a human, but the function_call before it needs its observation")
        spoken = speaker
    if spoken and spoken not in last:
        found.add(path, f"must be from {' or '.join(last)}, since it is the last turn")
    elif turns and not spoken:
        found.add("conversations", "holds nothing but the system's turn")


def _check_turn(found: Faults, turn: object, path: str, declared: set[str] | None) -> str | None:
    """Check one turn, and return who speaks; None if that cannot be told."""
    fields = found.object_at(turn, path)
    if fields is None:
        return None
    found.keys_of(fields, path, ("from", "value"), ("from", "value"), "a turn")
    speaker, value = fields.get("from"), fields.get("value")
    if speaker not in ("system", *_ASKING, *_ANSWERING):
        if speaker is not None:
            found.add(f"{path}.from", "must be one of system, human, gpt, function_call, observation")
        return None
    if value is None or (speaker == "observation" and value == ""):  # a tool may return nothing
        return speaker
    text = found.text_at(value, f"{path}.value")
    if text is not None and speaker == "function_call":
        _check_call(found, _without_thought(text), f"{path}.value", declared)
    return speaker


def _without_thought(text: str) -> str:
    before, _, rest = text.partition("<think>")
    _, is_closed, behind = rest.partition("</think>")
    return before + behind if is_closed else text


def _check_call(found: Faults, text: str, path: str, declared: set[str] | None) -> None:
    try:
        called: object = value_of_json(text.strip())
    except (ValueError, RecursionError):
        called = None
    calls = cast("list[object]", called) if isinstance(called, list) and called else [cast("object", called)]
    for call in calls:
        if not isinstance(call, dict):
            found.add(path, "must be the JSON text of a call, or of a list of calls, with name and arguments")
            return
        check_call(found, cast("dict[str, Any]", call), path, "object", declared)


def _check_pair(found: Faults, row: Mapping[str, Any], declared: set[str] | None) -> None:
    for key in ("chosen", "rejected"):
        if row.get(key) is None:
            found.add(key, "is missing")
            continue
        speaker = _check_turn(found, row[key], key, declared)
        if speaker is not None and speaker not in _ANSWERING:
            found.add(f"{key}.from", "must be gpt or function_call")
    if not found and row["chosen"] == row["rejected"]:
        found.add("rejected", "is the same as chosen")


def _check_images(found: Faults, row: Mapping[str, Any], turns: Sequence[object]) -> None:
    if isinstance(row.get("images"), list):
        values = [cast("dict[str, object]", turn).get("value") for turn in turns if isinstance(turn, dict)]
        shown = sum(value.count("<image>") for value in values if isinstance(value, str))
        given = len(cast("list[object]", row["images"]))
        if shown != given:
            found.add("images", f"holds {given}, but the turns show {shown} with <image>")


def _check_tag(found: Faults, row: Mapping[str, Any]) -> None:
    if "kto_tag" in row and not isinstance(row["kto_tag"], bool):
        found.add("kto_tag", "must be true or false")


def _check_history(found: Faults, history: object) -> None:
    if not isinstance(history, list):
        found.list_at(history, "history", "rounds")
        return
    for index, one in enumerate(cast("list[object]", history)):
        path = f"history[{index}]"
        texts = cast("list[object]", one) if isinstance(one, list) else []
        if len(texts) != 2:  # noqa: PLR2004 (a question and its answer)
            found.add(path, "must be a list of a question and its answer")
            continue
        for at, text in enumerate(texts):
            found.text_at(text, f"{path}[{at}]")
