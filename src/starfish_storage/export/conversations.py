"""Conversations to train on: a shape, written into a file of another form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

from starfish_storage.codec import decode, json_line
from starfish_storage.conversations.faults import Fault
from starfish_storage.conversations.shape import ConversationShape, RowShape
from starfish_storage.conversations.shapes import conversation_shapes
from starfish_storage.errors import ConversationError, InvalidInputError, NotExportableError
from starfish_storage.export.compression import COMPRESSION
from starfish_storage.export.conversation_source import ConversationSource, Thinking
from starfish_storage.export.forms import Form, FormWriter
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.provenance import Provenance
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.export.splitting import SPLIT_OPTIONS, SplitOptions
from starfish_storage.export.table_rules import FixedColumns
from starfish_storage.export.tables import ArrowIpc, HuggingFace, Parquet, TableWriter
from starfish_storage.form_option import FormOption
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.wording import alternatives

_LISTS = ("messages", "prompt", "completion", "chosen", "rejected", "conversations", "input")
_COLUMNS = FixedColumns(
    # Messages are one list of structs, as `datasets` and the trainers read it: TRL removes the nulls, and templates ask
    # whether something is there.
    padded=frozenset(f"$.{name}" for name in (*_LISTS, "preferred_output", "non_preferred_output")),
    # Nulls in arguments would be arguments.
    as_they_are=frozenset(f"$.{name}[].tool_calls[].function.arguments" for name in _LISTS),
    # Schemas, each with keys of its own; TRL reads tools as JSON text too.
    text=frozenset({"$.tools", "$.input.tools"}),
)
_MOST_FAULTS = 3  # of a row, that a message names


def parse_messages(mapping: str) -> tuple[tuple[str, str], ...]:
    """Return who says which field, of a mapping as it stands on the command line.

    >>> parse_messages("user=question,assistant=answer")
    (('user', 'question'), ('assistant', 'answer'))
    """
    parts = [part.partition("=") for part in mapping.split(",") if part.strip()]
    return tuple((role.strip(), path.strip()) for role, _, path in parts)


MESSAGES = FormOption(
    "messages", "Conversations: user=question,assistant=answer.", "ROLE=FIELD,...", read=parse_messages
)
SYSTEM = FormOption("system", "The system message of every conversation.", "TEXT")
SOURCE_OPTIONS = (
    MESSAGES,
    FormOption("messages_from", "The field that is a list of messages, or one.", "FIELD"),
    SYSTEM,
    FormOption("tools_from", "The field that lists the tools of a conversation.", "FIELD"),
    FormOption("container", "How the rows of a directory are written [default: huggingface].", "FORM"),
    FormOption("thinking", "keep or drop what was thought [default: drop].", "keep|drop"),
)


@dataclass(frozen=True, kw_only=True)
class Conversations(Form):
    """Rows that each hold a conversation, in one of the shapes that models are trained on.

    Each row is checked before it is written: one that no model can be trained on is refused, with the place of the
    fault. `form_named` makes one of the name of a shape and of a file, whose ending chooses the container.

    Args:
        container: how the rows are written; their metadata too.
        messages: who says which field of the data: see `ConversationSource`, also for the others.
        messages_from: the field that is a list of messages, or one.
        system: the system message of every conversation.
        tools_from: the field that lists the tools.
        thinking: whether what the assistant thought is kept.

    Attributes:
        shape: what the rows hold.

    Raises:
        InvalidInputError: no message is named, a role is unknown, the container is none for conversations, or thinking
            is to be kept, and the shape has no place for it.
    """

    container: Form = field(default_factory=JsonLines)
    messages: tuple[tuple[str, str], ...] = ()
    messages_from: str | None = None
    system: str | None = None
    tools_from: str | None = None
    thinking: Thinking = "drop"
    metadata_key: str | None = field(default=None, init=False, repr=False)

    shape: ClassVar[RowShape]
    options: ClassVar[tuple[FormOption, ...]] = (*SOURCE_OPTIONS, *SPLIT_OPTIONS, COMPRESSION)
    containers: ClassVar[tuple[str, ...]] = (JsonLines.name, Parquet.name, ArrowIpc.name, HuggingFace.name)

    def __post_init__(self) -> None:
        """Take over the container's key of metadata, and check the rest."""
        if self.container.name not in self.containers:
            raise InvalidInputError(
                f"{self.container.name} cannot hold conversations: use one of {', '.join(self.containers)}."
            )
        object.__setattr__(self, "metadata_key", self.container.metadata_key)
        self.writing()
        if self.thinking == "keep" and not self.shape.has_thinking:
            having = alternatives([shape.name for shape in conversation_shapes() if shape.has_thinking])
            raise InvalidInputError(
                f"{self.name} has no place for what was thought: leave thinking= (--thinking) out, or use {having}."
            )

    @property
    def needs_source(self) -> bool:
        """See `Form.needs_source`."""
        return self.container.needs_source

    @property
    def splitting(self) -> SplitOptions | None:
        """See `Form.splitting`."""
        return self.container.splitting

    @property
    def makes_directory(self) -> bool:
        """See `Form.makes_directory`."""
        return self.container.makes_directory

    @property
    def written_as(self) -> Form:
        """See `Form.written_as`."""
        return self.container

    def reshapers(self) -> Sequence[Reshaper]:
        """See `Form.reshapers`."""
        return (self.writing(), *self.container.reshapers())

    def prompt_of(self, data: Mapping[str, Any]) -> object:
        """See `Form.prompt_of`."""
        asked = self.source().prompt_of(data) if self.messages or self.messages_from else None
        return super().prompt_of(data) if asked is None else asked

    def writing(self) -> Reshaper:
        """Return the step that makes rows of records.

        Raises:
            InvalidInputError: nothing says where a record has its conversation.
        """
        return WriteConversations(self.name, self.source(), cast("ConversationShape", self.shape))

    def source(self) -> ConversationSource:
        """Return where a record has its conversation.

        Raises:
            InvalidInputError: nothing says so.
        """
        return ConversationSource(self.messages_from, self.messages, self.system, self.tools_from, self.thinking)

    async def gather(self, storage: Storage, jobs: Sequence[GenerationMasterJob]) -> Any:
        """See `Form.gather`."""
        about = await self.container.gather(storage, jobs)
        return replace(about, shape=self.shape.name) if isinstance(about, Provenance) else about

    def is_own_directory(self, path: str) -> bool:
        """See `Form.is_own_directory`."""
        return self.container.is_own_directory(path)

    def open(self, path: str, about: Any) -> FormWriter:
        """See `Form.open`."""
        writer = self.container.open(path, about)
        if isinstance(writer, TableWriter):
            writer.fix_columns(_COLUMNS)
        return writer


