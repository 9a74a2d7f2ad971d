"""Whole rows of annotations, and of what the last check of the store found; see `interface.rows`."""

from __future__ import annotations

from typing import NamedTuple


class AnnotationRow(NamedTuple):
    """An annotation of a record; ``value`` is JSON text."""

    annotation_id: str
    record_uid: str
    master_job_id: str
    kind: str
    value: str
    author: str
    time: str
    withdrawn: str | None

    @property
    def place(self) -> tuple[str, str]:
        """Its place among others: the oldest comes first."""
        return self.time, self.annotation_id


class VerificationRow(NamedTuple):
    """What a check of the store found; ``report`` is JSON text."""

    start_time: str
    end_time: str
    findings: int
    report: str
