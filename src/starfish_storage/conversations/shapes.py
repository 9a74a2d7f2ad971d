"""The shapes in which conversations are trained on: what is written of one, and what a file of them must keep to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from starfish_storage.conversations.messages import ROLES, Conversation
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.form_option import FormOption


class Fault(NamedTuple):
    """What is wrong with a row.

    Attributes:
        path: where, such as ``messages[3].tool_calls[0]``.
        reason: what is wrong, and what would be right.
    """

    path: str
    reason: str


class ConversationShape(ABC):
    """A shape of rows that hold conversations. Immutable.

    Attributes:
        name: as it is called on the command line.
        title: what it is, in a few words.
        options: its fields that the command line can set.
        has_thinking: it has a place for what the assistant thought.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[tuple[FormOption, ...]] = ()
    has_thinking: ClassVar[bool] = False

    @abstractmethod
    def written(self, conversation: Conversation) -> dict[str, Any]:
        """Return the row of a conversation.

        Raises:
            ConversationError: this shape cannot hold it.
        """

    @abstractmethod
    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """Return what is wrong with a row, in order; an empty list if a model can be trained on it."""


class OpenAIChat(ConversationShape):
    """What OpenAI's fine-tuning takes: ``{"messages": [...]}``, with ``tools`` where these are known."""

    name = "openai"
    title = "OpenAI fine-tuning, with or without tools"

    def written(self, conversation: Conversation) -> dict[str, Any]:
        """See `ConversationShape.written`."""
        messages = [
            {key: value for key, value in message.items() if key != "thinking"} if "thinking" in message else message
            for message in conversation.messages
        ]
        return {"messages": messages} | ({} if conversation.tools is None else {"tools": conversation.tools})

    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """See `ConversationShape.check`."""
        messages = row.get("messages")
        if not isinstance(messages, list) or not messages:
            return [Fault("messages", "a list of messages is needed")]
        return [
            Fault(f"messages[{index}].role", f"use one of {', '.join(ROLES)}")
            for index, message in enumerate(messages)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] (JSON)
            if message["role"] not in ROLES
        ]


_SHAPES: tuple[ConversationShape, ...] = (OpenAIChat(),)


def conversation_shapes() -> tuple[ConversationShape, ...]:
    """Return all shapes, in the order in which they are documented."""
    return _SHAPES


def shape_named(name: str) -> ConversationShape:
    """Return the shape of a name.

    Raises:
        InvalidInputError: no shape has it.
    """
    for shape in _SHAPES:
        if shape.name == name:
            return shape
    known = ", ".join(shape.name for shape in _SHAPES)
    raise InvalidInputError(f"{shorten(name)} is no shape of conversations: use one of {known}.")
