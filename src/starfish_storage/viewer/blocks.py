"""The data of a record as what it is: conversations, texts, and trees for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import Any

from markupsafe import Markup

from starfish_storage.conversations.parts import ChatMessage, Part, conversation_of
from starfish_storage.viewer.images import Image, image_of
from starfish_storage.viewer.json_tree import Room, TreeNode, tree_of
from starfish_storage.viewer.safe_markdown import rendered

_LONG = 100  # characters of a text that is shown as one, and not as a value among others
_MOST_FIELDS = 60
_MOST_MESSAGES = 200  # of a conversation that is shown as one


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A text.

    Attributes:
        text: as it is, or its beginning.
        markdown: the same rendered; None if it is not to be, or is too long for that.
        left_out: how many characters are not shown.
        image: what the text is, if it is one.
    """

    text: str
    markdown: Markup | None
    left_out: int = 0
    image: Image | None = None

    @property
    def looks_as_stored(self) -> bool:
        """Whether the text, rendered, reads as it is stored: paragraphs of plain words, a line each."""
        inner = (self.markdown or "").strip().removeprefix("<p>").removesuffix("</p>")
        lines = unescape(inner.replace("</p>\n<p>", "\n\n"))
        stored = self.text.strip()
        is_spaced = "\n" in stored.replace("\n\n", "") or "  " in stored or "\t" in stored  # HTML shows one blank
        return lines == stored and not is_spaced


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part of a message, with what its text looks like."""

    part: Part
    block: TextBlock


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message with its role."""

    role: str
    parts: Sequence[ShownPart]


@dataclass(frozen=True, slots=True)
class DataBlock:
    """A field of data, in one of three forms.

    Attributes:
        name: the field; empty for data that is shown as a whole.
        messages: a conversation.
        text: a text.
        tree: anything else.
    """

    name: str
    messages: Sequence[ShownMessage] = ()
    text: TextBlock | None = None
    tree: TreeNode | None = None


def blocks_of(data: Any, room: Room) -> list[DataBlock]:
    """Return what is shown of JSON data, as far as there is room: what reads like a text or a conversation first."""
    if not isinstance(data, dict):
        return [_block("", data, room)]
    fields: dict[str, Any] = data  # pyright: ignore[reportUnknownVariableType] (JSON)
    blocks = [_block(name, value, room) for name, value in islice(fields.items(), _MOST_FIELDS) if _is_read(value)]
    rest = {name: value for name, value in fields.items() if not _is_read(value) or len(fields) > _MOST_FIELDS}
    return [*blocks, DataBlock("", tree=tree_of(rest, room))] if rest or not blocks else blocks


def text_block(text: str, room: Room, *, is_markdown: bool = True) -> TextBlock:
    """Return a text as it is shown."""
    shown = room.take(text)
    left_out = len(text) - len(shown)
    return TextBlock(shown, rendered(shown) if is_markdown else None, left_out)


def _picture(value: object, room: Room) -> TextBlock | None:
    """Return an image as a block without a text, if it is one and there is room for it."""
    image = image_of(value)
    if image is None or image.size > room.image_bytes:
        return None
    room.image_bytes -= image.size
    return TextBlock("", None, image=image)


def _is_read(value: Any) -> bool:
    is_text = isinstance(value, str) and (len(value) > _LONG or "\n" in value)
    return is_text or _conversation(value) is not None


def _conversation(value: Any) -> list[ChatMessage] | None:
    return conversation_of(value) if isinstance(value, list) and len(value) <= _MOST_MESSAGES else None  # pyright: ignore[reportUnknownArgumentType] (JSON)


def _block(name: str, value: Any, room: Room) -> DataBlock:
    messages = _conversation(value)
    if messages is not None:
        return DataBlock(name, messages=[_message(one, room) for one in messages])
    if isinstance(value, str):
        return DataBlock(name, text=_picture(value, room) or text_block(value, room))
    return DataBlock(name, tree=tree_of(value, room))


def _message(message: ChatMessage, room: Room) -> ShownMessage:
    return ShownMessage(message.role, [_part(one, room) for one in message.parts])


def _part(part: Part, room: Room) -> ShownPart:
    picture = _picture(part.content, room) if part.kind == "other" else None
    return ShownPart(part, picture or text_block(part.text, room, is_markdown=part.kind == "text"))
