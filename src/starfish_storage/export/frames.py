"""Records as tables in memory: Arrow, pandas and Polars."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from starfish_storage.errors import InvalidInputError, NotExportableError, StoreDamagedError
from starfish_storage.export.annotations import annotations_key, beside_data
from starfish_storage.export.forms import DEFAULT_METADATA_KEY, check_metadata_key
from starfish_storage.export.halves import HalvesReplaced
from starfish_storage.export.metadata import describe
from starfish_storage.export.provenance import told_of
from starfish_storage.export.selection import DEFAULT_STATUSES, Selection, accepting, select
from starfish_storage.export.table_rules import TableRules
from starfish_storage.export.table_sink import TableSink
from starfish_storage.export.unfinished import told_of_unfinished, unfinished_runs
from starfish_storage.extras import ArrowTable, arrow, need
from starfish_storage.filtering import Condition, Sample
from starfish_storage.interface import ScannedRecord, Storage

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Which(TypedDict, total=False):
    """Which records, and how: the arguments of `to_arrow`, which says what they mean."""

    master_job_ids: Sequence[str]
    project_id: str | None
    statuses: Sequence[str] | None
    where: Sequence[str | Condition]
    sample: Sample | None
    columns: Sequence[str] | None
    metadata: bool | str
    accepted_only: bool
    with_annotations: bool | str
    skip_damaged: bool
    pad: bool
    map_fields: Sequence[str]


async def to_arrow(
    storage: Storage,
    *,
    master_job_ids: Sequence[str] = (),
    project_id: str | None = None,
    statuses: Sequence[str] | None = DEFAULT_STATUSES,
    where: Sequence[str | Condition] = (),
    sample: Sample | None = None,
    columns: Sequence[str] | None = None,
    metadata: bool | str = False,
    accepted_only: bool = False,
    with_annotations: bool | str = False,
    skip_damaged: bool = False,
    pad: bool = False,
    map_fields: Sequence[str] = (),
) -> ArrowTable:
    """Return records as an Arrow table. The keys of their data are its columns, and one schema fits all records.

    What a column cannot hold as it is becomes JSON text (the page on data frames says what that is), and the table's
    metadata notes it, as it says how the records were chosen, and how many halves of surrogate pairs became U+FFFD.
    Records without data are left out. Oldest first, the master jobs in the order in which they are given.

    Args:
        storage: where they are; it must be set up.
        master_job_ids: of these master jobs.
        project_id: of all master jobs of this project, oldest first, after those that are named.
        statuses: with one of these statuses; None for all.
        where: that fit all of these conditions, such as ``"score>=0.5"``: see `filtering.Condition`.
        sample: so many of each master job that fit, in the order of a shuffle.
        columns: only these, in this order.
        metadata: True, or a name, for a column with what the store knows of each record: ids, status, times, costs.
        accepted_only: only records that at least one author has accepted, and none has rejected.
        with_annotations: True, or a name, for a column with what people say of each record: see `export`.
        skip_damaged: leave out records whose data is lost or damaged; otherwise the first one raises.
        pad: objects of which some have keys that others lack are filled up with nulls, in place of JSON text.
        map_fields: the fields whose objects are maps, such as ``scores`` or ``calls[].arguments``.

    Raises:
        NotFoundError: a master job or the project does not exist; `DataLostError` if data is lost.
        StoreDamagedError: data is damaged.
        InvalidInputError: no records are named, a column or map does not exist, or has the name of the metadata's.
        MissingExtraError: pyarrow is not installed.
    """
    arrow()  # before anything is read
    key = check_metadata_key(DEFAULT_METADATA_KEY if metadata is True else metadata or None)
    if isinstance(columns, str) or (columns is not None and not columns):
        raise InvalidInputError("columns must be a list of names, for example ['answer'], or None for all.")
    beside = annotations_key(with_annotations, key)
    selection = await select(storage, master_job_ids, project_id, statuses, accepting(where, accepted_only), sample)
    return await _collected(selection, key, beside, columns, skip_damaged, TableRules(pad, map_fields))


async def _collected(
    selection: Selection,
    key: str | None,
    beside: str | None,
    columns: Sequence[str] | None,
    skip_damaged: bool,
    rules: TableRules,
) -> ArrowTable:
    """Return records as a table, with their metadata and what people say of them under keys."""
    storage = selection.storage
    with tempfile.TemporaryDirectory(prefix="starfish-storage-") as directory:
        sink, halves = TableSink(directory, metadata_key=key, rules=rules), HalvesReplaced()
        if beside is not None:
            sink.pad_column(beside)
        try:
            async for batch in selection.scan():
                about = [None] * len(batch) if key is None else await describe(storage, batch)
                judged = await _judged(storage, batch, beside)
                await asyncio.to_thread(_add, sink, judged, about, halves, skip_damaged)
            told = told_of(selection.chosen()) | told_of_unfinished(await unfinished_runs(storage, selection.jobs))
            return await asyncio.to_thread(_table, sink, columns, told | halves.told())
        finally:
            sink.close()


async def to_pandas(storage: Storage, **which: Unpack[Which]) -> pd.DataFrame:
    """Return records as a pandas data frame, made of Arrow columns; takes what `to_arrow` takes.

    Raises:
        MissingExtraError: pandas or pyarrow is not installed.
        StorageError: as `to_arrow`.
    """
    pandas = need("pandas", "pandas", "pandas data frames")
    table = await to_arrow(storage, **which)
    # Arrow's own types: NumPy has no integers that may be null, and would hold them as floats.
    return await asyncio.to_thread(table.to_pandas, types_mapper=pandas.ArrowDtype)


async def to_polars(storage: Storage, **which: Unpack[Which]) -> pl.DataFrame:
    """Return records as a Polars data frame; takes what `to_arrow` takes.

    Raises:
        MissingExtraError: Polars or pyarrow is not installed.
        StorageError: as `to_arrow`.
    """
    polars = need("polars", "polars", "Polars data frames")
    return polars.from_arrow(await to_arrow(storage, **which))


async def _judged(storage: Storage, batch: Sequence[ScannedRecord], key: str | None) -> list[ScannedRecord]:
    """Return records whose data has what is said of them under a key."""
    if key is None:
        return list(batch)
    payloads = await beside_data(storage, [record for record in batch if record.payload is not None], key, "a table")
    found = iter(payloads)
    judged: list[ScannedRecord] = []
    for record in batch:
        payload = next(found) if record.payload is not None else None
        is_refused = isinstance(payload, NotExportableError)
        judged.append(record._replace(payload=None, error=payload) if is_refused else record._replace(payload=payload))
    return judged


def _add(
    sink: TableSink,
    batch: Sequence[ScannedRecord],
    metadata: Sequence[dict[str, Any] | None],
    halves: HalvesReplaced,
    skip_damaged: bool,
) -> None:
    for record, about in zip(batch, metadata, strict=True):
        if record.error is not None:
            if not skip_damaged:
                raise record.error
        elif record.payload is not None:
            try:
                sink.add(record.record_uid, halves.data(record.payload), halves.metadata(about))
            except StoreDamagedError:
                if not skip_damaged:
                    raise


def _table(sink: TableSink, columns: Sequence[str] | None, told: dict[str, str]) -> ArrowTable:
    table = sink.unified()
    if columns is not None:
        table = table.only(columns)
    batches = [batch for batch, _ in table.pieces(sink.records)]
    found: ArrowTable = arrow().Table.from_batches(batches, table.schema)
    return found.replace_schema_metadata(table.described(told).metadata)
