"""Where a record has its conversation: a list of messages, fields that somebody says, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, Literal, cast

from starfish_storage.codec import json_text
from starfish_storage.conversations.messages import ROLES, Conversation, Message
from starfish_storage.conversations.prompts import prompt_of
from starfish_storage.conversations.reading import LISTS, read_conversation, read_tools
from starfish_storage.errors import ConversationError, InvalidInputError, shorten
from starfish_storage.filtering import MISSING, value_of

Thinking = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class ConversationSource:
    """Where a record has its conversation.

    A path is a name, or names and numbers of items with dots between them, such as
    ``response.choices.0.message``. A name that holds dots itself is found first.

    Args:
        messages_from: the path of a list of messages, or of one: see `read_conversation`. Of a list that is named
            ``messages`` or ``conversations``, ``tools`` and ``system`` that stand beside it count too, as they do where
            the object around it is named.
        parts: who says which path, in order. Those before the first of the assistant or a tool stand before what
            `messages_from` names, the others behind it. What is not text is written as JSON.
        system: a system message before all others; it takes the place of one that begins the messages, or stands beside
            them.
        tools_from: the path of the tools that could be called, in place of those beside the messages.
        thinking: whether what the assistant thought is kept.

    Raises:
        InvalidInputError: nothing is named, or a role is unknown.
    """

    messages_from: str | None = None
    parts: tuple[tuple[str, str], ...] = ()
    system: str | None = None
    tools_from: str | None = None
    thinking: Thinking = "drop"

    def __post_init__(self) -> None:
        if not self.parts and not self.messages_from:
            raise InvalidInputError(
                "no message is named: name a role and a field for each, messages= (--messages user=question,"
                "assistant=answer), or the field that is a list of messages, messages_from= (--messages-from)."
            )
        for role, path in self.parts:
            if role not in ROLES:
                raise InvalidInputError(f"role {shorten(role)} is unknown: use one of {', '.join(ROLES)}.")
            if not path:
                raise InvalidInputError(f"the message of role {role!r} names no field: write {role}=FIELD.")
        if self.thinking not in ("keep", "drop"):
            raise InvalidInputError(f"thinking {shorten(self.thinking)} is unknown: use keep or drop.")

    def of(self, data: Mapping[str, Any]) -> Conversation:
        """Return the conversation of a record.

        Raises:
            ConversationError: it has none, or something else stands there.
        """
        spoken: list[Message] = [] if self.system is None else [{"role": "system", "content": self.system}]
        first = next((at for at, (role, _) in enumerate(self.parts) if role in ("assistant", "tool")), len(self.parts))
        spoken += [_said(data, role, path) for role, path in self.parts[:first]]
        tools = None
        if self.messages_from is not None:
            found = read_conversation(_at(data, self.messages_from), self.messages_from)
            around = _around(data, self.messages_from)
            spoken[:0] = _system_beside(around, [*spoken, *found.messages])
            spoken += found.messages if self.system is None else _without_system(found.messages)
            tools = found.tools or _tools_beside(around)
        spoken += [_said(data, role, path) for role, path in self.parts[first:]]
        if self.tools_from is not None:
            tools = read_tools(_at(data, self.tools_from), self.tools_from)
        if self.thinking == "drop":
            spoken = [_without_thinking(message) for message in spoken]
        return Conversation(spoken, tools)

    def prompt_of(self, data: Mapping[str, Any]) -> object:
        """Return what stands before the first answer of a record's conversation; None if it has none."""
        try:
            return prompt_of({"messages": self.of(data).messages})
        except ConversationError:
            return None


def _at(data: Mapping[str, Any], path: str) -> object:
    value = value_of(data, path)
    if value is None or value is MISSING:
        raise ConversationError(path, "the record has no such field, or it is null; name another field")
    return value


def _without_system(messages: list[Message]) -> list[Message]:
    return list(dropwhile(lambda message: message["role"] in ("system", "developer"), messages))


def _around(data: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return the object in which a list of messages has its usual name, or an empty one."""
    above, dot, name = path.rpartition(".")
    around = value_of(data, above) if dot else data
    if name not in LISTS or not isinstance(around, Mapping) or name not in around:
        return {}
    return cast("Mapping[str, Any]", around)


def _system_beside(around: Mapping[str, Any], spoken: list[Message]) -> list[Message]:
    system = around.get("system")
    if not system or any(message["role"] in ("system", "developer") for message in spoken):
        return []
    try:
        return read_conversation([{"role": "system", "content": system}], "system").messages
    except ConversationError:  # something else of that name
        return []


def _tools_beside(around: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    try:
        return read_tools(around.get("tools"), "tools")
    except ConversationError:  # as above, such as a list of words
        return None


def _said(data: Mapping[str, Any], role: str, path: str) -> Message:
    value = _at(data, path)
    return {"role": role, "content": value if isinstance(value, str) else json_text(value)}


def _without_thinking(message: Message) -> Message:
    if "thinking" not in message:
        return message
    return {key: value for key, value in message.items() if key != "thinking"}
