"""One run: its sizes, its working directory, and the contestants that stay up for the whole of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant

LAYOUTS = ("files", "packed")
"""The layouts of a store, in the order in which they take their turns."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: turns of each contestant.
        records: records of a timed write of ours and of the raw loop, with many callers.
        single_records: the same with one caller.
        peer_records: records of a timed write of the peer, which is slower.
        warm_up: records written before the clock starts: enough for each of the 256 directories to be there.
        peer_warm_up: the same for the peer, whose 65,536 directories are never all there.
        reads: records that the peer reads; ours reads ten times as many.
        jobs: execution jobs of the stores in which inputs are looked up one by one.
        lookups: look-ups of the peer; ours does ten times as many.
        hashes: execution jobs of the store that is asked for all completed inputs at once.
        many: records of the large store.
        deleted: inputs of the run that is deleted, a record each.
        imports: imports of the package that are timed.
        imported: rows of the file that is imported.
        calls: calls of a timed run, and records of the write beside it.
        resumed: inputs of the large run that is resumed.
        left: how many of them are not done.
        kills: moments at which a run is killed.
        exports: records of an exported store.
        peer_exports: the same of the peer.
        factory_inputs: inputs of a run of the peer's framework.
        remote_rounds: turns of each contestant with real servers.
        remote_records: records of a timed write to real servers, by all processes together.
        remote_single: the same of one process with one caller.
        remote_inputs: inputs of a run that workers share.
    """

    rounds: int
    records: int
    single_records: int
    peer_records: int
    warm_up: int
    peer_warm_up: int
    reads: int
    jobs: tuple[int, ...]
    lookups: int
    hashes: int
    many: int
    deleted: int
    imports: int
    imported: int
    calls: int
    resumed: int
    left: int
    kills: int
    exports: int
    peer_exports: int
    factory_inputs: int
    remote_rounds: int
    remote_records: int
    remote_single: int
    remote_inputs: int


FULL = Sizes(
    rounds=4,
    records=4000,
    single_records=1000,
    peer_records=1000,
    warm_up=1500,
    peer_warm_up=300,
    reads=2000,
    jobs=(1000, 10_000),
    lookups=1000,
    hashes=100_000,
    many=1_000_000,
    deleted=200_000,
    imports=10,
    imported=100_000,
    calls=10_000,
    resumed=100_000,
    left=1000,
    kills=20,
    exports=100_000,
    peer_exports=10_000,
    factory_inputs=2000,
    remote_rounds=2,
    remote_records=4000,
    remote_single=100,
    remote_inputs=6000,
)

QUICK = Sizes(
    rounds=2,
    records=3000,
    single_records=300,
    peer_records=300,
    warm_up=1500,
    peer_warm_up=100,
    reads=300,
    jobs=(200, 2000),
    lookups=200,
    hashes=100_000,
    many=20_000,
    deleted=5000,
    imports=3,
    imported=5000,
    calls=1000,
    resumed=2000,
    left=100,
    kills=3,
    exports=10_000,
    peer_exports=1000,
    factory_inputs=300,
    remote_rounds=2,
    remote_records=2000,
    remote_single=100,
    remote_inputs=1000,
)


class Run:
    """What the parts of a benchmark need.

    Args:
        sizes: how much is measured.
        directory: where stores are made; nothing in it is deleted before the end.
        python: the interpreter of this library.
        peer_python: the interpreter of the peer, or None to leave the peer out.
    """

    def __init__(self, sizes: Sizes, directory: Path, python: str, peer_python: str | None) -> None:
        self.sizes = sizes
        self.python = python
        self.peer_python = peer_python
        self.directory = directory
        self._stores = 0
        self._begun = time.monotonic()
        self.ours = Contestant(python, "benchmarks.ours")
        self.raw_loop = Contestant(python, "benchmarks.raw_loop")
        self.peer = None if peer_python is None else Contestant(peer_python, "benchmarks.peer")

    def store(self) -> str:
        """Return a directory that no one has used."""
        self._stores += 1
        return str(self.directory / f"store-{self._stores}")

    def rounds(self, what: str, count: int | None = None) -> Iterator[int]:
        """Count the rounds, saying where the run is."""
        wanted = count or self.sizes.rounds
        for number in range(wanted):
            self.say(f"{what}: round {number + 1} of {wanted}")
            yield number

    def say(self, what: str) -> None:
        """Tell the person who waits."""
        print(f"[{time.monotonic() - self._begun:4.0f} s] {what}", file=sys.stderr, flush=True)

    @contextmanager
    def fresh_contestant(self, module: str = "benchmarks.ours") -> Iterator[Contestant]:
        """Give a process of this library that has done nothing yet, to look at its memory."""
        with Contestant(self.python, module) as contestant:
            yield contestant

    def close(self) -> None:
        """End the contestants."""
        for contestant in (self.ours, self.raw_loop, self.peer):
            if contestant is not None:
                contestant.close()