class WriteConversations(Reshaper):
    """Makes rows of a shape of the conversations that records hold.

    Args:
        form: its name, for messages.
        source: where a record has its conversation.
        shape: what a row is.
    """

    def __init__(self, form: str, source: ConversationSource, shape: ConversationShape) -> None:
        self._form = form
        self._source = source
        self._shape = shape

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        for record in records:
            data = cast("dict[str, Any]", decode(record.payload))
            try:
                row = self._shape.written(self._source.of(data))
            except ConversationError as error:
                yield Refusal(record.uid, NotExportableError(record.uid, self._form, f"{error.path}: {error.reason}"))
                continue
            faults = self._shape.check(row)
            if faults:
                yield Refusal(record.uid, NotExportableError(record.uid, self._form, _told(faults)))
                continue
            key = record.annotations_key
            if key is not None and key in row:
                reason = f"annotations cannot stand under {key!r}, which is taken; choose another key"
                yield Refusal(record.uid, NotExportableError(record.uid, self._form, reason))
                continue
            if key is not None:
                row[key] = data[key]
            yield record._replace(payload=json_line(row))


def _told(faults: Sequence[Fault]) -> str:
    more = f"; and {len(faults) - _MOST_FAULTS} more faults" if len(faults) > _MOST_FAULTS else ""
    return "; ".join(map(str, faults[:_MOST_FAULTS])) + more
