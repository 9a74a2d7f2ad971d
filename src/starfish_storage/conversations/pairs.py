"""Two answers to one prompt, of which one is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfish_storage.conversations.messages import Conversation, Message
from starfish_storage.errors import ConversationError


@dataclass(slots=True)
class PreferencePair:
    """Two ways in which a conversation goes on.

    Attributes:
        prompt: what was said before, in order: see `Message`.
        chosen: how the better one goes on, from a message of the assistant.
        rejected: how the worse one does.
        tools: what could be called; None if that is not known.
    """

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    tools: list[dict[str, Any]] | None = None


def pair_of(chosen: Conversation, rejected: Conversation) -> PreferencePair:
    """Return two conversations that begin in the same way as a pair.

    What they share, up to a message of the assistant, is the prompt: also earlier answers that are the same in both.

    Raises:
        ConversationError: they share no prompt, or are the same, or go on with other messages of the user, which no
            answer to one prompt does.
    """
    better, worse = chosen.messages, rejected.messages
    if better == worse:
        raise ConversationError("rejected", "is the same as what is chosen")
    shared = split = 0
    while shared < min(len(better), len(worse)):
        if better[shared]["role"] == worse[shared]["role"] == "assistant":
            split = shared
        if better[shared] != worse[shared]:
            break
        shared += 1
    if split == 0:
        raise ConversationError("chosen", "does not begin with the messages with which what is rejected begins")
    if any(one[shared]["role"] not in ("assistant", "tool") for one in (better, worse) if shared < len(one)):
        raise ConversationError("rejected", "differs from what is chosen in what was asked, not only in the answers")
    tools = rejected.tools if chosen.tools is None else chosen.tools
    return PreferencePair(better[:split], better[split:], worse[split:], tools)
