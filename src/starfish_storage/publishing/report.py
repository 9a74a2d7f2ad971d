"""What became of a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from starfish_storage.wording import number_of, size


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What `bundle` wrote.

    Attributes:
        path: the folder.
        master_job_id: the run.
        records: how many records it shows.
        of: how many records the run has.
        files: how many files it has.
        bytes: their size.
        replaced: in how many places a secret, path, host or user was left out.
        damaged: how many records it shows without their data, which is lost or damaged.
    """

    path: str
    master_job_id: str
    records: int
    of: int
    files: int
    bytes: int
    replaced: int = 0
    damaged: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the report for people."""
        shown = number_of(self.records, "record") + (f" of {self.of:,}" if self.of != self.records else "")
        text = f"{self.path}: {shown} in {number_of(self.files, 'file')}, {size(self.bytes)}. Open index.html in it."
        if self.replaced:
            text += f"\nSecrets, paths, hosts or users were left out in {number_of(self.replaced, 'place')}."
        if self.damaged:
            text += f"\nWithout their data, which is lost or damaged: {number_of(self.damaged, 'record')}."
        return text
