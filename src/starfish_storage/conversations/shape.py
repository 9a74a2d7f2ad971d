"""What a shape is: what is written of a conversation, or of two answers, and what a file of such rows must keep to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from starfish_storage.conversations.faults import Fault
from starfish_storage.conversations.messages import Conversation
from starfish_storage.conversations.pairs import PreferencePair
from starfish_storage.form_option import FormOption


class RowShape(ABC):
    """A shape of rows. Immutable.

    Attributes:
        name: as it is called on the command line.
        title: what it is, in a few words.
        options: its fields that the command line can set.
        has_thinking: it has a place for what the assistant thought; else that is left out.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[tuple[FormOption, ...]] = ()
    has_thinking: ClassVar[bool] = False

    @abstractmethod
    def check(self, row: Mapping[str, Any]) -> list[Fault]:
        """Return what is wrong with a row, in order; an empty list if a model can be trained on it."""

    @abstractmethod
    def is_like(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is meant to be of this shape, by its keys and their types, though it may have faults."""


class ConversationShape(RowShape):
    """A shape whose rows hold a conversation each."""

    @abstractmethod
    def written(self, conversation: Conversation) -> dict[str, Any]:
        """Return the row of a conversation.

        Raises:
            ConversationError: this shape cannot hold it.
        """


class PairShape(RowShape):
    """A shape whose rows hold two answers each, of which one is better."""

    @abstractmethod
    def written(self, pair: PreferencePair) -> dict[str, Any]:
        """Return the row of two answers to one prompt.

        Raises:
            ConversationError: this shape cannot hold them.
        """
