"""Verifying the packs of a store in a directory: each is read once, in order, beside the rows that name its ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from starfish_storage.codec import decode
from starfish_storage.data.directories import Directories
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.pack_scan import ScannedPack
from starfish_storage.errors import StorageError
from starfish_storage.keys import PACKS_DIRECTORY, PackPlace, pack_key
from starfish_storage.maintenance.checking import Tally, fault_of
from starfish_storage.maintenance.report import Finding
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.placing import PackFill

_AT_ONCE = 2000  # rows in a portion
_LOOKS = 10  # at a pack that a writer may be changing; then it is a finding


class NamedRange(NamedTuple):
    """A range of a pack that a row names."""

    key: str
    sha256: str | None
    place: PackPlace


class PackPortion(NamedTuple):
    """A stretch of a pack.

    Attributes:
        pack: its name.
        start: where the stretch begins.
        references: what rows name of it, in order; two of one key where data is borrowed.
        until: where it ends, if the last reference is not the end of it.
    """

    pack: str
    start: int
    references: Sequence[NamedRange]
    until: int = 0


def portions(pack: str, references: Iterable[NamedRange], committed: int) -> Iterator[PackPortion]:
    """Divide what rows name of a pack, and all between, into stretches that each follow the one before."""
    start = reached = 0
    some: list[NamedRange] = []
    for reference in references:
        some.append(reference)
        reached = max(reached, reference.place.end)
        if len(some) == _AT_ONCE:
            yield PackPortion(pack, start, some)
            start, some = reached, []
    yield PackPortion(pack, start, some, committed)


def check_portion(directories: Directories, portion: PackPortion) -> Tally:
    """Compare every range with the digest of its row, and see that all between are lines of JSON."""
    tally = Tally(records=len(portion.references), packs={portion.pack})
    try:
        with ScannedPack(directories, portion.pack) as pack:
            _check_ranges(pack, portion, tally)
    except (FileNotFoundError, StorageError):
        tally.suspects += (reference.key for reference in portion.references)
    return tally


def _check_ranges(pack: ScannedPack, portion: PackPortion, tally: Tally) -> None:
    reached, before = portion.start, None
    for key, sha256, place in portion.references:
        tally.without_digest += sha256 is None
        if place.start > reached:
            tally.findings += _foreign_lines(pack, reached, place.start)
        elif place.start < reached and place != before:
            detail = "its range in the pack overlaps another's; the row, or that of the other, is damaged"
            tally.findings.append(Finding("pack_ranges_overlap", key, detail))
        payload = pack.read(place.start, place.length)
        if len(payload) < place.length or fault_of(payload, sha256) is not None or not payload.endswith(b"\n"):
            tally.suspects.append(key)
        if place != before:
            tally.bytes += place.length
        reached, before = max(reached, place.end), place
    if portion.until > reached:
        tally.findings += _foreign_lines(pack, reached, portion.until)


def _foreign_lines(pack: ScannedPack, start: int, until: int) -> Iterator[Finding]:
    """Tell where a dead range holds something that this library has never written there."""
    for place, line in pack.lines(start, until):
        if not line.endswith(b"\n") or not is_object(line):
            detail = "no row names this range, and it is not a line of JSON"
            yield Finding("pack_lines_foreign", place.key, detail)
            return  # what follows it is of no more use


def is_object(payload: bytes) -> bool:
    """Return whether a line can be the data of a record."""
    try:
        return isinstance(decode(payload), dict)
    except (ValueError, RecursionError):
        return False


class PackPlaces:
    """Compares the packs that lie in a directory with those that the rows know.

    A writer may append and commit meanwhile, and a pack may be made, compressed or removed: what does not fit is looked
    at until it is the same twice.

    Args:
        inspection: the database.
        inventory: what lies in the directory.
        directories: the directories of the data root.
    """

    def __init__(self, inspection: Inspection, inventory: Inventory, directories: Directories) -> None:
        self._inspection = inspection
        self._inventory = inventory
        self._directories = directories

    def findings(self) -> list[Finding]:
        """Return what does not fit."""
        before: list[Finding] = []
        for _ in range(_LOOKS):
            # What lies there first: of what is made later, nothing is known yet.
            there = self._inventory.files(PACKS_DIRECTORY)
            found = [
                Finding("not_data", file.key, "this is not a pack of a store") for file in there if file.pack is None
            ]
            names = Counter(file.pack for file in there if file.pack is not None)
            fills = {fill.pack: fill for fill in self._inspection.packs()}
            for name in sorted(fills.keys() | names.keys(), key=lambda name: (len(name), name)):
                found += self._of_pack(name, fills.get(name), names[name])
            if found == before:
                break
            before = found
        return before

    def _of_pack(self, name: str, fill: PackFill | None, forms: int) -> Iterator[Finding]:
        key = pack_key(name)
        if forms > 1:
            yield Finding("pack_twice", key, "it is there both plain and compressed; 'pack' goes on with it")
        try:
            with ScannedPack(self._directories, name) as pack:
                if fill is None or not fill.size + fill.live:
                    if not pack.is_owned():
                        yield Finding("pack_unknown", key, f"{pack.size()} bytes that no row knows of")
                    return
                yield from self._of_size(pack, fill)
        except FileNotFoundError:
            if fill is not None and fill.live:
                yield Finding("pack_missing", key, f"rows name {fill.live} bytes in it; restore it from a backup")
        except StorageError as error:
            yield Finding("pack_unreadable", key, str(error))

    def _of_size(self, pack: ScannedPack, fill: PackFill) -> Iterator[Finding]:
        key, size = pack_key(fill.pack), pack.size()
        if fill.last_end > fill.size:
            detail = f"rows name {fill.last_end} bytes of it, but only {fill.size} are noted as committed"
            yield Finding("pack_size_wrong", key, detail)
        elif size < fill.size and not self._is_journaled(fill.pack, size, fill.size):
            yield Finding("pack_short", key, f"it has {size} bytes, and {fill.size} were committed")
        elif size > fill.size and not pack.is_owned():
            detail = f"{size - fill.size} bytes behind the last commit, of a writer that died"
            yield Finding("pack_tail", key, detail)

    def _is_journaled(self, pack: str, start: int, end: int) -> bool:
        """Return whether the journal has all that is missing at the end of a pack, as after a power cut."""
        for place in sorted(self._inspection.journaled_ranges(pack)):
            start = max(start, place.end) if place.start <= start else start
        return start >= end
