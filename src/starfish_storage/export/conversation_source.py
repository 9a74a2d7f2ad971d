"""Where a record has its conversation: a list of messages, fields that somebody says, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starfish_storage.codec import json_text
from starfish_storage.conversations.messages import ROLES, Conversation, Message
from starfish_storage.conversations.reading import read_conversation, read_tools
from starfish_storage.errors import ConversationError, InvalidInputError, shorten
from starfish_storage.filtering import MISSING, value_of

Thinking = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class ConversationSource:
    """Where a record has its conversation.

    A path is a name, or names and numbers of items with dots between them, such as
    ``response.choices.0.message``. A name that holds dots itself is found first.

    Args:
        messages_from: the path of a list of messages, or of one: see `read_conversation`.
        parts: who says which path, in order. Those before the first of the assistant or a tool stand before what
            `messages_from` names, the others behind it. What is not text is written as JSON.
        system: a system message before all others.
        tools_from: the path of the tools that could be called.
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
                "no message is named: name a role and a field for each, such as user=question,assistant=answer, or the "
                "field that is a list of messages."
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
            spoken += found.messages
            tools = found.tools
        spoken += [_said(data, role, path) for role, path in self.parts[first:]]
        if self.tools_from is not None:
            tools = read_tools(_at(data, self.tools_from), self.tools_from)
        if self.thinking == "drop":
            spoken = [_without_thinking(message) for message in spoken]
        return Conversation(spoken, tools)


def _at(data: Mapping[str, Any], path: str) -> object:
    value = value_of(data, path)
    if value is None or value is MISSING:
        raise ConversationError(path, "the record has no such field, or it is null; name another field")
    return value


def _said(data: Mapping[str, Any], role: str, path: str) -> Message:
    value = _at(data, path)
    return {"role": role, "content": value if isinstance(value, str) else json_text(value)}


def _without_thinking(message: Message) -> Message:
    if "thinking" not in message:
        return message
    return {key: value for key, value in message.items() if key != "thinking"}
