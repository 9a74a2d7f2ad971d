"""What came of an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from starfish_storage.export.schema import Conflict
from starfish_storage.export.unfinished import UnfinishedRun

_MOST_SKIPPED = 1000  # named in a report; memory stays flat, however much is damaged


class ExportProgress(NamedTuple):
    """How far an export is.

    Attributes:
        done: records that were read, whether they were written or skipped; later, how many are written.
        total: records that there are to read, counted at the beginning; later, how many are to be written.
        phase: ``"reading"``; then ``"writing"``, for forms that write nothing before all records are known.
    """

    done: int
    total: int
    phase: Literal["reading", "writing"] = "reading"


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record that was left out.

    Attributes:
        record_uid: which one.
        reason: why, in a sentence.
    """

    record_uid: str
    reason: str


@dataclass(slots=True)
class ExportReport:
    """What came of an export.

    Attributes:
        path: what was written, an absolute path.
        form: the name of its form.
        master_job_ids: whose records, in the order in which they were written.
        records: records written.
        bytes: size of the file, or of all files of the directory.
        without_data: records passed over because they have no data, as those that failed.
        skipped: records left out because they are damaged, or cannot be written so; at most 1,000 are named.
        skipped_records: how many those are.
        conflicts: values that did not fit into one column.
        replaced_halves: lone halves of surrogate pairs in texts and keys, each of which became U+FFFD.
        accepted_only: only records are in it that somebody has accepted, and nobody rejected.
        where: the other conditions that its records fit, as they are typed.
        sample: how many records of each master job were drawn, at most; None: all that fit are in it.
        sample_seed: the seed of the draw; None without one.
        limit: how many records were written at most; None: all.
        fields: the fields that were kept of their data; None: all.
        unknown_fields: those of them that no record has, each with similar names that there are.
        without_input: records whose input was asked for, and that have none.
        unfinished: the runs that had not ended when the export began.
    """

    path: str
    form: str
    master_job_ids: Sequence[str]
    records: int = 0
    bytes: int = 0
    without_data: int = 0
    skipped_records: int = 0
    skipped: list[SkippedRecord] = field(default_factory=list[SkippedRecord])
    conflicts: list[Conflict] = field(default_factory=list[Conflict])
    replaced_halves: int = 0
    accepted_only: bool = False
    where: Sequence[str] = ()
    sample: int | None = None
    sample_seed: int | None = None
    limit: int | None = None
    fields: Sequence[str] | None = None
    unknown_fields: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    without_input: int = 0
    unfinished: list[UnfinishedRun] = field(default_factory=list[UnfinishedRun])

    def skip(self, record_uid: str, reason: str) -> None:
        """Note a record that was left out."""
        self.skipped_records += 1
        if len(self.skipped) < _MOST_SKIPPED:
            self.skipped.append(SkippedRecord(record_uid, reason))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)
