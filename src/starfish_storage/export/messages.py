"""Conversations to fine-tune a chat model with: one list of ``messages`` a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

from starfish_storage.codec import decode, encode, json_text
from starfish_storage.errors import InvalidInputError, NotExportableError, shorten
from starfish_storage.export.forms import registered
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.records import ExportedRecord
from starfish_storage.export.splitting import SPLIT_OPTIONS
from starfish_storage.form_option import FormOption

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Who speaks, as the chat models of all makers name them."""


def parse_messages(mapping: str) -> tuple[tuple[str, str], ...]:
    """Return who says which field, of a mapping as it stands on the command line.

    >>> parse_messages("user=question,assistant=answer")
    (('user', 'question'), ('assistant', 'answer'))
    """
    parts = [part.partition("=") for part in mapping.split(",") if part.strip()]
    return tuple((role.strip(), field.strip()) for role, _, field in parts)


@registered
@dataclass(frozen=True)
class ChatMessages(JsonLines):
    """A line ``{"messages": [{"role": ..., "content": ...}, ...]}`` for each record.

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
    options: ClassVar[tuple[FormOption, ...]] = (
        FormOption(
            "messages",
            "Conversations: user=question,assistant=answer.",
            "ROLE=FIELD,...",
            read=parse_messages,
        ),
        FormOption("system", "The system message of every conversation.", "TEXT"),
        *SPLIT_OPTIONS,
    )

    def __post_init__(self) -> None:
        """See `DivisibleForm`."""
        super().__post_init__()
        if not self.messages:
            raise InvalidInputError(
                "no message is named: name a role and a field for each, such as user=question,assistant=answer."
            )
        if self.metadata_key == "messages":
            raise InvalidInputError(
                "the metadata key 'messages' is taken by the conversation: choose another metadata_key."
            )
        for role, field in self.messages:
            if role not in ROLES:
                raise InvalidInputError(f"role {shorten(role)} is unknown: use one of {', '.join(ROLES)}.")
            if not field:
                raise InvalidInputError(f"the message of role {role!r} names no field: write {role}=FIELD.")

    @classmethod
    def parsed(cls, mapping: str, **options: Any) -> ChatMessages:
        """Return the form of a mapping as it stands on the command line: see `parse_messages`.

        Raises:
            InvalidInputError: it names no message, an unknown role, or a role without a field.
        """
        return cls(messages=parse_messages(mapping), **options)

    def line(self, record: ExportedRecord) -> bytes:
        """See `JsonLines.line`."""
        data = decode(record.payload)
        spoken = [{"role": role, "content": self._content(record.uid, data, field)} for role, field in self.messages]
        if self.system is not None:
            spoken.insert(0, {"role": "system", "content": self.system})
        line: dict[str, Any] = {"messages": spoken}
        if self.metadata_key is not None:
            line[self.metadata_key] = record.metadata
        if record.annotations_key is not None:
            line[record.annotations_key] = data[record.annotations_key]
        return encode(line, f"messages of record {record.uid!r}")

    def _content(self, uid: str, data: dict[str, Any], field: str) -> str:
        value: object = data
        for part in (field,) if field in data else field.split("."):
            value = cast("dict[str, object]", value).get(part) if isinstance(value, dict) else None
        if value is None:
            raise NotExportableError(uid, self.name, f"its data has no {field!r}, or it is null; map another field")
        return value if isinstance(value, str) else json_text(value)
