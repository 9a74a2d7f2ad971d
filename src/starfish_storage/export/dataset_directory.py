"""A dataset as Hugging Face's `datasets` opens it: files for each split, and a card."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.card import CARD_BEGINS, DatasetFacts, SplitFacts, card_text
from starfish_storage.export.features import reads_json
from starfish_storage.export.forms import FormWriter
from starfish_storage.export.provenance import Provenance
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.splitting import WHOLE, Division
from starfish_storage.export.spool import Spool
from starfish_storage.export.table_files import OnRows, Piece, write_arrow_pieces, write_parquet_pieces
from starfish_storage.export.table_sink import TableSink
from starfish_storage.export.unified_table import UnifiedTable
from starfish_storage.extras import ArrowSchema, RecordBatch
from starfish_storage.surrogates import replaced

_CARD = "README.md"
_SHARD = r"\d{5,}-of-\d{5,}\.parquet"
_PATH = re.compile(r'    path: "([^"]+)"\n')  # of the files of a split, as `card_text` writes it


class SplitFiles(NamedTuple):
    """Where the files of splits lie.

    Attributes:
        path: of a file; ``{split}`` is its split, ``{shard}`` its number, ``{count}`` how many there are.
        pattern: that fits the files of a split.
        write: writes pieces of a table as such a file.
    """

    path: str
    pattern: str
    write: Callable[[Iterable[Piece], ArrowSchema, str, str, OnRows | None], int]


SHARDS = SplitFiles("data/{split}-{shard:05}-of-{count:05}.parquet", "data/{split}-*", write_parquet_pieces)
"""As the hub lays datasets out: many files of bounded size."""

PARQUET_FILES = SplitFiles("{split}.parquet", "{split}.parquet", write_parquet_pieces)
ARROW_FILES = SplitFiles("{split}.arrow", "{split}.arrow", write_arrow_pieces)
"""One file for each split."""


def write_dataset(
    sink: TableSink,
    directory: str,
    identity: Mapping[str, str],
    card: Provenance | str,
    progress: OnRows | None = None,
    *,
    division: Division | None = None,
    files: SplitFiles = SHARDS,
    compression: str = "zstd",
    plain_json: bool = False,
) -> int:
    """Write the records of a sink as a dataset: files such as ``data/train-00000-of-00001.parquet``, and a card.

    All have one schema. A split without records gets no file: `datasets` opens none.

    Args:
        sink: the records, in splits.
        directory: where; it is made if it is not there.
        identity: what each file says about itself, in its key-value metadata.
        card: where the records come from, for the card; or the text to use as its body.
        progress: called with how many records were written.
        division: how they were divided, for the card.
        files: where the files lie.
        compression: of the files.
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
    _refuse_empty(splits)
    if not plain_json and reads_json():
        table = table.marked()
    schema = table.described(identity)
    written = 0
    facts: list[SplitFacts] = []
    for name, spool in splits.items():
        told = None if progress is None else _beyond(progress, written)
        facts.append(_write_split(directory, name, spool, table, schema, told, compression, files))
        written += spool.rows
    empty = [name for name, spool in sink.splits.items() if not spool.rows]
    _write_card(directory, DatasetFacts(facts, empty, table.plan, table.conflicts, division), card)
    return written


