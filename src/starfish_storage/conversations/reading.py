"""Reading conversations from what people have: what `parts` knows is made canonical, or refused with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from starfish_storage.codec import json_text
from starfish_storage.conversations.json_texts import value_of_json
from starfish_storage.conversations.messages import ROLES, Conversation, Message
from starfish_storage.conversations.parts import ITEMS, THOUGHTS, ChatMessage, Part, is_message, message_of, type_of
from starfish_storage.errors import ConversationError

LISTS = ("messages", "conversations", "conversation")  # what lists of messages are called
_PLAIN = {"role", "content"}
_OF_CALL = {"id", "type", "function"}
_OF_FUNCTION = {"name", "arguments"}
_TEXTS = {"name": "name", "tool_call_id": "tool_call_id"} | dict.fromkeys(THOUGHTS, "thinking")
_SAYS_MORE = frozenset({"type", "tool_calls", "function_call", "refusal", *_TEXTS})
_DESCRIBED = dict.fromkeys(("name", "description", "parameters", "strict", "return")).keys()
_OF_TOOL = {"type", "function"}
_HIDDEN = frozenset({"redacted_thinking"})  # ciphertext, which only its maker reads


def read_conversation(value: object, path: str = "$") -> Conversation:
    """Return a value as a conversation.

    It is a list of messages or one message, of OpenAI (chat or Responses), Anthropic or ShareGPT; an object that has
    such a list under ``messages`` or ``conversations``, perhaps with ``tools`` and ``system``; the answer of such an
    API; or any of these as JSON text.

    Args:
        value: a JSON value. It is not changed, and parts of it may stand in what is returned.
        path: where it stands, for messages.

    Raises:
        ConversationError: it is none.

    >>> read_conversation([{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]).messages
    [{'role': 'user', 'content': 'hi'}, {'role': 'assistant', 'content': 'ho'}]
    """
    if isinstance(value, str):
        value = _parsed(value, path)
    if isinstance(value, Mapping):
        return _of_object(cast("Mapping[str, Any]", value), path)
    return Conversation(_read_list(value, path))


def read_tools(value: object, path: str) -> list[dict[str, Any]] | None:
    """Return tools as OpenAI's chat has them, from that or the form of Responses or Anthropic, perhaps as JSON text.

    Raises:
        ConversationError: they are none.
    """
    if isinstance(value, str):
        value = _parsed(value, path)
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise ConversationError(path, f"a list of tools is needed, not {_kind(value)}")
    return [_tool(one, f"{path}[{index}]") for index, one in enumerate(cast("list[object]", value))]


def _of_object(fields: Mapping[str, Any], path: str) -> Conversation:
    inner = "" if path == "$" else f"{path}."
    for name in LISTS:
        if isinstance(fields.get(name), list | str):
            found = read_conversation(fields[name], f"{inner}{name}")
            system = fields.get("system")
            if system:
                found.messages[:0] = _read_list([{"role": "system", "content": system}], f"{inner}system")
            return Conversation(found.messages, read_tools(fields.get("tools"), f"{inner}tools"))
    if is_message(fields):
        reader = _Reader()
        _read_message(fields, path, reader)
        return Conversation(reader.messages)
    choices, output = fields.get("choices"), fields.get("output")
    if isinstance(choices, list) and choices:
        first: object = cast("list[object]", choices)[0]
        message = cast("dict[str, Any]", first).get("message") if isinstance(first, dict) else None
        return read_conversation(message, f"{inner}choices[0].message")
    if isinstance(output, list):
        return Conversation(_read_list(cast("object", output), f"{inner}output"))
    raise ConversationError(path, "this object is no message, and has no list of messages: name where these stand")


def _read_list(value: object, path: str) -> list[Message]:
    if not isinstance(value, list):
        raise ConversationError(path, f"a list of messages is needed, not {_kind(value)}")
    if not value:
        raise ConversationError(path, "the list of messages is empty")
    reader = _Reader()
    for index, one in enumerate(cast("list[object]", value)):
        if type(one) is dict:
            fields = cast("dict[str, Any]", one)
            message = _canonical(fields)  # as most of them are: taking those apart takes ten times as long
            if message is None:
                _read_message(fields, f"{path}[{index}]", reader)
            else:
                reader.add_canonical(message)
        else:
            raise ConversationError(f"{path}[{index}]", f"a message is an object, not {_kind(one)}")
    return reader.messages


def _canonical(fields: dict[str, Any]) -> Message | None:
    """Return a message that is canonical but for keys that say nothing; None if there is more to it."""
    role, content = fields.get("role"), fields.get("content")
    if role not in ROLES or not (content is None or type(content) is str):
        return None
    if fields.keys() == _PLAIN and content is not None and role != "tool":
        return fields
    made = _known(fields)
    if made is None or (role == "tool" and "tool_call_id" not in made):
        return None
    if "tool_calls" in made:
        made["content"] = content or None
    return None if made["content"] is None and "tool_calls" not in made else made


def _known(fields: dict[str, Any]) -> Message | None:
    """Return what is known of a message, without keys that say nothing; None if something has to be looked into."""
    made: Message = {"role": fields["role"], "content": fields.get("content")}
    for key, value in fields.items():
        if value is None or value in ("", []) or key in _PLAIN:
            continue
        name = _TEXTS.get(key)
        if name is not None and type(value) is str and name not in made:
            made[name] = value
        elif (key == "weight" and type(value) is int) or (key == "tool_calls" and _are_canonical(value)):
            made[key] = value
        elif key in _SAYS_MORE:
            return None
    return made


def _are_canonical(calls: object) -> bool:
    if type(calls) is not list:
        return False
    for one in cast("list[object]", calls):
        call = cast("dict[str, Any]", one) if type(one) is dict else {}
        function = call.get("function")
        if call.keys() != _OF_CALL or call["type"] != "function" or type(function) is not dict:
            return False
        called = cast("dict[str, object]", function)
        texts = (call["id"], *called.values())
        if called.keys() != _OF_FUNCTION or not all(type(text) is str and text for text in texts):
            return False
    return True


def _read_message(fields: Mapping[str, Any], path: str, reader: _Reader) -> None:
    """Add the messages that an object makes: several, where the results of tools stand in one of the user."""
    _check_content(fields, path)
    message = message_of(fields)
    if message.role not in ROLES:
        named = "role" if "role" in fields else "from" if "from" in fields else ""
        if not named:
            raise ConversationError(path, f"a message has a role; it is one of {', '.join(ROLES)}")
        raise ConversationError(f"{path}.{named}", f"the role is unknown: it is one of {', '.join(ROLES)}")
    if not is_message(fields):
        raise ConversationError(path, "the message says nothing: it has no content, and calls nothing")
    kind = type_of(fields)
    is_item = kind in ITEMS or (kind == "message" and message.role == "assistant")
    reader.add(fields, message, path, is_item=is_item)


def _check_content(fields: Mapping[str, Any], path: str) -> None:
    name = "value" if "value" in fields and "role" not in fields else "content"
    content: object = fields.get(name)
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise ConversationError(f"{path}.{name}", f"what is said is text or a list of parts, not {_kind(content)}")
    for index, one in enumerate(cast("list[object]", content)):
        if not isinstance(one, str | Mapping):
            raise ConversationError(f"{path}.{name}[{index}]", f"a part is text or an object, not {_kind(one)}")


class _Reader:
    """Messages as they are read, and what of them is still open.

    Attributes:
        messages: those.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._unanswered: list[tuple[str, str]] = []  # the ids and names of calls
        self._calls = 0
        self._is_open = False  # what comes between messages belongs to the one that the assistant is saying

    def add_canonical(self, message: Message) -> None:
        """Take a message that is canonical as it is."""
        self._is_open = False
        self.messages.append(message)
        for call in message.get("tool_calls", ()):
            self._calls += 1
            self._unanswered.append((call["id"], call["function"]["name"]))
        if "tool_call_id" in message:
            self._unanswered = [one for one in self._unanswered if one[0] != message["tool_call_id"]]

    def add(self, fields: Mapping[str, Any], message: ChatMessage, path: str, *, is_item: bool) -> None:
        """Take a message, or an item that stands between messages.

        Args:
            fields: as it was given.
            message: that, taken apart.
            path: where it stands.
            is_item: it is a part of what the assistant says, as Responses have them one after the other.
        """
        if message.role == "tool":
            self._add_answer(fields, message, path)
            return
        said: list[Any] = []
        calls: list[dict[str, Any]] = []
        answered = ""
        for part in message.parts:
            where = f"{path}.{part.place}" if part.place else path
            if part.kind == "text":
                said.append(part.text)
            elif part.kind == "call":
                calls.append(self._call(part, where))
            elif part.kind == "result":
                answered, self._is_open = part.place, False
                self.messages.append(self._answer(part.name, part.id, [part.text]))
            elif part.kind == "other" and part.name not in _HIDDEN:
                image = _image(part, where)
                if answered and part.place == answered:
                    _add_to_answer(self.messages[-1], image)
                else:
                    said.append(image)
        made: Message = {"role": message.role, "content": _content(said, message.role) if said or not calls else None}
        made |= _beside(fields, message)
        if calls:
            made["tool_calls"] = calls
        if said or calls or "thinking" in made or not (is_item or answered):
            self._put(made, is_item=is_item)

    def _add_answer(self, fields: Mapping[str, Any], message: ChatMessage, path: str) -> None:
        said = [
            part.text if part.kind == "result" else _image(part, f"{path}.{part.place}" if part.place else path)
            for part in message.parts
        ]
        named = str(fields.get("tool_call_id") or fields.get("call_id") or "")
        self._is_open = False
        self.messages.append(self._answer(str(fields.get("name") or ""), named, said))

    def _put(self, made: Message, *, is_item: bool) -> None:
        last = self.messages[-1] if self.messages and self._is_open else None
        self._is_open = is_item and made["role"] == "assistant"
        if last is None or made["role"] != "assistant" or (last["content"] and made["content"]):
            self.messages.append(made)
            return
        last["content"] = last["content"] or made["content"]
        for name in ("name", "weight"):
            if name in made:
                last[name] = made[name]
        if "thinking" in made:
            last["thinking"] = f"{last['thinking']}\n{made['thinking']}" if "thinking" in last else made["thinking"]
        if "tool_calls" in made:
            last["tool_calls"] = [*last.get("tool_calls", ()), *made["tool_calls"]]
            last["content"] = last["content"] or None

    def _call(self, part: Part, path: str) -> dict[str, Any]:
        self._calls += 1
        if not part.name:
            raise ConversationError(path, "the call names no function")
        arguments = part.content
        if isinstance(arguments, Mapping):
            arguments = json_text(cast("object", arguments))
        elif not isinstance(arguments, str):
            raise ConversationError(path, f"the arguments are an object or its JSON text, not {_kind(arguments)}")
        named = part.id or f"call_{self._calls}"
        self._unanswered.append((named, part.name))
        function = {"name": part.name, "arguments": arguments or "{}"}
        return {"id": named, "type": "function", "function": function}

    def _answer(self, name: str, call: str, said: list[Any]) -> Message:
        """Return the message of a tool; where it does not say which call it answers, that is the first open one."""
        of_name = [one for one in self._unanswered if one[1] == name] or self._unanswered
        call = call or (of_name[0][0] if of_name else "")
        self._unanswered = [one for one in self._unanswered if one[0] != call]
        made: Message = {"role": "tool", "content": _content(said, "tool")}
        if name:
            made["name"] = name
        if call:
            made["tool_call_id"] = call
        return made


def _beside(fields: Mapping[str, Any], message: ChatMessage) -> Message:
    """Return what stands beside what is said in a canonical message."""
    found: Message = {}
    thoughts = [part.text for part in message.parts if part.kind == "thinking" and part.text]
    if thoughts:
        found["thinking"] = "\n".join(thoughts)
    if "role" in fields and fields.get("name") and isinstance(fields["name"], str):
        found["name"] = fields["name"]
    if type(fields.get("weight")) is int:
        found["weight"] = fields["weight"]
    return found


def _add_to_answer(answer: Message, image: dict[str, Any]) -> None:
    """Add an image to what a tool has returned, of which only the text is there."""
    said = answer["content"]
    texts = [{"type": "text", "text": said}] if said and isinstance(said, str) else said or []
    answer["content"] = [*texts, image]


def _content(said: list[Any], role: str) -> Any:
    """Return texts and images as the content of a message: a text, if there is no more to it."""
    if all(isinstance(one, str) for one in said) and (len(said) < 2 or role in ("assistant", "tool")):  # noqa: PLR2004
        return "".join(said)  # as the clients of OpenAI and Anthropic join what their models say in pieces
    return [{"type": "text", "text": one} if isinstance(one, str) else one for one in said]


def _image(part: Part, path: str) -> dict[str, Any]:
    """Return an image as OpenAI's chat has it: by its address, which may hold all of it."""
    if part.name not in ("image_url", "input_image", "image"):
        reason = "a list of calls is needed" if part.name == "tool_calls" else "only text and images are known"
        raise ConversationError(path, f"{reason}; leave this out, or name a field without it")
    fields = cast("dict[str, Any]", part.content)
    found: object = fields.get("image_url") or fields.get("source") or fields.get("url") or fields.get("image")
    detail: object = fields.get("detail")
    if isinstance(found, Mapping):
        source = cast("Mapping[str, Any]", found)
        detail = source.get("detail", detail)
        found = source.get("url")
        if isinstance(source.get("data"), str):
            found = f"data:{source.get('media_type') or 'image/png'};base64,{source['data']}"
    if not isinstance(found, str) or not found:
        raise ConversationError(path, "the image has no address (url), and no data")
    return {"type": "image_url", "image_url": {"url": found} | ({"detail": detail} if isinstance(detail, str) else {})}


def _tool(one: object, path: str) -> dict[str, Any]:
    if not isinstance(one, Mapping):
        raise ConversationError(path, f"a tool is an object, not {_kind(one)}")
    fields = cast("Mapping[str, Any]", one)
    function = fields.get("function", fields)
    described = cast("Mapping[str, Any]", function if isinstance(function, Mapping) else {})
    if not isinstance(described.get("name"), str) or not described["name"]:
        raise ConversationError(path, "the tool has no name")
    if isinstance(one, dict) and one.keys() == _OF_TOOL and described.keys() <= _DESCRIBED and all(described.values()):
        return cast("dict[str, Any]", one)
    found = {key: described[key] for key in _DESCRIBED if described.get(key)}
    if isinstance(described.get("input_schema"), Mapping):
        found["parameters"] = described["input_schema"]
    return {"type": "function", "function": found}


def _parsed(text: str, path: str) -> object:
    try:
        return value_of_json(text)
    except (ValueError, RecursionError):
        pass  # its message may quote the text
    raise ConversationError(path, "this is text, and no list of messages: name its role, such as assistant=FIELD")


def _kind(value: object) -> str:
    names: dict[type[object], str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")
