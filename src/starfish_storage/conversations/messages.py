"""The canonical conversation, that of OpenAI's chat: every shape is read into it, and written from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Who speaks, as the chat models of all makers name them."""

Message = dict[str, Any]
"""A message of a canonical conversation; a key that says nothing is absent, and never null, but for ``content``.

- ``role``: one of `ROLES`.
- ``content``: text; or a list of ``{"type": "text", "text": ...}`` and ``{"type": "image_url", "image_url": {"url":
  ...}}``; or None, where an assistant only calls tools.
- ``name``: of who speaks, or of the tool that has answered.
- ``tool_calls``: ``[{"id": ..., "type": "function", "function": {"name": ..., "arguments": JSON text}}]``.
- ``tool_call_id``: which call a tool answers.
- ``thinking``: what the assistant thought before it spoke, as text. No provider has this key: a shape says what becomes
  of it.
- ``weight``: 0 to leave a message of the assistant out of the training, else 1, as OpenAI has it.
"""


@dataclass(slots=True)
class Conversation:
    """A conversation in the canonical form.

    Attributes:
        messages: what was said, in order; see `Message`.
        tools: what could be called, as ``{"type": "function", "function": {"name": ..., "parameters": ...}}``; None if
            that is not known.
    """

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
