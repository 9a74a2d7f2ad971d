"""Records as tables in memory: Arrow, pandas and Polars."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Unpack

from starfish_storage.codec import json_text
from starfish_storage.errors import InvalidInputError
from starfish_storage.export.exporting import carry_out
from starfish_storage.export.fields import unknown_field
from starfish_storage.export.forms import DEFAULT_METADATA_KEY, Form, FormWriter
from starfish_storage.export.options import FrameOptions, check_names
from starfish_storage.export.provenance import Provenance, choice_of
from starfish_storage.export.report import ExportReport
from starfish_storage.export.table_rules import TableRules
from starfish_storage.export.table_sink import TableSink
from starfish_storage.export.tables import TableWriter
from starfish_storage.extras import ArrowTable, arrow, need
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


async def to_arrow(storage: Storage, **options: Unpack[FrameOptions]) -> ArrowTable:
    """Return records as an Arrow table. The keys of their data are its columns, and one schema fits all records.

    What a column cannot hold as it is becomes JSON text (the page on data frames says what that is), and the table's
    metadata notes it, as it says how the records were chosen, and how many halves of surrogate pairs became U+FFFD.
    Records without data are left out. Oldest first, the master jobs in the order in which they are given.

    Args:
        storage: where they are; it must be set up.
        options: which records, and what of them: see `FrameOptions` and `RecordOptions`.

    Raises:
        NotFoundError: a master job or the project does not exist; `DataLostError` if data is lost.
        StoreDamagedError: data is damaged.
        NotExportableError: a record does not fit, as one that has a field with the name of the metadata's column.
        InvalidInputError: no records are named, no record has one of the fields, columns or maps, or an option cannot
            be used.
        MissingExtraError: pyarrow is not installed.
    """
    arrow()  # before anything is read
    check_names(options, FrameOptions, "to_arrow")
    form = _InMemory(options)
    report = await carry_out(storage, _Memory(), form, options)
    for name, similar in report.unknown_fields.items():
        raise unknown_field(name, similar)
    return form.told(report)


async def to_pandas(storage: Storage, **options: Unpack[FrameOptions]) -> pd.DataFrame:
    """Return records as a pandas data frame, made of Arrow columns; takes what `to_arrow` takes.

    Raises:
        MissingExtraError: pandas or pyarrow is not installed.
        StorageError: as `to_arrow`.
    """
    pandas = need("pandas", "pandas", "pandas data frames")
    table = await to_arrow(storage, **options)
    # Arrow's own types: NumPy has no integers that may be null, and would hold them as floats.
    return await asyncio.to_thread(table.to_pandas, types_mapper=pandas.ArrowDtype)


async def to_polars(storage: Storage, **options: Unpack[FrameOptions]) -> pl.DataFrame:
    """Return records as a Polars data frame; takes what `to_arrow` takes.

    Raises:
        MissingExtraError: Polars or pyarrow is not installed.
        StorageError: as `to_arrow`.
    """
    polars = need("polars", "polars", "Polars data frames")
    return polars.from_arrow(await to_arrow(storage, **options))


class _Memory(nullcontext[None]):
    """The place of a table: see `ExportPlace`. What is put aside meanwhile are files without names."""

    partial = ""

    @property
    def path(self) -> str:
        """Where an error of the disk comes from."""
        return tempfile.gettempdir()

    def put(self) -> int:
        """Do nothing: the form holds what was made."""
        return 0

    def stop(self) -> None:
        """Do nothing: nobody waits."""


class _InMemory(Form):
    """A table in memory as a form of exports, so that records take the same way there. It serves one of them.

    Args:
        options: what is asked for.

    Raises:
        InvalidInputError: one of them cannot be used.
    """

    name = "a table"

    def __init__(self, options: FrameOptions) -> None:
        metadata = options.get("metadata", False)
        self.metadata_key = DEFAULT_METADATA_KEY if metadata is True else metadata or None
        self._rules = TableRules(options.get("pad", False), options.get("map_fields", ()))
        self._columns = options.get("columns")
        if isinstance(self._columns, str) or (self._columns is not None and not self._columns):
            raise InvalidInputError("columns must be a list of names, for example ['answer'], or None for all.")
        self._about = Provenance(())
        self._table: ArrowTable = None

    async def gather(self, storage: Storage, jobs: Sequence[GenerationMasterJob]) -> Provenance:  # noqa: ARG002 (nothing is asked)
        """See `Form.gather`: of its runs a table says nothing, as that takes many queries for each."""
        return self._about

    def open(self, path: str, about: Any) -> FormWriter:  # noqa: ARG002 (nothing is written there)
        """See `Form.open`."""
        self._about = about
        sink = TableSink(tempfile.gettempdir(), self.metadata_key, rules=self._rules)

        def keep() -> None:
            table = sink.unified() if self._columns is None else sink.unified().only(self._columns)
            batches = [batch for batch, _ in table.pieces(sink.records)]
            self._table = arrow().Table.from_batches(batches, table.schema)
            self._table = self._table.replace_schema_metadata(table.described({}).metadata)

        return TableWriter(self.name, sink, keep)

    def told(self, report: ExportReport) -> ArrowTable:
        """Return the table, with what its metadata says of the records that are in it."""
        told = choice_of(self._about, report.unfinished)
        if report.replaced_halves:
            told["starfish_storage.replaced_halves"] = json_text(report.replaced_halves)
        return self._table.replace_schema_metadata({**told, **self._table.schema.metadata})
