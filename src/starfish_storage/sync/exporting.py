# Made by scripts/make_sync.py from starfish_storage.export: change that, and run the script.
"""The synchronous face of the functions of `starfish_storage.export`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Unpack

from starfish_storage import export as asynchronous
from starfish_storage.export.forms import Form
from starfish_storage.export.options import ExportOptions, FrameOptions
from starfish_storage.export.report import ExportReport
from starfish_storage.export.streaming import ByteStream
from starfish_storage.extras import ArrowTable
from starfish_storage.sync.stores import Store, with_store

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def export(
    destination: str | os.PathLike[str] | ByteStream,
    form: Form | None = None,
    *,
    store: Store,
    **options: Unpack[ExportOptions],
) -> ExportReport:
    """Write the records of master jobs into a file or directory, which appears once it is complete.

    The order is fixed: master jobs as they were given, those of a project oldest first, the records of each oldest
    first by start time, then by uid. The same records give the same bytes. Memory does not grow with their number.

    Args:
        store: the store; it is not changed. An open one, or a path or URI, which is opened for this call.
        destination: the file or directory to make; or a stream that takes bytes, such as ``sys.stdout.buffer``, which
            stays open, and keeps what it has taken if the export fails.
        form: what to write; None to infer it from the ending of the destination (see `form_of`); into a stream, JSON
            Lines.
        options: which records, what of them, and how: see `ExportOptions` and `RecordOptions`.

    Raises:
        InvalidInputError: no records are named, or the destination, the form or an option cannot be used.
        NotFoundError: a master job or the project does not exist. `AlreadyExistsError` if the destination does.
        DataLostError: the data of a record is lost. `StoreDamagedError` if it is damaged.
        NotExportableError: the form cannot hold a record. `StorageIOError` if writing failed: nothing has changed then.
    """
    return with_store(store, lambda storage: asynchronous.export(storage, destination, form, **options))


def to_arrow(*, store: Store, **options: Unpack[FrameOptions]) -> ArrowTable:
    """Return records as an Arrow table. The keys of their data are its columns, and one schema fits all records.

    What a column cannot hold as it is becomes JSON text (the page on data frames says what that is), and the table's
    metadata notes it, as it says how the records were chosen, and how many halves of surrogate pairs became U+FFFD.
    Records without data are left out. Oldest first, the master jobs in the order in which they are given.

    Args:
        store: where they are. An open one, or a path or URI, which is opened for this call.
        options: which records, and what of them: see `FrameOptions` and `RecordOptions`.

    Raises:
        NotFoundError: a master job or the project does not exist; `DataLostError` if data is lost.
        StoreDamagedError: data is damaged.
        NotExportableError: a record does not fit, as one that has a field with the name of the metadata's column.
        InvalidInputError: no records are named, no record has one of the fields, columns or maps, or an option cannot
            be used.
        MissingExtraError: pyarrow is not installed.
    """
    return with_store(store, lambda storage: asynchronous.to_arrow(storage, **options))


def to_pandas(*, store: Store, **options: Unpack[FrameOptions]) -> pd.DataFrame:
    """Return records as a pandas data frame, made of Arrow columns; takes what `to_arrow` takes.

    Raises:
        MissingExtraError: pandas or pyarrow is not installed.
        StorageError: as `to_arrow`.
    """
    return with_store(store, lambda storage: asynchronous.to_pandas(storage, **options))


def to_polars(*, store: Store, **options: Unpack[FrameOptions]) -> pl.DataFrame:
    """Return records as a Polars data frame; takes what `to_arrow` takes.

    Raises:
        MissingExtraError: Polars or pyarrow is not installed.
        StorageError: as `to_arrow`.
    """
    return with_store(store, lambda storage: asynchronous.to_polars(storage, **options))
