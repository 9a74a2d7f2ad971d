"""Tables with one schema for all records: Parquet, Arrow IPC, and Hugging Face datasets."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from starfish_storage.errors import InvalidInputError, StoreDamagedError
from starfish_storage.export.compression import COMPRESSION
from starfish_storage.export.dataset_directory import ARROW_FILES, PARQUET_FILES, SplitFiles, is_dataset, write_dataset
from starfish_storage.export.forms import DivisibleForm, Form, FormWriter, OnRows, registered
from starfish_storage.export.provenance import Provenance, collect_provenance, identity_of
from starfish_storage.export.records import ExportedRecord, Refusal, refusal_of
from starfish_storage.export.schema import Conflict
from starfish_storage.export.splitting import SPLIT_OPTIONS, WHOLE, SplitOptions
from starfish_storage.export.table_files import (
    ARROW_COMPRESSIONS,
    PARQUET_COMPRESSIONS,
    check_compression,
    write_arrow_ipc,
    write_parquet,
)
from starfish_storage.export.table_rules import MAPS, PAD, FixedColumns, TableRules
from starfish_storage.export.table_sink import TableSink
from starfish_storage.extras import arrow
from starfish_storage.form_option import FormOption
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob

_PLAIN_JSON = FormOption("plain_json", "Datasets: read JSON text as text, not as objects.", kind=bool)


class TableForm(Form):
    """A form whose files say where their records come from."""

    async def gather(self, storage: Storage, jobs: Sequence[GenerationMasterJob]) -> Provenance:
        """See `Form.gather`."""
        return await collect_provenance(storage, [job.master_job_id for job in jobs])

    @abstractmethod
    def open(self, path: str, about: Provenance) -> FormWriter:
        """See `Form.open`."""


@registered
@dataclass(frozen=True)
class Parquet(TableForm, DivisibleForm):
    """A Parquet file: one row a record, one column a key, of a type that fits all records. Needs the extra ``parquet``.

    Args:
        compression: ``"zstd"``, ``"snappy"``, ``"gzip"``, ``"brotli"``, ``"lz4"`` or ``"none"``.
        metadata_key: the column of a record's metadata; None to leave that out.
        pad: objects of which some have keys that others lack are filled up with nulls, in place of JSON text.
        map_fields: the fields whose objects are maps, such as ``scores`` or ``calls[].arguments``.
        splits: write a directory with a file for each split, such as ``train.parquet``, and a card: see `SplitOptions`,
            also for ``split_by``, ``group_by`` and ``seed``. All have one schema.

    Raises:
        InvalidInputError: one of them cannot be used.
    """

    compression: str = "zstd"
    metadata_key: str | None = None
    pad: bool = False
    map_fields: Sequence[str] = ()

    name: ClassVar[str] = "parquet"
    endings: ClassVar[tuple[str, ...]] = (".parquet",)
    options: ClassVar[tuple[FormOption, ...]] = (*SPLIT_OPTIONS, PAD, MAPS, COMPRESSION)

    def __post_init__(self) -> None:
        """See `DivisibleForm`."""
        super().__post_init__()
        check_compression(self.compression, PARQUET_COMPRESSIONS)
        self._rules()

    def open(self, path: str, about: Provenance) -> FormWriter:
        """See `Form.open`."""
        if self.splitting is not None:
            return _file_for_each_split(self, path, about, self._rules(), PARQUET_FILES)
        sink = TableSink(os.path.dirname(path), self.metadata_key, rules=self._rules())
        return TableWriter(
            self.name, sink, lambda: write_parquet(sink, path, identity_of(about), compression=self.compression)
        )

    def is_own_directory(self, path: str) -> bool:
        """See `Form.is_own_directory`."""
        return is_dataset(path)

    def _rules(self) -> TableRules:
        return TableRules(self.pad, self.map_fields)


@registered
@dataclass(frozen=True)
class ArrowIpc(TableForm, DivisibleForm):
    """An Arrow IPC file (also known as Feather), with the table of `Parquet`. Needs the extra ``parquet``.

    Args:
        compression: ``"zstd"``, ``"lz4"`` or ``"none"``.
        metadata_key: the column of a record's metadata; None to leave that out.
        pad: objects of which some have keys that others lack are filled up with nulls, in place of JSON text.
        map_fields: the fields whose objects are maps, such as ``scores`` or ``calls[].arguments``.
        splits: write a directory with a file for each split, as of `Parquet`.

    Raises:
        InvalidInputError: one of them cannot be used.
    """

    compression: str = "zstd"
    metadata_key: str | None = None
    pad: bool = False
    map_fields: Sequence[str] = ()

    name: ClassVar[str] = "arrow"
    endings: ClassVar[tuple[str, ...]] = (".arrow", ".feather")
    options: ClassVar[tuple[FormOption, ...]] = (*SPLIT_OPTIONS, PAD, MAPS, COMPRESSION)

    def __post_init__(self) -> None:
        """See `DivisibleForm`."""
        super().__post_init__()
        check_compression(self.compression, ARROW_COMPRESSIONS)
        self._rules()

    def open(self, path: str, about: Provenance) -> FormWriter:
        """See `Form.open`."""
        if self.splitting is not None:
            return _file_for_each_split(self, path, about, self._rules(), ARROW_FILES)
        sink = TableSink(os.path.dirname(path), self.metadata_key, rules=self._rules())
        return TableWriter(
            self.name, sink, lambda: write_arrow_ipc(sink, path, identity_of(about), compression=self.compression)
        )

    def is_own_directory(self, path: str) -> bool:
        """See `Form.is_own_directory`."""
        return is_dataset(path)

    def _rules(self) -> TableRules:
        return TableRules(self.pad, self.map_fields)


@registered
@dataclass(frozen=True)
class HuggingFace(TableForm, DivisibleForm):
    """A directory that `datasets.load_dataset` opens: Parquet files for each split, and a card. Needs ``parquet``.

    Args:
        splits: names of splits and what fraction of the records each gets: see `SplitOptions`, also for ``group_by``.
        split_by: in place of that, the field of the data that names the split.
        seed: another one divides otherwise.
        shard_bytes: bytes of JSON after which another file of a split begins.
        compression: of the Parquet files.
        metadata_key: the column of a record's metadata; None to leave that out.
        card: the body of the card, in Markdown; None for what the store knows of the runs.
        pad: objects of which some have keys that others lack are filled up with nulls, in place of JSON text.
        plain_json: JSON text stays text where `datasets` would read objects (from version 4.7 on); see `export`'s page.

    Raises:
        InvalidInputError: one of them cannot be used.
    """

    splits: Mapping[str, float] | None = None
    split_by: str | None = None
    seed: int = 0
    shard_bytes: int = 500_000_000
    compression: str = "zstd"
    metadata_key: str | None = None
    card: str | None = None
    pad: bool = False
    plain_json: bool = False

    name: ClassVar[str] = "huggingface"
    is_directory: ClassVar[bool] = True
    options: ClassVar[tuple[FormOption, ...]] = (*SPLIT_OPTIONS, PAD, _PLAIN_JSON, COMPRESSION)

    def __post_init__(self) -> None:
        """See `DivisibleForm`."""
        super().__post_init__()
        check_compression(self.compression, PARQUET_COMPRESSIONS)
        if self.shard_bytes < 1:
            raise InvalidInputError(f"shard_bytes {self.shard_bytes} cannot be used: give 1 or more.")

    @property
    def splitting(self) -> SplitOptions:
        """See `Form.splitting`: without splits, all are ``train``."""
        return SplitOptions(self.splits, self.split_by, self.group_by, self.seed)

    def open(self, path: str, about: Provenance) -> FormWriter:
        """See `Form.open`."""
        rules, names = TableRules(self.pad), self.splitting.names
        sink = TableSink(os.path.dirname(path), self.metadata_key, names, self.shard_bytes, rules)
        how: dict[str, Any] = {"compression": self.compression, "plain_json": self.plain_json}
        return DatasetWriter(self.name, sink, path, about, self.card, **how)

    def is_own_directory(self, path: str) -> bool:
        """See `Form.is_own_directory`."""
        return is_dataset(path)


class TableWriter(FormWriter):
    """Puts the records aside until the schema of all is known, then writes the table.

    Args:
        form: its name, for messages.
        sink: where they are put aside.
        write: writes what was put aside.
    """

    def __init__(self, form: str, sink: TableSink, write: Callable[[], object]) -> None:
        arrow()  # refused at once if it is not installed, not after an hour of reading
        self._form = form
        self._sink = sink
        self._write = write

    def add(self, records: Sequence[ExportedRecord]) -> list[Refusal]:
        """See `FormWriter.add`."""
        refused: list[Refusal] = []
        for record in records:
            uid = record.uid
            if record.annotations_key is not None:
                self._sink.pad_column(record.annotations_key)
            try:
                self._sink.add(uid, record.payload, record.metadata, record.split or WHOLE)
            except InvalidInputError as error:
                refused.append(refusal_of(uid, self._form, error))
            except StoreDamagedError as error:
                refused.append(Refusal(uid, error))
        return refused

    def fix_columns(self, columns: FixedColumns) -> None:
        """Let columns of the data be written in a fixed way, whatever is in them; before the first `add`."""
        self._sink.fix_columns(columns)

    def watch(self, tell: OnRows) -> None:
        """See `FormWriter.watch`."""
        self._sink.watch(tell)

    def finish(self) -> None:
        """See `FormWriter.finish`."""
        self._write()

    def close(self) -> None:
        """See `FormWriter.close`."""
        self._sink.close()

    @property
    def conflicts(self) -> Sequence[Conflict]:
        """See `FormWriter.conflicts`."""
        return self._sink.conflicts


class DatasetWriter(TableWriter):
    """Writes a directory with the files of splits, and a card.

    Args:
        form: its name, for messages.
        sink: where records are put aside.
        directory: where the files go.
        about: where the records come from.
        card: the body of the card; None for what the store knows.
        how: the options of `write_dataset`.
    """

    def __init__(
        self, form: str, sink: TableSink, directory: str, about: Provenance, card: str | None = None, **how: Any
    ) -> None:
        body = about if card is None else card

        def write() -> int:
            return write_dataset(sink, directory, identity_of(about), body, division=about.division, **how)

        super().__init__(form, sink, write)

    @property
    def rows_of_splits(self) -> Mapping[str, int]:
        """See `FormWriter.rows_of_splits`."""
        return {name: spool.rows for name, spool in self._sink.splits.items()}


def _file_for_each_split(
    form: Parquet | ArrowIpc, path: str, about: Provenance, rules: TableRules, files: SplitFiles
) -> FormWriter:
    names = () if form.splitting is None else form.splitting.names
    sink = TableSink(os.path.dirname(path), form.metadata_key, names, rules=rules)
    # Not marked for `datasets`, as a single file is not.
    how: dict[str, Any] = {"files": files, "compression": form.compression, "plain_json": True}
    return DatasetWriter(form.name, sink, path, about, **how)
