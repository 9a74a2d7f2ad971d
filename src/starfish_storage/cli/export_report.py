"""What came of an export, as people read it; and records that go to a terminal."""

from __future__ import annotations

import codecs
import io
import re
import sys

from starfish_storage.cli.cells import INVISIBLE, Cell
from starfish_storage.cli.output import say, show_fields
from starfish_storage.export import ExportReport, Paired, PairReport
from starfish_storage.export.split_words import warnings_of
from starfish_storage.wording import number_of

_SHOWN = 10
_REVIEWS = {"@verdict": "a verdict", "@rating": "a rating"}
_UNSAFE = re.compile(rf"[\x00-\x08\x0b-\x1f{INVISIBLE}]")


def show_export(report: ExportReport, *, to_error_stream: bool) -> None:
    """Print what came of an export.

    Args:
        report: that.
        to_error_stream: to the standard error stream, since the records went to the standard output.
    """
    number = f"{report.records:,}, which somebody has accepted and nobody rejected"
    records: Cell = number if report.accepted_only else report.records
    fields: dict[str, Cell] = {"file": report.path, "form": report.form, "records": records}
    fields["bytes"] = report.bytes
    fields["chosen by"] = ", ".join(report.where) or None
    fields["found by"] = report.search
    if report.sample is not None:
        fields["sample"] = f"{report.sample:,} of each run at most, with the seed {report.sample_seed}"
    fields["limit"] = report.limit
    fields["fields"] = None if report.fields is None else ", ".join(report.fields)
    fields |= {"without data": report.without_data or None, "skipped": report.skipped_records or None}
    fields["without input"] = report.without_input or None
    fields["pairs"] = None if report.pairs is None else _pairs(report.pairs, report.paired)
    show_fields(fields | _division(report), to_error_stream=to_error_stream)
    for conflict in report.conflicts:
        say(str(conflict))
    for skipped in report.skipped[:_SHOWN]:
        say(f"left out {skipped.record_uid}: {skipped.reason}")
    if report.skipped_records > _SHOWN:
        say(f"and {report.skipped_records - _SHOWN} more; --json names them")


def warn_of_export(report: ExportReport) -> None:
    """Say on the standard error stream what may surprise in the file."""
    for left in report.unfinished:
        say(f"{left}. Export it again when it is.")
    for name, similar in report.unknown_fields.items():
        meant = f": did you mean {' or '.join(map(repr, similar))}?" if similar else "."
        say(f"No record has the field {name!r}{meant}")
    for sentence in warnings_of(report):
        say(sentence)
    if report.replaced_halves:
        parts = number_of(report.replaced_halves, "broken character")
        say(f"{parts} (half of a surrogate pair) became U+FFFD; the store keeps what was saved.")
    pairs = report.pairs
    if pairs is not None and report.paired is not None and pairs.without_score:
        outputs = number_of(pairs.without_score, "output")
        prefer = report.paired["prefer"]
        why = f"nobody has given them {_REVIEWS[prefer]}" if prefer in _REVIEWS else f"no number stands under {prefer}"
        say(f"{outputs} cannot be compared: {why}.")
    if pairs is not None and pairs.inputs and not report.records and not report.skipped_records:
        say("There is no pair of outputs of which one is better: 0 written.")
    elif not report.records and not report.skipped_records:
        none = f"with data match (without data: {report.without_data:,})" if report.without_data else "match"
        say(f"No records {none}: 0 written.")


def _pairs(report: PairReport, paired: Paired | None) -> str:
    """Return of how many inputs pairs were made, and why not of the others."""
    by = None if paired is None else paired.get("pair_by")
    of = number_of(report.inputs, "input") if by is None else f"{number_of(report.inputs, 'value')} of {by}"
    reasons = {
        "with fewer than two scores": report.single,
        "with equal scores": report.ties,
        "with the same answers": report.alike,
    }
    without = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
    return f"{report.pairs:,} from {of}{without and f'; without one: {without}'}"


def _division(report: ExportReport) -> dict[str, Cell]:
    """Return how the records were divided, and what stands twice."""
    fields: dict[str, Cell] = {}
    if report.splits is not None:
        counts = [f"{name} {count:,}" for name, count in report.splits.records.items()]
        by = report.splits.split_by or f"{report.splits.group_by}, with the seed {report.splits.seed}"
        fields |= {"splits": ", ".join(counts), "divided by": by}
    if report.duplicates is not None and report.duplicates.records:
        told = "left out" if report.duplicates.left_out else "equal to an earlier record"
        fields["duplicates"] = f"{report.duplicates.records:,} {told}"
    return fields


class TerminalOutput:
    """Records on their way to a terminal: what would steer that is escaped, as JSON writes it."""

    def __init__(self) -> None:
        # A carriage return alone would hide what stands before it; with a newline, it ends a row of CSV.
        self._text = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)

    def write(self, data: bytes) -> None:
        """Write bytes, which may end within a character."""
        sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", self._text.decode(data)))

    def flush(self) -> None:
        """Show what was written."""
        sys.stdout.flush()
