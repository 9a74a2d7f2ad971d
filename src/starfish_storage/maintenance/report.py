"""What the checks of a store found: typed, as text for people, and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface.inspection import RowFault
from starfish_storage.runs import Verification
from starfish_storage.wording import number_of

FindingKind = Literal[
    "database_unreadable",
    "database_damaged",
    "row_without_parent",
    "row_unreadable",
    "record_count_wrong",
    "run_totals_wrong",
    "output_lost",
    "data_missing",
    "data_damaged",
    "data_unreadable",
    "request_config_damaged",
    "directory_missing",
    "request_config_missing",
    "job_count_differs",
    "deletion_unfinished",
    "data_unreferenced",
    "not_data",
    "leftover",
    "row_log_missing",
    "row_log_differs",
    "pack_missing",
    "pack_short",
    "pack_unreadable",
    "pack_size_wrong",
    "pack_ranges_overlap",
    "pack_tail",
    "pack_lines_foreign",
    "pack_unknown",
    "pack_twice",
]

NOTICES: frozenset[FindingKind] = frozenset(
    {
        "request_config_missing",  # a master job may be started without one
        "job_count_differs",  # what a caller reported need not be what it saved
        "deletion_unfinished",  # it goes on when the run is deleted again
        "data_unreferenced",  # data is saved before its row
        "not_data",
        "leftover",
        "row_log_missing",
        "pack_tail",  # its writer was killed before its commit
        "pack_lines_foreign",  # no row names it
        "pack_unknown",
        "pack_twice",
    }
)
"""Findings that are not damage: nothing that was acknowledged is lost."""

GRACE = timedelta(days=7)
"""How old something must be to be removed, unless another time is given."""

_SHORTEST_REMOTE_GRACE = timedelta(hours=1)
_SHOWN = 20
_MOST_NOTED = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: a stable name of what it is.
        subject: what it concerns: a key, an id, a file.
        detail: what is the matter; never content.
    """

    kind: FindingKind
    subject: str
    detail: str

    @property
    def is_damage(self) -> bool:
        """Whether something was lost or cannot be trusted."""
        return self.kind not in NOTICES


def finding_of(fault: RowFault) -> Finding:
    """Return what is wrong with rows as a finding."""
    return Finding(cast("FindingKind", fault.kind), fault.subject, fault.detail)


