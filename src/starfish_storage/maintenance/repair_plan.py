"""What a repair would do, or has done: typed, as text for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starfish_storage.keys import PackPlace
from starfish_storage.maintenance.report import Finding

_SHOWN = 20

StepKind = Literal[
    "rebuild_database",
    "make_directory",
    "fail_record",
    "fail_version",
    "attach_data",
    "find_data",
    "set_pack_size",
    "cut_tail",
    "reopen_input",
    "write_row_log",
    "note_digests",
    "recount",
]


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One thing that a repair would do.

    Attributes:
        kind: a stable name of what is done.
        subject: what it is done to.
        detail: why, or how.
        place: in a pack, where the data was found.
    """

    kind: StepKind
    subject: str
    detail: str
    place: PackPlace | None = None


@dataclass(frozen=True)
class RepairPlan:
    """What a repair would do, or has done.

    Attributes:
        storage_uri: the store.
        steps: what is done, in order.
        left: damage that cannot be repaired.
        copies: the directory with the copies of what was changed, once it was.
    """

    storage_uri: str
    steps: Sequence[RepairStep]
    left: Sequence[Finding] = ()
    copies: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object; the names stay the same between releases."""
        return {
            "storage_uri": self.storage_uri,
            "done": self.copies is not None,
            "copies": self.copies,
            "steps": [{"kind": step.kind, "subject": step.subject, "detail": step.detail} for step in self.steps],
            "left": [{"kind": one.kind, "subject": one.subject, "detail": one.detail} for one in self.left],
        }

    def __str__(self) -> str:
        """Return the plan for people."""
        done = self.copies is not None
        lines = [f"{self.storage_uri}: {len(self.steps):,} steps {'done' if done else 'to do'}"]
        lines += [f"  {step.kind}  {step.subject}: {step.detail}" for step in self.steps[:_SHOWN]]
        if len(self.steps) > _SHOWN:
            lines.append(f"  ... and {len(self.steps) - _SHOWN:,} more; --json lists them all")
        lines += [f"  cannot be repaired: {one.kind}  {one.subject}: {one.detail}" for one in self.left[:_SHOWN]]
        if done:
            lines.append(f"copies of what was changed: {self.copies}")
        return "\n".join(lines)
