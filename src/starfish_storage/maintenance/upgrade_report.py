"""What an upgrade did, or would do: typed, as text for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from starfish_storage.wording import number_of

UpgradeKind = Literal[
    "id_missing",
    "project_lost",
    "project_missing",
    "run_missing",
    "input_missing",
    "record_of_two_runs",
    "status_unknown",
    "time_unreadable",
    "time_form",
    "time_order",
    "json_not_object",
    "reference_moved",
    "reference_outside",
    "target_wrong",
    "records_lost",
    "counts_wrong",
    "uid_differs",
    "not_a_number",
    "data_not_object",
    "data_missing",
    "data_empty",
    "data_incomplete",
    "data_without_row",
    "request_config_damaged",
    "set_aside",
    "request_config_missing",
    "input_unfinished",
    "input_repeated",
]

_LINE = 76  # characters of ids that are named
_WIDTH = max(map(len, get_args(UpgradeKind)))

_MEANING: dict[UpgradeKind, str] = {
    "id_missing": "rows had no id, and got one",
    "project_lost": "saving a project again took it from its runs",
    "project_missing": "runs were in a project that is gone",
    "run_missing": "inputs or records were of a run that is gone",
    "input_missing": "records were of an input that is gone",
    "record_of_two_runs": "a record and its input were of two runs",
    "status_unknown": "a status that no model takes became 'running'",
    "time_unreadable": "a time was none; another stands for it",
    "time_form": "times in several forms are written in one",
    "time_order": "records began after they ended",
    "json_not_object": "JSON was no object; it is the 'value' of one",
    "reference_moved": "named by where the store lay before",
    "reference_outside": "output_ref led out of the store",
    "target_wrong": "the target was 10, as of every run",
    "records_lost": "inputs had lost records; they failed",
    "counts_wrong": "counts of inputs became counts of records",
    "uid_differs": "data under another uid lies under its record's",
    "not_a_number": "data had NaN or infinities, which became null",
    "data_not_object": "data was no object; it is the 'value' of one",
    "data_missing": "data is lost: no file; the record failed",
    "data_empty": "data is lost: an empty file; the record failed",
    "data_incomplete": "data is lost: no JSON; the record failed",
    "data_without_row": "files of no record were set aside",
    "request_config_damaged": "no JSON; it was set aside",
    "set_aside": "files that no row names were set aside",
    "request_config_missing": "the run ended before it was saved",
    "input_unfinished": "inputs had begun, and did not end",
    "input_repeated": "runs have several inputs that are equal",
}

_LOST: frozenset[UpgradeKind] = frozenset({"data_missing", "data_empty", "data_incomplete", "records_lost"})


@dataclass(frozen=True, slots=True)
class Repaired:
    """One thing that an upgrade repairs, or leaves.

    Attributes:
        kind: a stable name.
        subject: the id, or the key of a file.
        detail: what was there, and what became of it.
    """

    kind: UpgradeKind
    subject: str
    detail: str


@dataclass(frozen=True)
class UpgradeReport:
    """What an upgrade did, or would do.

    Attributes:
        storage_uri: the store.
        from_format: the format that it had; 0: that of Starfish 0.1.
        to_format: the format of this release.
        dry_run: nothing was changed.
        rows: how many projects, runs, inputs and records a store of Starfish has; None of any other.
        backup: the copy of the database as it was; None: there is none.
        set_aside: the directory with the files that no row names any more; None: there are none.
        repairs: what was damaged, and is repaired.
        left: what is as it was, and worth knowing.
    """

    storage_uri: str
    from_format: int
    to_format: int
    dry_run: bool = False
    rows: tuple[int, int, int, int] | None = None
    backup: str | None = None
    set_aside: str | None = None
    repairs: Sequence[Repaired] = ()
    left: Sequence[Repaired] = ()

    @property
    def is_newest(self) -> bool:
        """Whether it was of the newest format already."""
        return self.from_format == self.to_format

    @property
    def has_lost(self) -> bool:
        """Whether outputs were lost before the upgrade."""
        return any(one.kind in _LOST for one in self.repairs)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        names = ("projects", "runs", "inputs", "records")
        return {
            "storage_uri": self.storage_uri,
            "dry_run": self.dry_run,
            "from_format": self.from_format,
            "to_format": self.to_format,
            "is_starfish": self.from_format == 0,
            "rows": None if self.rows is None else dict(zip(names, self.rows, strict=True)),
            "backup": self.backup,
            "set_aside": self.set_aside,
            "repairs": [_as_json(one) for one in self.repairs],
            "left": [_as_json(one) for one in self.left],
        }

    def __str__(self) -> str:
        """Return the report for people."""
        if self.is_newest:
            lines = [f"{self.storage_uri}: of the newest format already ({self.to_format})"]
        else:
            verb = "would upgrade" if self.dry_run else "upgraded"
            former = f"format {self.from_format}" if self.from_format else "Starfish 0.1"
            lines = [f"{self.storage_uri}: {verb} from {former} to format {self.to_format}"]
        if self.rows is not None:
            projects, runs, inputs, records = self.rows
            what = (number_of(projects, "project"), number_of(runs, "run"), number_of(inputs, "input"))
            lines.append(f"  {', '.join(what)}, {number_of(records, 'record')}")
        if self.backup is not None:
            lines.append(f"  the database as it was: {self.backup}")
        if self.set_aside is not None:
            lines.append(f"  files that no row names: {self.set_aside}")
        lines += _told("would repair:" if self.dry_run else "repaired:", self.repairs)
        lines += _told("left as it is:", self.left)
        if self.repairs or self.left:
            lines.append("--json lists them all")
        return "\n".join(lines)


def _as_json(one: Repaired) -> dict[str, str]:
    return {"kind": one.kind, "subject": one.subject, "detail": one.detail}


def _told(title: str, found: Sequence[Repaired]) -> list[str]:
    """Return a line a kind, and a line with the first ids of it."""
    subjects: dict[UpgradeKind, list[str]] = {}
    for one in found:
        subjects.setdefault(one.kind, []).append(one.subject)
    lines = [title] if found else []
    for kind, ids in subjects.items():
        lines += [f"  {kind:<{_WIDTH}} {len(ids):>7,}  {_MEANING[kind]}", f"    {_first(ids)}"]
    return lines


def _first(ids: Sequence[str]) -> str:
    """Return as many ids as fit in a line, and how many there are more."""
    named = 1
    while named < len(ids) and len(_named(ids, named + 1)) <= _LINE:
        named += 1
    return _named(ids, named)


def _named(ids: Sequence[str], count: int) -> str:
    more = f" and {len(ids) - count:,} more" if len(ids) > count else ""
    return ", ".join(ids[:count]) + more
