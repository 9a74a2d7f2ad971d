"""A dataset as Hugging Face's `datasets` opens it: Parquet files for each split, and a card."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.card import DatasetFacts, SplitFacts, card_text, inline
from starfish_storage.export.provenance import Provenance
from starfish_storage.export.schema import Conflict
from starfish_storage.export.splitting import HuggingFaceOptions
from starfish_storage.export.table_files import Progress, write_parquet_pieces
from starfish_storage.export.table_sink import Gathering, Rows, UnifiedTable
from starfish_storage.extras import RecordBatch


class DatasetSink:
    """Takes records one by one, and writes them as a dataset afterwards.

    `close` removes what was put aside, in every ending.

    Args:
        directory: for temporary files, which together take as much space as the records' JSON.
        options: how the dataset is laid out.
        metadata_key: the column of the records' metadata; None for none.
    """

    def __init__(
        self, directory: str, options: HuggingFaceOptions | None = None, metadata_key: str | None = None
    ) -> None:
        self._directory = directory
        self._options = HuggingFaceOptions() if options is None else options
        self._gathering = Gathering(metadata_key)
        # Splits that are named beforehand keep that order; by a field, they come as they are met.
        self._splits: dict[str, Rows] = {name: self._rows() for name in self._options.splits or ()}
        self._split = self._options.splitter(self._splits)

    def add(self, uid: str, payload: bytes, metadata: Mapping[str, Any] | None = None) -> None:
        """Take a record. If it is refused, nothing has changed, and the next one may be given.

        Args:
            uid: its uid, for messages.
            payload: its data, the bytes of one JSON object.
            metadata: what goes into the column of metadata.

        Raises:
            StoreDamagedError: the data is no JSON object.
            InvalidInputError: it has no split, the key of the metadata's column, or a key that no column can have.
            StorageIOError: it cannot be put aside.
        """
        found = self._gathering.read(uid, payload)
        name = self._split(uid, found.data)
        taken = self._gathering.take(uid, found, metadata)
        rows = self._splits.get(name)
        if rows is None:
            rows = self._splits[name] = self._rows()
        rows.add(*taken)

    @property
    def conflicts(self) -> list[Conflict]:
        """The paths whose values are written as JSON text, since no one type fits; asked after the last `add`."""
        return self.unified().conflicts

    def unified(self) -> UnifiedTable:
        """Return the schema of all records together, which every split has.

        Raises:
            InvalidInputError: there are records, and none has a field.
        """
        return self._gathering.unified()

    def write(
        self,
        directory: str,
        identity: Mapping[str, str],
        card: Provenance | str,
        progress: Progress | None = None,
        *,
        compression: str = "zstd",
    ) -> int:
        """Write the dataset into a directory: ``data/<split>-00000-of-0000N.parquet`` and ``README.md``.

        A split without records gets no file: `datasets` opens none.

        Args:
            directory: where; it is made if it is not there.
            identity: what each file says about itself, in its key-value metadata.
            card: where the records come from, for the card; or a body of one's own.
            progress: called with how many records were written.
            compression: of the Parquet files.

        Returns:
            How many records there are.

        Raises:
            InvalidInputError: there are no records, or they are no table.
            MissingExtraError: pyarrow is not installed.
            OSError: a file cannot be written.
        """
        table = self.unified()
        splits = {name: rows for name, rows in self._splits.items() if rows.count}
        if not splits:
            raise InvalidInputError("there is no record to export, and no dataset without one: choose other records.")
        os.makedirs(os.path.join(directory, "data"), exist_ok=True)
        written = 0
        facts: list[SplitFacts] = []
        for name, rows in splits.items():
            told = None if progress is None else _beyond(progress, written)
            facts.append(_write_split(directory, name, rows, table, identity, told, compression))
            written += rows.count
        about = DatasetFacts(table.plan, table.conflicts, facts, self._divided())
        with open(os.path.join(directory, "README.md"), "wb") as file:
            file.write(card_text(about, card).encode("utf-8", "backslashreplace"))  # half of a surrogate pair
        return written

    def close(self) -> None:
        """Remove what was put aside. Idempotent."""
        for rows in self._splits.values():
            rows.close()

    def _rows(self) -> Rows:
        return Rows(self._directory, self._options.shard_bytes)

    def _divided(self) -> str:
        options = self._options
        if options.split_by is not None:
            return f"The field {inline(options.split_by)} of a record names its split."
        if options.splits is None or len(options.splits) == 1:
            return "All records are in one split."
        shares = ", ".join(f"{name} {fraction:g}" for name, fraction in options.splits.items())
        return (
            f"Records are divided by a hash of their uid, with the seed {options.seed}: {shares}. So each keeps its "
            "split when others are added."
        )


def is_dataset(path: str) -> bool:
    """Return whether a directory holds a dataset that `DatasetSink` wrote, and nothing else."""
    if sorted(os.listdir(path)) != ["README.md", "data"] or not os.path.isdir(f"{path}/data"):
        return False
    return all(name.endswith(".parquet") for name in os.listdir(f"{path}/data"))


def _write_split(
    directory: str,
    name: str,
    rows: Rows,
    table: UnifiedTable,
    identity: Mapping[str, str],
    progress: Progress | None,
    compression: str,
) -> SplitFacts:
    schema = table.described(identity)
    count = len(rows.shards)
    written = arrow_bytes = file_bytes = 0

    def measured(shard: int) -> Iterator[tuple[RecordBatch, int]]:
        nonlocal arrow_bytes
        for batch, size in rows.pieces(table, shard):
            arrow_bytes += batch.nbytes
            yield batch, size

    for shard in range(count):
        path = os.path.join(directory, "data", f"{name}-{shard:05}-of-{count:05}.parquet")
        told = None if progress is None else _beyond(progress, written)
        written += write_parquet_pieces(measured(shard), schema, path, compression, told)
        file_bytes += os.path.getsize(path)
    return SplitFacts(name, written, file_bytes, arrow_bytes)


def _beyond(progress: Progress, before: int) -> Progress:
    return lambda rows: progress(before + rows)
