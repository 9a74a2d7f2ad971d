"""JSON Lines: one record a line, as it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from starfish_storage.errors import NotExportableError
from starfish_storage.export.compression import COMPRESSION, Compression, ending_of, open_compressed
from starfish_storage.export.dataset_directory import SplitWriter, is_dataset
from starfish_storage.export.forms import DivisibleForm, FormWriter, registered, splice
from starfish_storage.export.provenance import Provenance, collect_provenance
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.splitting import SPLIT_OPTIONS
from starfish_storage.form_option import FormOption
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob

LINES = ".jsonl"


@registered
@dataclass(frozen=True)
class JsonLines(DivisibleForm):
    """One record a line: its data, and if wanted its metadata under one key.

    Args:
        compression: ``"gzip"``, ``"zstd"`` (with the extra ``zstd`` before Python 3.14), or None.
        metadata_key: the key under which a record's metadata stands; None to leave that out.
        splits: write a directory with a file for each split, such as ``train.jsonl``, and a card: see `SplitOptions`,
            also for ``split_by``, ``group_by`` and ``seed``.

    Raises:
        InvalidInputError: the splits cannot be used.
    """

    compression: Compression | None = None
    metadata_key: str | None = None

    name: ClassVar[str] = "jsonl"
    endings: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    options: ClassVar[tuple[FormOption, ...]] = (*SPLIT_OPTIONS, COMPRESSION)
    is_direct: ClassVar[bool] = True
    is_compressed_by_ending: ClassVar[bool] = True

    async def gather(self, storage: Storage, jobs: Sequence[GenerationMasterJob]) -> Provenance | None:
        """See `Form.gather`: a file says nothing about itself; a directory has a card."""
        if self.splitting is None:
            return None
        return await collect_provenance(storage, [job.master_job_id for job in jobs])

    def open(self, path: str, about: Any) -> FormWriter:
        """See `Form.open`."""
        if self.splitting is None:
            return LineWriter(self, path)
        ending = LINES + ending_of(self.compression)
        return SplitWriter(path, self.splitting.names, ending, lambda file: LineWriter(self, file), about)

    def is_own_directory(self, path: str) -> bool:
        """See `Form.is_own_directory`."""
        return is_dataset(path)

    def line(self, record: ExportedRecord) -> bytes:
        """Return a record as a line.

        Raises:
            NotExportableError: this form cannot hold it.
        """
        return splice(record, self.metadata_key, self.name)


class LineWriter(FormWriter):
    """Writes a line for each record.

    Args:
        form: says what the line of a record is.
        path: of the file.
    """

    def __init__(self, form: JsonLines, path: str) -> None:
        self._line = form.line
        self._file: IO[bytes] = open_compressed(path, form.compression)

    def add(self, records: Sequence[ExportedRecord]) -> list[Refusal]:
        """See `FormWriter.add`."""
        lines: list[bytes] = []
        refused: list[Refusal] = []
        for record in records:
            try:
                lines.append(self._line(record))
            except NotExportableError as error:
                refused.append(Refusal(record.uid, error))
        self._file.write(b"".join(lines))
        return refused

    def add_lines(self, lines: bytes) -> bool:
        """See `FormWriter.add_lines`."""
        self._file.write(lines)
        return True

    def finish(self) -> None:
        """See `FormWriter.finish`."""
        self._file.close()

    def close(self) -> None:
        """See `FormWriter.close`."""
        self._file.close()
