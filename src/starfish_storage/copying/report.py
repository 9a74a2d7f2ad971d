"""What a copy has done."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from starfish_storage.wording import number_of, size

MOST_NAMED = 100
"""How many losses a report names: the others are counted."""


class Lost(NamedTuple):
    """A record whose data could not be read from the source.

    Attributes:
        record_uid: the record.
        master_job_id: its master job.
        reason: what is wrong with its data, and where that lies.
    """

    record_uid: str
    master_job_id: str
    reason: str


@dataclass
class CopyReport:
    """What `copy` did, or would do.

    Attributes:
        source, target: the URIs of the stores, without passwords.
        projects, master_jobs, execution_jobs, records, attempts, steps, versions, segments, annotations: how many rows
            were written; what was there already, the same, is not counted.
        unchanged: how many execution jobs and records were there already.
        bytes: the size of the record data that was written.
        lost: how many records were copied without their data, because it is lost or damaged.
        named: the first of them.
        seconds: how long it took.
    """

    source: str
    target: str
    projects: int = 0
    master_jobs: int = 0
    execution_jobs: int = 0
    records: int = 0
    attempts: int = 0
    steps: int = 0
    versions: int = 0
    segments: int = 0
    annotations: int = 0
    unchanged: int = 0
    bytes: int = 0
    lost: int = 0
    named: list[Lost] = field(default_factory=list[Lost])
    seconds: float = 0.0

    def note_lost(self, lost: Lost) -> None:
        """Count a record whose data could not be read."""
        self.lost += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(lost)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        named = [one._asdict() for one in self.named]
        return asdict(self) | {"named": named, "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        """Return the report for people."""
        what = (
            f"{number_of(self.projects, 'project')}, {number_of(self.master_jobs, 'run')}, "
            f"{number_of(self.execution_jobs, 'input')}, {number_of(self.records, 'record')} ({size(self.bytes)}), "
            f"{number_of(self.attempts, 'attempt')}, {number_of(self.steps, 'step')}"
            + (f", {number_of(self.versions, 'earlier version')}" if self.versions else "")
            + (f", {number_of(self.segments, 'segment')}" if self.segments else "")
            + (f", {number_of(self.annotations, 'annotation')}" if self.annotations else "")
        )
        there = f"inputs and records that were there already: {self.unchanged:,}"
        lines = [f"{self.source} copied to {self.target} in {self.seconds:.1f} s: {what}; {there}."]
        if self.lost:
            lines.append(f"{number_of(self.lost, 'record')} copied without data, which is lost or damaged:")
            lines += [f"  {one.record_uid}: {one.reason}" for one in self.named]
        return "\n".join(lines)