def grace_of_remote(grace: timedelta) -> timedelta:
    """Return a grace period that can be used with writers on other machines.

    Raises:
        InvalidInputError: it is so short that data might be taken for unwanted whose row is being committed.
    """
    if grace < _SHORTEST_REMOTE_GRACE:
        raise InvalidInputError(
            f"a grace period of {grace} cannot be used: workers on other machines put data before they commit the row "
            "that refers to it; give an hour (0.05 days) or more."
        )
    return grace


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
        can_be_repaired: `repair` works on stores of this kind.
        packs: how many packs were read, whose data is in ``bytes`` and not in ``files``.
        dead_bytes: how much of packs no record needs any more; `collect` frees most of it.
    """

    storage_uri: str
    records: int
    files: int
    bytes: int
    without_digest: int
    seconds: float
    findings: Sequence[Finding] = field(default_factory=tuple)
    can_be_repaired: bool = True
    packs: int = 0
    dead_bytes: int = 0

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
            "packs": self.packs,
            "dead_bytes": self.dead_bytes,
            "without_digest": self.without_digest,
            "seconds": round(self.seconds, 3),
            "findings": [
                {"kind": one.kind, "is_damage": one.is_damage, "subject": one.subject, "detail": one.detail}
                for one in self.findings
            ],
        }

    def verification(self, end_time: datetime) -> Verification:
        """Return what was found as a store notes it (see `RunLedger.save_verification`), with the first findings."""
        told = self.to_json()
        told["findings"] = told["findings"][:_MOST_NOTED]
        return Verification(end_time - timedelta(seconds=self.seconds), end_time, len(self.findings), told)

    def __str__(self) -> str:
        """Return the report for people."""
        speed = self.records / self.seconds if self.seconds else 0
        where = number_of(self.files, "file") + (f" and {number_of(self.packs, 'pack')}" if self.packs else "")
        read = f"{self.records:,} records with data, {where} ({self.bytes:,} bytes)"
        lines = [f"{self.storage_uri}: read {read} in {self.seconds:.1f} s ({speed:,.0f} records/s)"]
        if self.dead_bytes:
            lines.append(f"  {self.dead_bytes:,} bytes of packs are of data that was replaced or deleted")
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
        remedy = "run 'repair' to see what can be repaired"
        if not self.can_be_repaired:
            remedy = "restore the named data from backups of the database and of the objects"
        lines.append("sound" if self.is_sound else f"DAMAGED: {remedy}")
        return "\n".join(lines)


@dataclass(frozen=True)
class CollectReport:
    """What `collect` did, or would do.

    Attributes:
        storage_uri: the store.
        removed: the keys of data and request configurations that nothing refers to, and the files of dead writers.
        bytes: their size together.
        younger: how many files more nothing refers to, that are not older than the grace period.
        dry_run: nothing was removed.
        superseded: how many lines of the row log are of rows that have changed since, if these are most of its lines.
        compacted: the row log was written anew without them; not if somebody else has the store open.
        versions: how many versions of records were removed with their data, which is not in the numbers above.
        packs_rewritten: how many packs were written anew without what was replaced or deleted, or were all of that.
        bytes_freed: how many bytes that has freed; not among ``bytes``.
        lines: how many of ``removed`` are data in packs, lines and not files.
        younger_lines: how many of ``younger`` are.
        packs_decompressed: how many of the packs that were written anew were compressed, and what lives of them is not
            any more; `pack` compresses it again.
    """

    storage_uri: str
    removed: Sequence[str]
    bytes: int
    younger: int
    dry_run: bool
    superseded: int = 0
    compacted: bool = False
    versions: int = 0
    packs_rewritten: int = 0
    bytes_freed: int = 0
    lines: int = 0
    younger_lines: int = 0
    packs_decompressed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return {
            "storage_uri": self.storage_uri,
            "dry_run": self.dry_run,
            "removed": list(self.removed),
            "bytes": self.bytes,
            "younger": self.younger,
            "row_log_superseded": self.superseded,
            "row_log_compacted": self.compacted,
            "versions": self.versions,
            "packs_rewritten": self.packs_rewritten,
            "bytes_freed": self.bytes_freed,
            "lines": self.lines,
            "younger_lines": self.younger_lines,
            "packs_decompressed": self.packs_decompressed,
        }

    def __str__(self) -> str:
        """Return the report for people."""
        verb = "would remove" if self.dry_run else "removed"
        lines = [f"{self.storage_uri}: {verb} {_files_and_lines(len(self.removed), self.lines)} ({self.bytes:,} bytes)"]
        lines += [f"  {key}" for key in self.removed[:_SHOWN]]
        if len(self.removed) > _SHOWN:
            lines.append(f"  ... and {len(self.removed) - _SHOWN:,} more; --json lists them all")
        if self.younger:
            kept = _files_and_lines(self.younger, self.younger_lines)
            lines.append(f"kept {kept} that nothing refers to: not old enough")
        if self.versions:
            lines.append(f"{verb} {number_of(self.versions, 'earlier version')} of records")
        if self.packs_rewritten:
            told = "would rewrite" if self.dry_run else "rewrote"
            lines.append(f"{told} {number_of(self.packs_rewritten, 'pack')} ({self.bytes_freed:,} bytes freed)")
        if self.packs_decompressed:
            told = "will not be" if self.dry_run else "is not"
            packs = number_of(self.packs_decompressed, "pack")
            lines.append(f"what lives of {packs} {told} compressed any more; 'pack --compress' compresses it")
        if self.superseded:
            told = verb if self.dry_run or self.compacted else "kept (another process has the store open):"
            lines.append(f"row log: {told} {self.superseded:,} superseded lines")
        return "\n".join(lines)


def _files_and_lines(number: int, lines: int) -> str:
    """Return how many files and lines of packs there are.

    >>> _files_and_lines(3, 0), _files_and_lines(3, 1), _files_and_lines(2, 2)
    ('3 files', '2 files and 1 line of packs', '2 lines of packs')
    """
    told = [number_of(number - lines, "file")] if number > lines or not lines else []
    return " and ".join([*told, *([f"{number_of(lines, 'line')} of packs"] if lines else [])])
