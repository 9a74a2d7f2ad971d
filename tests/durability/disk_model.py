"""A disk that knows, from a recorded trace, which states a power cut may leave.

The model is harsher than the file systems we know. What was synced stands: a file's content by a sync of the file, a
directory's entries by a sync of that directory, everything by a sync of the file system. Of all that was done since,
each step may have reached the disk or not, independently of the others: a write whole, not at all, up to any sector,
or as zeros; an entry of a directory before the content of its file. Only a rename is one step, as POSIX has it. A sync
that failed makes nothing durable, then or later: the system has forgotten what was to be written.
"""

from __future__ import annotations

import enum
import hashlib
import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_ENTRY = struct.Struct("=6q")
# Read anew, or emptied, by the first process that opens the store after the machine was off.
_NOT_KEPT = ("metadata.db-shm", "writer.lock", "session.lock")


class What(enum.IntEnum):
    """The kinds of the trace's entries; the numbers are those of the shim."""

    WRITE = 0
    TRUNCATE = 1
    SYNC = 2
    SYNC_ALL = 3
    RENAME = 4
    LINK = 5
    MKDIR = 6
    UNLINK = 7
    CREATE = 8
    MARK = 9
    SYNC_FAILED = 10


@dataclass(frozen=True)
class Step:
    """One entry of the trace, its paths relative to the root; ``inode`` tells one file from another."""

    what: What
    inode: int
    offset: int
    path: str
    target: str
    data: bytes


def read_trace(trace: bytes, root: str) -> list[Step]:
    """Return the steps below a root, in order."""
    steps: list[Step] = []
    position = 0
    files: dict[int, int] = {}  # a number of the file system's may be used again for another file
    while position < len(trace):
        kind, inode, offset, length, path_length, target_length = _ENTRY.unpack_from(trace, position)
        position += _ENTRY.size
        parts: list[bytes] = []
        for size in (path_length, target_length, length):
            parts.append(trace[position : position + size])
            position += size
        if kind == What.CREATE:
            files[inode] = position
        path, target = (part.decode().removeprefix(root).lstrip("/") for part in parts[:2])
        if not (path.endswith(_NOT_KEPT) or (kind == What.MKDIR and not path)):
            steps.append(Step(What(kind), files.get(inode, -1), offset, path, target, parts[2]))
    return steps


@dataclass
class State:
    """Files and directories: entries of directories, and the content of the files they lead to."""

    entries: dict[str, int | None] = field(default_factory=dict)  # None is a directory
    content: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.entries), dict(self.content))

    def apply(self, step: Step, *, until: int | None = None, zeros: bool = False) -> None:
        """Do what a step does; of a write, only up to so many bytes, or with zeros in place of its data."""
        if step.what is What.WRITE:
            data = step.data[:until]
            before = self.content.get(step.inode, b"").ljust(step.offset, b"\0")
            data = bytes(len(data)) if zeros else data
            self.content[step.inode] = before[: step.offset] + data + before[step.offset + len(data) :]
        elif step.what is What.TRUNCATE:
            self.content[step.inode] = self.content.get(step.inode, b"")[: step.offset].ljust(step.offset, b"\0")
        elif step.what is What.MKDIR:
            self.entries[step.path] = None
        elif step.what is What.UNLINK:
            self.entries.pop(step.path, None)
        elif step.what is What.CREATE:
            self.entries[step.path] = step.inode
        elif step.what in (What.RENAME, What.LINK):
            self.entries[step.target] = step.inode
            if step.what is What.RENAME:
                self.entries.pop(step.path, None)

    def files(self) -> dict[str, bytes | None]:
        """Return the content of each file that can be reached, and None for each such directory."""
        reached: dict[str, bytes | None] = {"": None}
        for path in sorted(self.entries):
            inode = self.entries[path]
            if reached.get(path.rpartition("/")[0], b"") is None:
                reached[path] = None if inode is None else self.content.get(inode, b"")
        return reached


def digest(files: dict[str, bytes | None]) -> bytes:
    """Return what is the same for equal states, and for no others."""
    summary = hashlib.sha256()
    for path, content in sorted(files.items()):
        summary.update(repr((path, None if content is None else len(content))).encode() + (content or b""))
    return summary.digest()


def materialise(files: dict[str, bytes | None], directory: Path) -> None:
    """Make a state real."""
    for path, content in files.items():
        if content is None:
            (directory / path).mkdir()
        else:
            (directory / path).write_bytes(content)


class Disk:
    """What is durable, and what is not yet, while the steps of a trace are followed."""

    def __init__(self) -> None:
        self.durable = State()
        self.pending: list[Step] = []
        self.marks: list[str] = []

    def follow(self, step: Step) -> None:
        if step.what is What.MARK:
            self.marks.append(step.data.decode())
        elif step.what is What.SYNC_ALL:
            self._settle(self.pending)
        elif step.what is What.SYNC:
            self._settle([pending for pending in self.pending if _covers(step, pending)])
        elif step.what is What.SYNC_FAILED:
            self.pending = [pending for pending in self.pending if not _forgets(step, pending)]
        else:
            self.pending.append(step)

    def _settle(self, steps: Iterable[Step]) -> None:
        settled = list(steps)
        for step in settled:
            self.durable.apply(step)
        identities = {id(step) for step in settled}
        self.pending = [step for step in self.pending if id(step) not in identities]

    def left(self, kept: Iterable[int]) -> State:
        """Return what is left when just these of the pending steps reached the disk."""
        state = self.durable.copy()
        for number in sorted(kept):
            state.apply(self.pending[number])
        return state

    def cuts(self, chance: random.Random, singles: int, subsets: int) -> Iterator[State]:
        """Return states that a cut now may leave: at most so many of each single step, and random subsets."""
        everything = range(len(self.pending))
        yield self.left(())
        yield self.left(everything)
        chosen = chance.sample(everything, min(singles, len(self.pending)))
        for number in chosen:
            yield self.left(set(everything) - {number})  # all but one
            yield self.left({number})  # one alone
            yield self.left(range(number))  # in the order in which they were done
        for number in {*chosen[: singles // 2], *list(everything)[-1:]}:
            yield from self._torn(number, chance)
        for _ in range(subsets):
            yield self.left({number for number in everything if chance.random() < 0.5})

    def _torn(self, number: int, chance: random.Random) -> Iterator[State]:
        """Return states with one write there in part, or as zeros, after all or none of the others."""
        step = self.pending[number]
        if step.what is not What.WRITE:
            return
        sectors = -(-len(step.data) // SECTOR)
        for others in (range(number), [*range(number), *range(number + 1, len(self.pending))]):
            for until, zeros in ((chance.randrange(sectors) * SECTOR, False), (None, True)):
                state = self.left(others)
                state.apply(step, until=until, zeros=zeros)
                yield state


def _covers(sync: Step, step: Step) -> bool:
    if step.what in (What.WRITE, What.TRUNCATE):
        return step.inode == sync.inode and sync.inode >= 0
    return any(path and path.rpartition("/")[0] == sync.path for path in (step.path, step.target)) and sync.inode < 0


def _forgets(sync: Step, step: Step) -> bool:
    """Return whether a failed sync has made the system forget what was to be written.

    One of the whole file system spares the database's files, whose next sync reports the failure once more.
    """
    if step.what not in (What.WRITE, What.TRUNCATE):
        return False
    return not step.path.startswith("metadata.db") if sync.offset else _covers(sync, step)
