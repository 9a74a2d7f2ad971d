"""What checking data is made of, wherever it lies."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from starfish_storage.codec import content_digest, decode
from starfish_storage.interface.inspection import FoundFile, RowInspection
from starfish_storage.maintenance.report import Finding

Work = TypeVar("Work")
Result = TypeVar("Result")

WORKERS = min(8, 2 * (os.cpu_count() or 1))
"""How many files are read at a time."""

OnProgress = Callable[[int, int], None]
"""Called with how many records have been checked, and how many there are."""


@dataclass
class Tally:
    """What the checks of data add up to; one for each portion of them, then summed.

    Attributes:
        packs: the names of those that were read.
        dead_bytes: how much of them no row names.
        suspects: the keys of what did not fit, to be looked at again.
    """

    records: int = 0
    files: int = 0
    bytes: int = 0
    without_digest: int = 0
    packs: set[str] = field(default_factory=set[str])
    dead_bytes: int = 0
    suspects: list[str] = field(default_factory=list[str])
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, other: Tally) -> None:
        """Add another portion."""
        self.records += other.records
        self.files += other.files
        self.bytes += other.bytes
        self.without_digest += other.without_digest
        self.packs |= other.packs
        self.dead_bytes += other.dead_bytes
        self.suspects += other.suspects
        self.findings += other.findings

    def count(self, payload: bytes) -> None:
        """Count a file that was read."""
        self.files += 1
        self.bytes += len(payload)


def fault_of(payload: bytes, digest: str | None) -> str | None:
    """Return what is wrong with a file's content, or None."""
    if digest is not None:
        return None if content_digest(payload) == digest else "it is not what was saved: its SHA-256 differs"
    try:
        is_object = isinstance(decode(payload), dict)
    except (ValueError, RecursionError):
        return f"it is not JSON ({len(payload)} bytes)"
    return None if is_object else "it is not a JSON object"


def in_parallel(
    pool: ThreadPoolExecutor, check: Callable[[Work], Result], work: Iterable[Work], waiting: int
) -> Iterator[Result]:
    """Yield the result of each portion of work, in order; only so many wait at a time, however many there are."""
    running: deque[Future[Result]] = deque()
    try:
        for portion in work:
            running.append(pool.submit(check, portion))
            if len(running) >= waiting:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def unwanted(rows: RowInspection, files: Sequence[FoundFile]) -> list[FoundFile]:
    """Return those of some files, listed before, that no row refers to; not those that wait to be removed."""
    packs = [file for file in files if file.pack is not None]
    used = rows.packs_in_use([file.pack for file in packs if file.pack is not None]) if packs else {}
    data = [file for file in files if file.is_data]
    standing = rows.standing([file.key for file in data]) if data else {}
    return [
        *(file for file in packs if file.pack not in used),
        *(file for file in data if standing.get(file.key) in (None, "loose")),
    ]
