"""Halves of characters on their way out: every reader of an export takes U+FFFD, few take a half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from starfish_storage.codec import line_without_halves, without_halves
from starfish_storage.export.records import ExportedRecord
from starfish_storage.export.report import ExportReport
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.surrogates import may_have_halves


class HalvesReplaced(Reshaper):
    """Replaces lone halves of surrogate pairs, once for all forms. One may stand in several places among the steps.

    Attributes:
        count: how many were replaced so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord]:
        """See `Reshaper.reshape`."""
        for record in records:
            payload, metadata = self.data(record.payload), self.metadata(record.metadata)
            is_whole = payload is record.payload and metadata is record.metadata
            yield record if is_whole else record._replace(payload=payload, metadata=metadata)

    def passes(self, lines: bytes) -> bool:
        """See `Reshaper.passes`."""
        return not may_have_halves(lines)

    def note(self, report: ExportReport) -> None:
        """See `Reshaper.note`."""
        report.replaced_halves = self.count

    def data(self, payload: bytes) -> bytes:
        """Return the line of a record's data."""
        line, count = line_without_halves(payload)
        self.count += count
        return line

    def metadata(self, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what the store knows of a record, which has its input in it."""
        if metadata is None:
            return None
        whole, count = without_halves(metadata)
        self.count += count
        return whole
