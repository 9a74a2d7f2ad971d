"""What the checks of a store found: typed, as text for people, and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "database_unreadable",
    "database_damaged",
    "row_without_parent",
    "row_unreadable",
    "record_count_wrong",
    "run_totals_wrong",
    "data_missing",
    "data_damaged",
    "data_unreadable",
    "request_config_damaged",
    "directory_missing",
    "request_config_missing",
    "job_count_differs",
    "data_unreferenced",
    "not_data",
    "leftover",
    "row_log_missing",
]

NOTICES: frozenset[Kind] = frozenset(
    {
        "request_config_missing",  # a master job may be started without one
        "job_count_differs",  # what a caller reported need not be what it saved
        "data_unreferenced",  # data is saved before its row
        "not_data",
        "leftover",
        "row_log_missing",
    }
)
"""Findings that are no damage: nothing that was acknowledged is lost."""

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: a stable name of what it is.
        subject: what it concerns: a key, an id, a file.
        detail: what is the matter; never content.
    """

    kind: Kind
    subject: str
    detail: str

    @property
    def is_damage(self) -> bool:
        """Whether something was lost or cannot be trusted."""
        return self.kind not in NOTICES


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        storage_uri: the store.
        records: how many records have data.
        files: how many data files and request configurations were read.
        bytes: their size together.
        without_digest: how many records are of a time when no digest was kept: their data was only parsed.
        seconds: how long it took.
        findings: what is not as it should be.
    """

    storage_uri: str
    records: int
    files: int
    bytes: int
    without_digest: int
    seconds: float
    findings: Sequence[Finding] = field(default_factory=tuple)

    @property
    def damage(self) -> list[Finding]:
        """The findings that are damage."""
        return [finding for finding in self.findings if finding.is_damage]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return {
            "storage_uri": self.storage_uri,
            "is_sound": self.is_sound,
            "records": self.records,
            "files": self.files,
            "bytes": self.bytes,
            "without_digest": self.without_digest,
            "seconds": round(self.seconds, 3),
            "findings": [
                {"kind": one.kind, "is_damage": one.is_damage, "subject": one.subject, "detail": one.detail}
                for one in self.findings
            ],
        }

    def __str__(self) -> str:
        """Return the report for people."""
        speed = self.records / self.seconds if self.seconds else 0
        read = f"{self.records:,} records with data, {self.files:,} files ({self.bytes:,} bytes)"
        lines = [f"{self.storage_uri}: read {read} in {self.seconds:.1f} s ({speed:,.0f} records/s)"]
        if self.without_digest:
            lines.append(f"  {self.without_digest:,} records without a digest: their data was parsed, not compared")
        for title, wanted in (("damage", True), ("notices", False)):
            chosen = [finding for finding in self.findings if finding.is_damage is wanted]
            if chosen:
                counts = ", ".join(f"{kind} {number:,}" for kind, number in Counter(one.kind for one in chosen).items())
                lines.append(f"{title}: {counts}")
                lines += [f"  {one.kind}  {one.subject}: {one.detail}" for one in chosen[:_SHOWN]]
                if len(chosen) > _SHOWN:
                    lines.append(f"  ... and {len(chosen) - _SHOWN:,} more; --json lists them all")
        lines.append("sound" if self.is_sound else "DAMAGED: run 'repair' to see what can be mended")
        return "\n".join(lines)
