"""The contract of a form: what records are written as."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, TypeVar

from starfish_storage.codec import decode, encode
from starfish_storage.conversations.prompts import prompt_of
from starfish_storage.errors import InvalidInputError, NotExportableError
from starfish_storage.export.provenance import Chosen
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.export.schema import Conflict
from starfish_storage.export.splitting import BY_INPUT, SPLIT_OPTIONS, SplitOptions
from starfish_storage.form_option import FormOption
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob

DEFAULT_METADATA_KEY = "metadata"

OnRows = Callable[[int], object]
"""Takes how many more records were written."""


class Form(ABC):
    """What records are written as. Immutable: one form serves any number of exports.

    Attributes:
        name: as it is called on the command line and in messages.
        endings: of the files that hold it.
        is_directory: it is a directory, and not a file.
        is_direct: its writer writes record after record and never looks back, so that it can write into a pipe.
        is_compressed_by_ending: it has a field ``compression``, which ``.gz`` or ``.zst`` behind its ending sets.
        options: its fields that the command line can set.
        containers: the names of the forms by which its rows are written, of which its field ``container`` is one; empty
            if it writes them itself.
        metadata_key: the key under which a record's metadata stands; None to leave that out.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]] = ()
    is_directory: ClassVar[bool] = False
    is_direct: ClassVar[bool] = False
    is_compressed_by_ending: ClassVar[bool] = False
    options: ClassVar[tuple[FormOption, ...]] = ()
    containers: ClassVar[tuple[str, ...]] = ()
    metadata_key: str | None = None

    @property
    def needs_source(self) -> bool:
        """Whether its records have their `RecordSource`, which takes two more queries for each batch."""
        return False

    @property
    def splitting(self) -> SplitOptions | None:
        """How its records are divided into splits; None: they are not."""
        return None

    @property
    def makes_directory(self) -> bool:
        """Whether this one is a directory: a form of files is, if its records are divided into splits."""
        return self.is_directory

    @property
    def written_as(self) -> Form:
        """The form by which its rows are written: itself, or its container."""
        return self

    def chosen(self) -> Chosen:
        """Return which records the form takes, for cards and metadata; empty if it takes all."""
        return Chosen()

    def reshapers(self) -> Sequence[Reshaper]:
        """Return the steps that records take before the writer of this form, new ones for each export."""
        return ()

    def prompt_of(self, data: Mapping[str, Any]) -> object:
        """Return what the data of a record asks a model, by which records without an input are divided; None: nothing.

        What of it is written may be a conversation that only the form knows.
        """
        return prompt_of(data)

    async def gather(self, storage: Storage, jobs: Sequence[GenerationMasterJob]) -> Any:  # noqa: ARG002 (for others)
        """Return what the form says about the whole export, read before its records. Most say nothing."""
        return None

    def is_own_directory(self, path: str) -> bool:  # noqa: ARG002 (for forms that are directories)
        """Return whether a directory holds what this form makes and nothing else, so that it may be replaced."""
        return False

    @abstractmethod
    def open(self, path: str, about: Any) -> FormWriter:
        """Begin to write.

        Args:
            path: an empty file, or an empty directory.
            about: what `gather` has returned.

        Raises:
            InvalidInputError: what it needs is not installed.
        """


