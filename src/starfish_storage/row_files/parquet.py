"""Rows of Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from starfish_storage.extras import ArrowSchema, RecordBatch, arrow, need
from starfish_storage.row_files.columnar import BATCH, ColumnarTable
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.source_file import SourceFile


class ParquetTable(ColumnarTable):
    """The rows of Parquet files; see `ColumnarTable`."""

    form = "parquet"
    title = "a Parquet file"

    def open(self, file: SourceFile) -> tuple[ArrowSchema, Callable[[], Iterator[RecordBatch]]]:
        """See `ColumnarTable.open`."""
        pq = need("pyarrow.parquet", "parquet", "Parquet files")
        # By default, whole row groups are read ahead: some programs write one a file.
        parquet: Any = pq.ParquetFile(
            arrow().PythonFile(file.raw, "r"), memory_map=False, pre_buffer=False, buffer_size=2**20
        )
        return parquet.schema_arrow, lambda: parquet.iter_batches(BATCH)


def _of_one_file(file: SourceFile) -> ParquetTable:
    return ParquetTable([file])


PARQUET = FileForm(name="parquet", title="Parquet", endings=(".parquet", ".pq"), table=_of_one_file)
