"""A dataset as Hugging Face's `datasets` opens it: Parquet files for each split, and a card."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.card import DatasetFacts, SplitFacts, card_text, inline
from starfish_storage.export.features import reads_json
from starfish_storage.export.provenance import Provenance
from starfish_storage.export.splitting import HuggingFaceOptions
from starfish_storage.export.spool import Spool
from starfish_storage.export.table_files import OnRows, write_parquet_pieces
from starfish_storage.export.table_sink import TableSink
from starfish_storage.export.unified_table import UnifiedTable
from starfish_storage.extras import ArrowSchema, RecordBatch
from starfish_storage.surrogates import replaced


def write_dataset(
    sink: TableSink,
    directory: str,
    identity: Mapping[str, str],
    card: Provenance | str,
    progress: OnRows | None = None,
    *,
    compression: str = "zstd",
    plain_json: bool = False,
) -> int:
    """Write the records of a sink as a dataset: ``data/<split>-00000-of-0000N.parquet`` and ``README.md``.

    A split without records gets no file: `datasets` opens none.

    Args:
        sink: the records, in splits.
        directory: where; it is made if it is not there.
        identity: what each file says about itself, in its key-value metadata.
        card: where the records come from, for the card; or the text to use as its body.
        progress: called with how many records were written.
        compression: of the Parquet files.
        plain_json: `datasets` is not told that JSON text is that; its versions before 4.7 would not open the files.

    Returns:
        How many records there are.

    Raises:
        InvalidInputError: there are no records, or they do not form a table.
        MissingExtraError: pyarrow is not installed.
        OSError: a file cannot be written.
    """
    table = sink.unified()
    splits = {name: spool for name, spool in sink.splits.items() if spool.rows}
    if not splits:
        raise InvalidInputError("no record matches, and a dataset needs at least one: choose other records.")
    os.makedirs(os.path.join(directory, "data"), exist_ok=True)
    if not plain_json and reads_json():
        table = table.marked()
    schema = table.described(identity)
    written = 0
    facts: list[SplitFacts] = []
    for name, spool in splits.items():
        told = None if progress is None else _beyond(progress, written)
        facts.append(_write_split(directory, name, spool, table, schema, told, compression))
        written += spool.rows
    about = DatasetFacts(table.plan, table.conflicts, facts, _divided(sink.options or HuggingFaceOptions()))
    with open(os.path.join(directory, "README.md"), "wb") as file:
        file.write(replaced(card_text(about, card))[0].encode())
    return written


def is_dataset(path: str) -> bool:
    """Return whether a directory holds a dataset that `write_dataset` made, and nothing else."""
    if sorted(os.listdir(path)) != ["README.md", "data"] or not os.path.isdir(f"{path}/data"):
        return False
    return all(name.endswith(".parquet") for name in os.listdir(f"{path}/data"))


def _divided(options: HuggingFaceOptions) -> str:
    if options.split_by is not None:
        return f"The field {inline(options.split_by)} of a record names its split."
    if options.splits is None or len(options.splits) == 1:
        return "All records are in one split."
    shares = ", ".join(f"{name} {fraction:g}" for name, fraction in options.splits.items())
    return (
        f"Records are divided by a hash of their uid, with the seed {options.seed}: {shares}. So each keeps its "
        "split when others are added."
    )


def _write_split(
    directory: str,
    name: str,
    spool: Spool,
    table: UnifiedTable,
    schema: ArrowSchema,
    progress: OnRows | None,
    compression: str,
) -> SplitFacts:
    count = len(spool.shards)
    written = arrow_bytes = file_bytes = 0

    def measured(shard: int) -> Iterator[tuple[RecordBatch, int]]:
        nonlocal arrow_bytes
        for batch, size in table.pieces(spool, shard):
            arrow_bytes += batch.nbytes
            yield batch, size

    for shard in range(count):
        path = os.path.join(directory, "data", f"{name}-{shard:05}-of-{count:05}.parquet")
        told = None if progress is None else _beyond(progress, written)
        written += write_parquet_pieces(measured(shard), schema, path, compression, told)
        file_bytes += os.path.getsize(path)
    return SplitFacts(name, written, file_bytes, arrow_bytes)


def _beyond(progress: OnRows, before: int) -> OnRows:
    return lambda rows: progress(before + rows)