@dataclass(frozen=True, kw_only=True)
class DivisibleForm(Form):
    """A form whose records can be divided into splits: see `SplitOptions` for its fields.

    A form of files is then a directory, with a file for each split and a card.
    """

    splits: Mapping[str, float] | None = field(default=None, repr=False)
    split_by: str | None = field(default=None, repr=False)
    group_by: str = field(default=BY_INPUT, repr=False)
    seed: int = field(default=0, repr=False)

    options: ClassVar[tuple[FormOption, ...]] = SPLIT_OPTIONS

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InvalidInputError: one of them cannot be used.
        """
        self._split_options()

    @property
    def splitting(self) -> SplitOptions | None:
        """See `Form.splitting`."""
        return None if self.splits is None and self.split_by is None else self._split_options()

    @property
    def makes_directory(self) -> bool:
        """See `Form.makes_directory`."""
        return self.is_directory or self.splitting is not None

    def _split_options(self) -> SplitOptions:
        return SplitOptions(self.splits, self.split_by, self.group_by, self.seed)


FormClass = TypeVar("FormClass", bound=type[Form])

_REGISTERED: dict[str, type[Form]] = {}


def registered(kind: FormClass) -> FormClass:
    """Make a form known by its name and its endings, also to the command line: a decorator of its class.

    Raises:
        InvalidInputError: another form has its name, or one of its endings.
    """
    for other in _REGISTERED.values():
        taken = {kind.name, *kind.endings} & {other.name, *other.endings}
        if taken:
            raise InvalidInputError(f"{min(taken)!r} belongs to the form {other.__name__}; choose another name.")
    _REGISTERED[kind.name] = kind
    return kind


def registered_forms() -> tuple[type[Form], ...]:
    """Return all forms that have a name, in the order in which they were registered."""
    return tuple(_REGISTERED.values())


class FormWriter(ABC):
    """Writes one export. All of its methods are called in one thread, one after the other.

    They may raise plain `OSError`: the export knows what was written, and says so.
    """

    @abstractmethod
    def add(self, records: Sequence[ExportedRecord]) -> list[Refusal]:
        """Take records, in order; return why those that this form cannot hold were left out."""

    def add_lines(self, lines: bytes) -> bool:  # noqa: ARG002 (for those that write lines)
        """Take the data of records, one a line, in place of the records; False: it needs those."""
        return False

    def expect(self, fields: Sequence[str]) -> None:  # noqa: B027 (only a header has names of what no record has)
        """Take, before the first record, the names to which the data of all records was cut, in their order."""

    def watch(self, tell: OnRows) -> None:  # noqa: B027 (nothing to tell for those who write at once)
        """Take what `finish` is to call now and then, with how many more records it has written.

        It may raise, to end the export: a form that puts all records aside calls it at least once a second.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write everything that is not written yet; nothing is added after this."""

    @abstractmethod
    def close(self) -> None:
        """Close and remove everything temporary, however the export ended. Idempotent."""

    @property
    def rows_of_splits(self) -> Mapping[str, int]:
        """How many rows each split has, of those that are known, after `finish`; empty for a form without splits."""
        return {}

    @property
    def conflicts(self) -> Sequence[Conflict]:
        """The values that no one type fits, after `finish`."""
        return ()


def check_metadata_key(key: str | None) -> str | None:
    """Return a metadata key, or None, if a file can hold it.

    Raises:
        InvalidInputError: it is empty, or not printable.
    """
    if key is not None and (not key or not key.isprintable()):
        raise InvalidInputError(f"the metadata key {key!a} cannot be used: give a word, such as 'metadata'.")
    return key


def splice(record: ExportedRecord, key: str | None, form: str) -> bytes:
    """Return a record's data as a line, with its metadata under a key.

    Raises:
        NotExportableError: the data has that key itself.
    """
    payload = record.payload
    if key is None or record.metadata is None:
        return payload
    member = encode_member(key, record.metadata)
    if payload == b"{}\n":
        return b"{" + member + b"}\n"
    check_free(record, key, form)
    return payload[:-2] + b"," + member + b"}\n"


def encode_member(key: str, value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return a key with its value as they stand in a JSON object."""
    return encode({key: value}, "metadata")[1:-2]


@cache
def _quoted(key: str) -> bytes:
    return encode({key: None}, "key")[1:-7]


def check_free(record: ExportedRecord, key: str, form: str) -> None:
    """Refuse a record whose data has the key under which its metadata is to stand.

    Raises:
        NotExportableError: it has.
    """
    if has_key(record.payload, key):
        raise NotExportableError(
            record.uid, form, f"its data has a key {key!r} of its own; choose another metadata key"
        )


def has_key(payload: bytes, key: str) -> bool:
    """Return whether data has a key."""
    # Looking for the text first: one record in thousands has it, and parsing costs more than all the rest.
    return (_quoted(key) in payload or b"\\u" in payload) and key in decode(payload)
