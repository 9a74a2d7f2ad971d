"""What came of changing the layout of a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starfish_storage.interface import Layout
from starfish_storage.wording import number_of

_SHOWN = 20


@dataclass(slots=True)
class PackingReport:
    """What `pack` or `unpack` did, or would do.

    Attributes:
        storage_uri: the store.
        layout: where data was moved to: ``"packed"`` or ``"files"``.
        master_job_id: the run whose data it was; None: that of the whole store.
        dry_run: nothing was changed.
        records: how many data were moved: of records, of their versions, and data without a record.
        bytes: their size together.
        left: the keys of data that stays where it is, each with the reason: it is missing or damaged.
        packs: how many packs were compressed.
        packs_in_use: how many were not, because somebody appends to them.
        bytes_before: the size of those that were compressed.
        bytes_after: their size now.
        removed_packs: how many packs were removed, since nothing of them is referred to.
        merged_packs: how many small objects were put together with others, and are gone.
        young_packs: how many more were, and wait for `collect`, since somebody may be about to save a row of them.
        seconds: how long it took.
    """

    storage_uri: str
    layout: Layout
    master_job_id: str | None
    dry_run: bool
    records: int = 0
    bytes: int = 0
    left: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    packs: int = 0
    packs_in_use: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    removed_packs: int = 0
    merged_packs: int = 0
    young_packs: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        return {
            "storage_uri": self.storage_uri,
            "layout": self.layout,
            "master_job_id": self.master_job_id,
            "dry_run": self.dry_run,
            "records": self.records,
            "bytes": self.bytes,
            "left": [{"key": key, "reason": reason} for key, reason in self.left],
            "compressed_packs": self.packs,
            "packs_in_use": self.packs_in_use,
            "bytes_before_compression": self.bytes_before,
            "bytes_after_compression": self.bytes_after,
            "removed_packs": self.removed_packs,
            "merged_packs": self.merged_packs,
            "young_packs": self.young_packs,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        """Return the report for people."""
        verb = "would put" if self.dry_run else "put"
        where = "packs" if self.layout == "packed" else "files of their own"
        speed = "" if self.dry_run or not self.seconds else f" ({self.records / self.seconds:,.0f} a second)"
        what = number_of(self.records, "record")
        lines = [f"{self.storage_uri}: {verb} {what} ({self.bytes:,} bytes) into {where}{speed}"]
        if self.removed_packs:
            lines.append(f"removed {number_of(self.removed_packs, 'empty pack')}")
        if self.merged_packs or self.young_packs:
            waits = f" ({self.young_packs:,} wait for 'collect')" if self.young_packs else ""
            lines.append(f"merged {number_of(self.merged_packs + self.young_packs, 'small pack')}{waits}")
        if self.packs:
            share = f"{self.bytes_after / self.bytes_before:.2f}" if self.bytes_before else "all"
            sizes = f"{self.bytes_before:,} bytes became {self.bytes_after:,} ({share})"
            lines.append(f"compressed {number_of(self.packs, 'pack')}: {sizes}")
        if self.packs_in_use:
            lines.append(f"left {number_of(self.packs_in_use, 'pack')} as they are: somebody appends to them")
        if self.left:
            lines.append(f"left {len(self.left):,} where they are; 'verify' says more:")
            lines += [f"  {key}: {reason}" for key, reason in self.left[:_SHOWN]]
            if len(self.left) > _SHOWN:
                lines.append(f"  ... and {len(self.left) - _SHOWN:,} more; --json lists them all")
        return "\n".join(lines)
