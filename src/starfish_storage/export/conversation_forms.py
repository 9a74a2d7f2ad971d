"""The forms of conversations, one for each shape: see `Conversations` for their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from starfish_storage.conversations.llama_factory_shapes import Alpaca, ShareGPT
from starfish_storage.conversations.openai_shapes import OpenAIChat
from starfish_storage.conversations.shape import RowShape
from starfish_storage.conversations.trl_shapes import TRLConversation, TRLPromptCompletion
from starfish_storage.errors import InvalidInputError
from starfish_storage.export.conversation_source import ConversationSource
from starfish_storage.export.conversations import (
    MESSAGES,
    SYSTEM,
    Conversations,
    WriteConversations,
    parse_messages,
)
from starfish_storage.export.forms import registered
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.form_option import FormOption


@registered
@dataclass(frozen=True)
class ChatMessages(JsonLines):
    """A line ``{"messages": [{"role": ..., "content": ...}, ...]}`` for each record: the shape ``openai``.

    `Conversations` also has the others, and reads messages that are there already.

    Args:
        compression: as of `JsonLines`.
        metadata_key: as of `JsonLines`.
        messages: who says which field of the data, in order, such as
            ``(("user", "question"), ("assistant", "answer"))``. A field within another is ``"answer.text"``. Values
            that are not text are written as JSON.
        system: the system message of every conversation; None for none.

    Raises:
        InvalidInputError: there is no message, or a role is unknown.
    """

    messages: tuple[tuple[str, str], ...] = ()
    system: str | None = None

    name: ClassVar[str] = "messages"
    endings: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[FormOption, ...]] = (MESSAGES, SYSTEM, *JsonLines.options)

    def __post_init__(self) -> None:
        """Check what is named."""
        super().__post_init__()
        self._source()
        if self.metadata_key == "messages":
            raise InvalidInputError(
                "the metadata key 'messages' is taken by the conversation: choose another metadata_key."
            )

    @classmethod
    def parsed(cls, mapping: str, **options: Any) -> ChatMessages:
        """Return the form of a mapping as it stands on the command line: see `parse_messages`.

        Raises:
            InvalidInputError: it names no message, an unknown role, or a role without a field.
        """
        return cls(messages=parse_messages(mapping), **options)

    def reshapers(self) -> Sequence[Reshaper]:
        """See `Form.reshapers`."""
        return (*super().reshapers(), WriteConversations(self.name, self._source(), OpenAIChat()))

    def prompt_of(self, data: Mapping[str, Any]) -> object:
        """See `Form.prompt_of`."""
        asked = self._source().prompt_of(data)
        return super().prompt_of(data) if asked is None else asked

    def _source(self) -> ConversationSource:
        return ConversationSource(parts=self.messages, system=self.system)


@registered
@dataclass(frozen=True, kw_only=True)
class OpenAIConversations(Conversations):
    """What OpenAI's supervised fine-tuning takes, with or without tools."""

    name: ClassVar[str] = OpenAIChat.name
    shape: ClassVar[RowShape] = OpenAIChat()


@registered
@dataclass(frozen=True, kw_only=True)
class TRLConversations(Conversations):
    """Conversations as TRL trains on them, with the arguments of calls as objects."""

    name: ClassVar[str] = TRLConversation.name
    shape: ClassVar[RowShape] = TRLConversation()


@registered
@dataclass(frozen=True, kw_only=True)
class TRLCompletions(Conversations):
    """A ``prompt`` and its ``completion``, both lists of messages, as TRL trains on them."""

    name: ClassVar[str] = TRLPromptCompletion.name
    shape: ClassVar[RowShape] = TRLPromptCompletion()


@registered
@dataclass(frozen=True, kw_only=True)
class ShareGPTConversations(Conversations):
    """ShareGPT, as LLaMA-Factory and others read it."""

    name: ClassVar[str] = ShareGPT.name
    shape: ClassVar[RowShape] = ShareGPT()


@registered
@dataclass(frozen=True, kw_only=True)
class AlpacaInstructions(Conversations):
    """Alpaca: an instruction, and what is put out."""

    name: ClassVar[str] = Alpaca.name
    shape: ClassVar[RowShape] = Alpaca()