class SplitWriter(FormWriter):
    """Writes files that need no common schema, one for each split, and a card.

    Args:
        directory: an empty one.
        names: of the splits that are known beforehand.
        ending: of the files.
        begin: begins the file of a split at a path.
        about: where the records come from, for the card.
    """

    def __init__(
        self, directory: str, names: Sequence[str], ending: str, begin: Callable[[str], FormWriter], about: Provenance
    ) -> None:
        self._directory = directory
        self._rows = dict.fromkeys(names, 0)
        self._ending = ending
        self._begin = begin
        self._about = about
        self._writers: dict[str, FormWriter] = {}

    def add(self, records: Sequence[ExportedRecord]) -> list[Refusal]:
        """See `FormWriter.add`."""
        divided: dict[str, list[ExportedRecord]] = {}
        for record in records:
            divided.setdefault(record.split or WHOLE, []).append(record)
        refused: list[Refusal] = []
        for name, some in divided.items():
            if name not in self._writers:
                self._writers[name] = self._begin(self._path(name))
            left_out = self._writers[name].add(some)
            refused += left_out
            self._rows[name] = self._rows.get(name, 0) + len(some) - len(left_out)
        return refused

    def watch(self, tell: OnRows) -> None:
        """See `FormWriter.watch`."""
        for writer in self._writers.values():
            writer.watch(tell)

    def finish(self) -> None:
        """See `FormWriter.finish`."""
        facts: list[SplitFacts] = []
        for name, rows in self._rows.items():
            if name in self._writers:
                self._writers[name].finish()
            if rows:
                facts.append(SplitFacts(name, rows, os.path.getsize(self._path(name)), None, f"{name}{self._ending}"))
            elif name in self._writers:  # all were refused
                os.unlink(self._path(name))
        _refuse_empty(facts)
        empty = [name for name, rows in self._rows.items() if not rows]
        _write_card(self._directory, DatasetFacts(facts, empty, division=self._about.division), self._about)

    def close(self) -> None:
        """See `FormWriter.close`."""
        for writer in self._writers.values():
            writer.close()

    @property
    def rows_of_splits(self) -> Mapping[str, int]:
        """See `FormWriter.rows_of_splits`."""
        return self._rows

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}{self._ending}"


def is_dataset(path: str) -> bool:
    """Return whether a directory holds a card as exports write it, the files that it names, and nothing else."""
    wanted = _named_by_card(f"{path}/{_CARD}")
    found: list[str] = []
    for directory, below, names in os.walk(path):
        inside = os.path.relpath(directory, path)
        if any(os.path.islink(f"{directory}/{name}") for name in (*below, *names)):
            return False
        found += [os.path.normpath(f"{inside}/{name}") for name in names]
        if not below and not names:  # nobody's
            return False
    return bool(wanted) and all(name == _CARD or any(one.fullmatch(name) for one in wanted) for name in found)


def _named_by_card(path: str) -> list[re.Pattern[str]]:
    """Return what fits the files that a card names; none if it does not begin as that of an export does."""
    found: list[re.Pattern[str]] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as card:
            if "".join(itertools.islice(card, CARD_BEGINS.count("\n"))) != CARD_BEGINS:
                return []
            for line in card:
                if line == "---\n":
                    break
                if (pattern := _PATH.fullmatch(line)) is not None:
                    found.append(re.compile(re.escape(pattern[1]).replace(r"\*", _SHARD)))
    except OSError:
        return []
    return found


def _refuse_empty(splits: Mapping[str, Spool] | Sequence[SplitFacts]) -> None:
    if not splits:
        raise InvalidInputError("no row would be in it, and a dataset needs at least one: choose other records.")


def _write_card(directory: str, facts: DatasetFacts, card: Provenance | str) -> None:
    with open(os.path.join(directory, _CARD), "wb") as file:
        file.write(replaced(card_text(facts, card))[0].encode())


def _write_split(
    directory: str,
    name: str,
    spool: Spool,
    table: UnifiedTable,
    schema: ArrowSchema,
    progress: OnRows | None,
    compression: str,
    files: SplitFiles,
) -> SplitFacts:
    count = len(spool.shards)
    written = arrow_bytes = file_bytes = 0

    def measured(shard: int) -> Iterator[tuple[RecordBatch, int]]:
        nonlocal arrow_bytes
        for batch, size in table.pieces(spool, shard):
            arrow_bytes += batch.nbytes
            yield batch, size

    for shard in range(count):
        path = os.path.join(directory, files.path.format(split=name, shard=shard, count=count))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        told = None if progress is None else _beyond(progress, written)
        written += files.write(measured(shard), schema, path, compression, told)
        file_bytes += os.path.getsize(path)
    return SplitFacts(name, written, file_bytes, arrow_bytes, files.pattern.format(split=name))


def _beyond(progress: OnRows, before: int) -> OnRows:
    return lambda rows: progress(before + rows)
