"""Rows that stand twice in what is exported, and inputs that stand in more than one split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starfish_storage.codec import value_digest
from starfish_storage.conversations.prompts import prompt_of
from starfish_storage.export.forms import Form
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.report import DuplicateRecord, DuplicateReport, ExportReport
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.export.splitting import Dividing, Division, SplitOptions, stored_data
from starfish_storage.metadata.digest_table import DigestTable

_MOST_NAMED = 1000  # in a report; memory stays flat, however many there are


def division_of(form: Form, *, dedupe: bool) -> Division:
    """Return how an export of a form is divided, and where its duplicates are counted, if anybody wants to know."""
    options = form.splitting or SplitOptions()
    return Division(options, DuplicateReport(left_out=dedupe) if dedupe or options.is_divided else None)


def with_division(steps: Sequence[Reshaper], form: Form, division: Division) -> list[Reshaper]:
    """Return the steps of an export, with those that divide its records before them, and count duplicates behind them.

    Args:
        steps: the others.
        form: what is written.
        division: see `division_of`.
    """
    found = list(steps)
    if form.splitting is not None:
        found.insert(0, Dividing(division.options, form.name, form.prompt_of))
    if division.duplicates is not None:
        found.append(Duplicates(division.duplicates, division.options))
    return found


class Duplicates(Reshaper):
    """Counts rows that are equal to an earlier one, and leaves them out if that is wanted: the last step of an export.

    So it sees rows as they are written: with the chosen fields, or as conversations. What people say of a record, and
    what the store knows of it, is not compared.

    Args:
        found: where they are counted.
        options: how records are divided into splits, if they are; else the default ones.
    """

    def __init__(self, found: DuplicateReport, options: SplitOptions) -> None:
        self._found = found
        self._directory = ""
        self._digests: DigestTable | None = None
        self._is_divided = options.is_divided
        # Where inputs keep records together, none is in two splits.
        self.needs_source = not options.keeps_inputs_together
        if self.needs_source:
            found.inputs_over_splits = 0

    def begin(self, directory: str) -> None:
        """See `Reshaper.begin`. A file there takes 70 bytes a row."""
        self._directory = directory

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        if self._digests is None:
            self._digests = DigestTable(self._directory)
        found = self._found
        for record in records:
            split = record.split or ""
            data = stored_data(record)
            first = self._digests.note(value_digest(data), split, record.uid)
            if first is not None:
                found.records += 1
                found.over_splits += first.split != split
                if len(found.named) < _MOST_NAMED:
                    named = DuplicateRecord(record.uid, first.record_uid, record.split, first.split or None)
                    found.named.append(named)
                if found.left_out:
                    continue
            if self.needs_source and record.source is not None and record.source.input_digest is not None:
                found.inputs_over_splits = self._spread(
                    ["input", record.source.input_digest], record, found.inputs_over_splits
                )
            if self._is_divided and (prompt := prompt_of(data)) is not None:
                found.prompts_over_splits = self._spread(["prompt", prompt], record, found.prompts_over_splits)
            yield record

    def note(self, report: ExportReport) -> None:
        """See `Reshaper.note`."""
        report.duplicates = self._found

    def close(self) -> None:
        """See `Reshaper.close`."""
        if self._digests is not None:
            self._digests.close()

    def _spread(self, what: object, record: ExportedRecord, before: int | None) -> int:
        """Return how many of a kind stand in more than one split, with this one, each counted once."""
        digests, digest, split = self._digests, value_digest(what), record.split or ""
        first = None if digests is None else digests.note(digest, split, record.uid)
        if digests is None or first is None or first.is_counted or first.split == split:
            return before or 0
        digests.count(digest)
        return (before or 0) + 1
