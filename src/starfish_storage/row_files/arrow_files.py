"""Rows of Arrow IPC files and streams, and of Feather files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from starfish_storage.extras import ArrowSchema, RecordBatch, arrow, need
from starfish_storage.row_files.columnar import ColumnarTable
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.source_file import SourceFile

_FILE, _FEATHER_1 = b"ARROW1", b"FEA1"


class ArrowFileTable(ColumnarTable):
    """The rows of Arrow files, each an IPC file, an IPC stream as `datasets` writes, or Feather; see `ColumnarTable`.

    A batch of a file is in memory as a whole, and Feather of version 1, which has no batches, the file.
    """

    form = "arrow"
    title = "an Arrow file"

    def open(self, file: SourceFile) -> tuple[ArrowSchema, Callable[[], Iterator[RecordBatch]]]:
        """See `ColumnarTable.open`."""
        ipc: Any = need("pyarrow.ipc", "parquet", "Arrow files")
        start = file.raw.read(len(_FILE))
        source = arrow().PythonFile(file.raw, "r")
        if start.startswith(_FEATHER_1):
            table = _read_feather_1(source)
            return table.schema, lambda: map(_valid, table.to_batches())
        if start == _FILE:
            opened = ipc.open_file(source)
            return opened.schema, lambda: (
                _valid(opened.get_batch(number)) for number in range(opened.num_record_batches)
            )
        stream = ipc.open_stream(source)
        return stream.schema, lambda: map(_valid, stream)


def _of_one_file(file: SourceFile) -> ArrowFileTable:
    return ArrowFileTable([file])


ARROW = FileForm(
    name="arrow", title="Arrow or Feather", endings=(".arrow", ".feather", ".ipc", ".arrows"), table=_of_one_file
)


def _valid(batch: RecordBatch) -> RecordBatch:
    """Return a batch that leads nowhere outside of itself: reading one of a damaged file may end the process."""
    batch.validate(full=True)
    return batch


def _read_feather_1(source: Any) -> Any:
    feather = need("pyarrow.feather", "parquet", "Feather files")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of the format, which whoever has such a file did not choose
        return feather.read_table(source)
