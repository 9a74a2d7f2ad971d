"""What is said of an import: how far it is, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal["checking", "importing"]

MOST_NAMED = 10
"""Bad rows that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is.

    Attributes:
        source: the file or directory, without its path.
        stage: ``"checking"``: it is read once, and nothing is written. ``"importing"``: its rows are stored.
        rows: so many have been gone through in this stage.
        total: of so many; None while that is not known.
    """

    source: str
    stage: Stage
    rows: int
    total: int | None


OnProgress = Callable[[ImportProgress], object]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of an import.

    Attributes:
        source: the file or directory, without its path.
        form: what it was read as: the name of a form that can be imported.
        project_ids: the projects that what was imported belongs to.
        master_job_ids: the master jobs that hold it.
        records: how many records it has there.
        new_records: how many of them this call has stored; the others were there.
        skipped: bad rows that were left out.
        bad_rows: the first of those, with where they stand and why they are bad.
        already_imported: it had been imported before; this call added nothing.
        seconds: how long the call took.
        notes: what was found out about how the source is to be read, in phrases, such as ``"cells separated by tabs"``.
        conversations: the shape of conversations that the rows have, as `shape_named` takes it; None if they have none.
    """

    source: str
    form: str
    project_ids: tuple[str, ...]
    master_job_ids: tuple[str, ...]
    records: int
    new_records: int
    skipped: int
    bad_rows: tuple[str, ...]
    already_imported: bool
    seconds: float
    notes: tuple[str, ...] = ()
    conversations: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        values = asdict(self)
        lists = ("project_ids", "master_job_ids", "bad_rows", "notes")
        return values | {name: list(values[name]) for name in lists}


def last_name(path: str) -> str:
    """Return the last name of a path, also of one such as ``.``."""
    return os.path.basename(os.path.abspath(path))


def combined(source: str, reports: Sequence[ImportReport]) -> ImportReport:
    """Return the report of several imports that are one for who asked for it; there is at least one."""
    return ImportReport(
        source,
        reports[0].form,
        tuple(dict.fromkeys(one for report in reports for one in report.project_ids)),
        tuple(one for report in reports for one in report.master_job_ids),
        sum(report.records for report in reports),
        sum(report.new_records for report in reports),
        sum(report.skipped for report in reports),
        tuple(reason for report in reports for reason in report.bad_rows)[:MOST_NAMED],
        all(report.already_imported for report in reports),
        sum(report.seconds for report in reports),
        tuple(dict.fromkeys(note for report in reports for note in report.notes)),
        reports[0].conversations if len({report.conversations for report in reports}) == 1 else None,
    )
