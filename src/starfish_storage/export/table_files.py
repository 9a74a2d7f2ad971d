"""Tables as files: Parquet and Arrow IPC, written in pieces of bounded size, the same bytes for the same records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import IO, Any

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.table_sink import TableSink
from starfish_storage.extras import ArrowSchema, RecordBatch, arrow, arrow_errors, need

PARQUET_COMPRESSIONS = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")
ARROW_COMPRESSIONS = ("zstd", "lz4", "none")

_GROUP = 8 << 20  # bytes of JSON in a row group; writing one takes several times as much memory

_GROUP_MEMORY = 64 << 20  # bytes of Arrow data in one: where most fields are null, these are many times the JSON

OnRows = Callable[[int], object]
"""Called with how many records were written, from time to time, and at the end."""

Piece = tuple[RecordBatch, int]


def write_parquet(
    sink: TableSink,
    path: str | IO[bytes],
    identity: Mapping[str, str],
    *,
    compression: str = "zstd",
    progress: OnRows | None = None,
) -> int:
    """Write the records of a sink as a Parquet file, in row groups of about 8 MB of JSON; return how many.

    Args:
        sink: the records.
        path: the file, or where it is to be.
        identity: what the file says about itself, in its key-value metadata.
        compression: one of `PARQUET_COMPRESSIONS`.
        progress: called with how many were written.

    Raises:
        InvalidInputError: the compression is unknown, or the records do not form a table.
        MissingExtraError: pyarrow is not installed.
        OSError: the file cannot be written.
    """
    table = sink.unified()
    return write_parquet_pieces(table.pieces(sink.records), table.described(identity), path, compression, progress)


def write_parquet_pieces(
    pieces: Iterable[Piece],
    schema: ArrowSchema,
    path: str | IO[bytes],
    compression: str = "zstd",
    progress: OnRows | None = None,
) -> int:
    """Write pieces of a table as a Parquet file; see `write_parquet`."""
    check_compression(compression, PARQUET_COMPRESSIONS)
    pa, parquet = arrow(), need("pyarrow.parquet", "parquet", "Parquet files")
    written = 0
    with ExitStack() as stack:
        stack.enter_context(arrow_errors())
        # A file of our own: pyarrow takes no path that is not UTF-8.
        file = stack.enter_context(open(path, "wb")) if isinstance(path, str) else path
        writer = stack.enter_context(parquet.ParquetWriter(file, schema, compression=compression))
        for group in _groups(pieces):
            rows = pa.Table.from_batches(group).replace_schema_metadata(schema.metadata)
            group.clear()  # held by the table now, and let go of with it, before the next ones are made
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))
            written += rows.num_rows
            del rows
            if progress is not None:
                progress(written)
    return written


def write_arrow_ipc(
    sink: TableSink,
    path: str | IO[bytes],
    identity: Mapping[str, str],
    *,
    compression: str = "zstd",
    progress: OnRows | None = None,
) -> int:
    """Write the records of a sink as an Arrow IPC file (also known as Feather 2); return how many.

    Args:
        sink: the records.
        path: the file, or where it is to be.
        identity: what the file says about itself, in the metadata of its schema.
        compression: one of `ARROW_COMPRESSIONS`.
        progress: called with how many were written.

    Raises:
        InvalidInputError: the compression is unknown, or the records do not form a table.
        MissingExtraError: pyarrow is not installed.
        OSError: the file cannot be written.
    """
    table = sink.unified()
    return write_arrow_pieces(table.pieces(sink.records), table.described(identity), path, compression, progress)


def write_arrow_pieces(
    pieces: Iterable[Piece],
    schema: ArrowSchema,
    path: str | IO[bytes],
    compression: str = "zstd",
    progress: OnRows | None = None,
) -> int:
    """Write pieces of a table as an Arrow IPC file; see `write_arrow_ipc`."""
    check_compression(compression, ARROW_COMPRESSIONS)
    pa = arrow()
    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    written = 0
    with ExitStack() as stack:
        stack.enter_context(arrow_errors())
        # A file of our own: pyarrow would only close one that it was given a path of when it is collected.
        file = stack.enter_context(open(path, "wb")) if isinstance(path, str) else path
        writer = stack.enter_context(pa.ipc.new_file(file, schema, options=options))
        for group in _groups(pieces):
            rows = pa.Table.from_batches(group).combine_chunks()
            group.clear()  # copied
            writer.write_table(rows)
            written += rows.num_rows
            del rows
            if progress is not None:
                progress(written)
    return written


def check_compression(compression: str, known: tuple[str, ...]) -> None:
    """Refuse a compression that is not known.

    Raises:
        InvalidInputError: it is not one of these.
    """
    if compression not in known:
        raise InvalidInputError(f"unknown compression {shorten(compression)}: use one of {', '.join(known)}.")


def _groups(pieces: Iterable[Piece]) -> Iterator[list[Any]]:
    group: list[RecordBatch] = []
    size = memory = 0
    for batch, bytes_of_json in pieces:
        group.append(batch)
        size += bytes_of_json
        memory += batch.nbytes
        if size >= _GROUP or memory >= _GROUP_MEMORY:
            yield group
            group, size, memory = [], 0, 0
    if group:
        yield group
