"""Steps that records take between the store and the file: each may change rows, leave some out, or make others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.report import ExportReport


class Reshaper(ABC):
    """A step of one export. Its methods are called in one thread, one after the other, as those of `FormWriter`.

    Attributes:
        needs_source: the records have their `RecordSource`.
        needs_reviews: the records have what people say of them.
    """

    needs_source: bool = False
    needs_reviews: bool = False

    def begin(self, directory: str) -> None:  # noqa: B027 (most need no file)
        """Take the directory for temporary files, before all records."""

    @abstractmethod
    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """Yield what becomes of records, in order: none, one or more for each; or why one is left out."""

    def passes(self, lines: bytes) -> bool:  # noqa: ARG002 (for those that can tell)
        """Return whether `reshape` is sure to yield records with these lines, and without metadata, as they are."""
        return False

    def finish(self) -> Iterator[ExportedRecord | Refusal]:
        """Yield what needs all records, after the last of them."""
        return iter(())

    def note(self, report: ExportReport) -> None:  # noqa: B027 (most have nothing to say)
        """Write into the report what this step has to say, after `finish` and before the form writes what it put aside.

        Raises:
            InvalidInputError: nothing that was asked for is there.
        """

    def close(self) -> None:  # noqa: B027 (most have nothing temporary)
        """Remove everything temporary, however the export ended. Idempotent."""
