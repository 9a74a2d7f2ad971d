"""What came of an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from starfish_storage.export.records import Paired
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


@dataclass(frozen=True, slots=True)
class DuplicateRecord:
    """A record whose row is equal to an earlier one.

    Attributes:
        record_uid: which one.
        equal_to: the first record with such a row.
        split: its split; None without splits.
        split_of_equal: that of the first one.
    """

    record_uid: str
    equal_to: str
    split: str | None
    split_of_equal: str | None


@dataclass(slots=True)
class DuplicateReport:
    """What stands twice in an export.

    Attributes:
        left_out: they were left out; else they were written.
        records: rows that are equal to an earlier one, whatever the order of their keys.
        over_splits: those of them for which the first one is in another split.
        inputs_over_splits: inputs whose records stand in more than one split; None where records of one input stay
            together.
        prompts_over_splits: prompts of conversations that stand in more than one split; None where no row is one.
        named: the first 1,000.
    """

    left_out: bool = False
    records: int = 0
    over_splits: int = 0
    inputs_over_splits: int | None = None
    prompts_over_splits: int | None = None
    named: list[DuplicateRecord] = field(default_factory=list[DuplicateRecord])


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How records were divided.

    Attributes:
        records: how many records each split has, the empty ones included.
        shares: the fractions that were asked for; None where a field names the split.
        split_by: that field.
        group_by: what kept records together; None where a field names the split.
        seed: of the draw; None where a field names the split.
    """

    records: Mapping[str, int]
    shares: Mapping[str, float] | None = None
    split_by: str | None = None
    group_by: str | None = None
    seed: int | None = None

    @property
    def empty(self) -> list[str]:
        """The splits that have no record."""
        return [name for name, count in self.records.items() if not count]


@dataclass(slots=True)
class PairReport:
    """Pairs of the outputs of inputs, and which inputs gave none.

    Attributes:
        pairs: how many were made.
        inputs: how many inputs the outputs came of.
        single: inputs without a pair since fewer than two of their outputs have a score.
        ties: those without one since all their outputs are equally good.
        alike: those without one since outputs of different scores say the same.
        without_score: outputs of which nothing says how good they are.
    """

    pairs: int = 0
    inputs: int = 0
    single: int = 0
    ties: int = 0
    alike: int = 0
    without_score: int = 0


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
        conflicts: what a table could not hold as it is, and what became of it.
        replaced_halves: lone halves of surrogate pairs in texts and keys, each of which became U+FFFD.
        accepted_only: only records are in it that somebody has accepted, and nobody rejected.
        where: the other conditions that its records fit, as they are typed.
        search: the query that found them; None: all.
        sample: how many records of each master job were drawn, at most; None: all that fit are in it.
        sample_seed: the seed of the draw; None without one.
        limit: how many records were written at most; None: all.
        fields: the fields that were kept of their data; None: all.
        unknown_fields: those of them that no record has, each with similar names that there are.
        without_input: records whose input was asked for, and that have none.
        unfinished: the runs that had not ended when the export began.
        splits: how the records were divided; None where the form was not asked to.
        duplicates: what stands twice; None where nobody looked, as without splits and without ``dedupe``.
        paired: how preference pairs were made; None in other forms.
        pairs: how many those are, and which inputs gave none; None in other forms.
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
    search: str | None = None
    sample: int | None = None
    sample_seed: int | None = None
    limit: int | None = None
    fields: Sequence[str] | None = None
    unknown_fields: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    without_input: int = 0
    unfinished: list[UnfinishedRun] = field(default_factory=list[UnfinishedRun])
    splits: SplitReport | None = None
    duplicates: DuplicateReport | None = None
    paired: Paired | None = None
    pairs: PairReport | None = None

    def skip(self, record_uid: str, reason: str) -> None:
        """Note a record that was left out."""
        self.skipped_records += 1
        if len(self.skipped) < _MOST_SKIPPED:
            self.skipped.append(SkippedRecord(record_uid, reason))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)
