"""Verifying a store with its rows in PostgreSQL, or its data in an object store.

What the rows refer to is read; and what is found in the place of the data is asked of the rows. Neither is kept: not
even the keys of a hundred million records fit into memory. What does not fit is judged by what is committed then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from starfish_storage.errors import (
    DataNotFoundError,
    InvalidReferenceError,
    StorageError,
    StorageUnavailableError,
)
from starfish_storage.interface.inspection import DataReference, FoundFile
from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, check_place, place_in_pack
from starfish_storage.maintenance.backends import RemoteStore
from starfish_storage.maintenance.checking import WORKERS, OnProgress, Tally, fault_of, in_parallel, unwanted
from starfish_storage.maintenance.report import Finding, FindingKind, finding_of

_PORTION = 50  # data that a thread reads one after the other
_PACKED_BYTES = 1 << 20  # of a pack that a thread reads with a request or two
_LOOKS = 10  # at what a writer may be changing; then it is a finding

_KINDS: dict[str, tuple[FindingKind, FindingKind, FindingKind]] = {
    "record": ("data_missing", "data_unreadable", "data_damaged"),
    "master job": ("request_config_missing", "request_config_damaged", "request_config_damaged"),
}


class RemoteVerification:
    """One run over a store.

    Args:
        store: the store.
        grace: how old something must be to be listed as one that nothing refers to.
    """

    def __init__(self, store: RemoteStore, grace: timedelta) -> None:
        self._store = store
        self._rows = store.rows
        self._data = store.data
        self._before = store.rows.now() - int(grace.total_seconds() * 1e9)

    def run(self, tally: Tally, progress: OnProgress | None) -> None:
        """Check everything, and add it to a tally."""
        tally.findings += map(finding_of, self._rows.faults())
        with ThreadPoolExecutor(max(self._data.parallel, WORKERS), "starfish-storage-verify") as pool:
            self._check_data(pool, tally, progress)
            self._check_request_configs(pool, tally)
        tally.findings += self._check_place(tally)

    def _check_data(self, pool: ThreadPoolExecutor, tally: Tally, progress: OnProgress | None) -> None:
        tally.records, total = self._rows.count_data()
        checked = 0
        portions = _portions(self._rows.data_references())
        for done in in_parallel(pool, self._check_some, portions, self._waiting):
            checked += done.records
            done.records = 0  # borrowed data is that of several
            tally.add(done)
            if progress is not None:
                progress(checked, total)
        self._judge("record", tally)

    def _check_request_configs(self, pool: ThreadPoolExecutor, tally: Tally) -> None:
        pages = ([DataReference(key, key, None) for key in page] for page in self._rows.request_config_references())
        for done in in_parallel(pool, self._check_some, _portions(pages), self._waiting):
            done.records = done.without_digest = 0
            tally.add(done)
        self._judge("master job", tally)

    def _check_some(self, references: Sequence[DataReference]) -> Tally:
        tally = Tally(records=len(references))
        packed = [place for one in references if (place := place_in_pack(one.place)) is not None]
        read = iter(self._data.read_each([place.key for place in packed])) if packed else iter(())
        for reference in references:
            tally.without_digest += reference.sha256 is None
            place = place_in_pack(reference.place)
            try:
                payload = self._read(reference) if place is None else next(read)
            except StorageUnavailableError:
                raise  # what cannot be reached is not damaged
            except StorageError:
                payload = None
            if payload is None:
                tally.suspects.append(reference.key)
                continue
            if place is None:
                tally.count(payload)
            else:
                tally.packs.add(place.pack)
                tally.bytes += len(payload)
            if fault_of(payload, reference.sha256) is not None:
                tally.suspects.append(reference.key)
        return tally

    def _read(self, reference: DataReference) -> bytes:
        if reference.payload is not None:
            return reference.payload
        if not reference.place.startswith(f"{CONFIG_DIRECTORY}/"):
            check_place(reference.place)  # a row may name anything
        return self._data.read(reference.place)

    def _judge(self, referrer: str, tally: Tally) -> None:
        """Judge what did not fit by what is committed now: a writer may just have changed it."""
        for key in tally.suspects:
            before: list[DataReference] = []
            fault: Finding | None = None
            for _ in range(_LOOKS):
                now = self._rows.locate(key)
                fault = next(filter(None, (self._fault_at(reference, referrer) for reference in now)), None)
                if fault is None or now == before:
                    break
                before = now
            tally.findings += [] if fault is None else [fault]
        tally.suspects.clear()

    def _fault_at(self, reference: DataReference, referrer: str) -> Finding | None:
        missing, unreadable, damaged = _KINDS[referrer]
        try:
            payload = self._read(reference)
        except StorageUnavailableError:
            raise
        except DataNotFoundError:
            return Finding(missing, reference.key, f"a {referrer} refers to it, but it does not exist")
        except (StorageError, InvalidReferenceError) as error:
            return Finding(unreadable, reference.key, str(error))
        fault = fault_of(payload, reference.sha256)
        return None if fault is None else Finding(damaged, reference.key, fault)

    def _check_place(self, tally: Tally) -> Iterator[Finding]:
        """Ask of all that lies there whether anything refers to it."""
        for page in self._store.inventory.pages():
            sizes = {file.pack: file.size for file in page if file.pack is not None}
            live = self._rows.packs_in_use(list(sizes)) if sizes else {}
            tally.dead_bytes += sum(max(0, sizes[pack] - needed) for pack, needed in live.items())
            for file in page:
                if not file.is_data and file.pack is None:
                    yield Finding("not_data", file.key, "this is not a data file of a store")
            old = [file for file in unwanted(self._rows, page) if file.changed < self._before]
            for file in self._still_there(old):
                who = "record" if file.key.startswith(f"{DATA_DIRECTORY}/") else "master job"
                yield Finding("data_unreferenced", file.key, f"no {who} refers to it")
        for name in self._rows.stale_removals():
            yield Finding("leftover", name, "its writer died before removing it; 'collect' removes it")
        for file in self._store.inventory.leftovers():
            if file.changed < self._before:
                yield Finding("leftover", file.key, f"{file.size} bytes of an unfinished write")

    def _still_there(self, files: Sequence[FoundFile]) -> list[FoundFile]:
        """Return those that were not removed since they were listed, and that nothing refers to even now."""
        if not files:
            return []
        there = self._data.existing([file.key for file in files])
        return unwanted(self._rows, [file for file in files if file.key in there])

    @property
    def _waiting(self) -> int:
        return 4 * max(self._data.parallel, WORKERS)


def _portions(pages: Iterable[Sequence[DataReference]]) -> Iterator[Sequence[DataReference]]:
    """Divide references into what a thread takes: a few objects, or more of a pack, which is read at once."""
    for page in pages:
        some: list[DataReference] = []
        size = 0
        for reference in page:
            place = place_in_pack(reference.place)
            some.append(reference)
            size += _PACKED_BYTES // _PORTION if place is None else place.length
            if size >= _PACKED_BYTES:
                yield some
                some, size = [], 0
        if some:
            yield some
