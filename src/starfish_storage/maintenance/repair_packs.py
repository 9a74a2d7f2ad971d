"""What a repair does about packs: what rows refer to is found again, sizes are put right, and tails are cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from starfish_storage.codec import content_digest
from starfish_storage.data.directories import Directories
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.inventory import Inventory
from starfish_storage.data.pack_scan import ScannedPack, packs_backwards
from starfish_storage.errors import StorageError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY, PACKS_DIRECTORY, PackPlace, pack_key, pack_named
from starfish_storage.maintenance.repair_plan import RepairStep
from starfish_storage.maintenance.report import Finding
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.line_places import FoundPacks
from starfish_storage.metadata.sqlite.placing import PackFill

_OF_SIZE = frozenset({"pack_size_wrong", "pack_short", "pack_tail"})
_NEAR_END = 1 << 20  # bytes, in which the last whole line of a pack is looked for first


def found_packs(data: FileSystemDataHandler) -> FoundPacks:
    """Return what lies in packs, for a database that is rebuilt."""

    def read(place: PackPlace) -> bytes:
        try:
            return data.read(place.key)
        except StorageError:
            return b""

    def file_has(key: str, sha256: bytes) -> bool:
        try:
            return content_digest(data.read(key)) == sha256.hex()
        except StorageError:
            return False

    with closing(Inventory(data.root)) as inventory:
        has_files = bool(set(inventory.directories()) - {CONFIG_DIRECTORY, DATA_DIRECTORY, PACKS_DIRECTORY})
    return FoundPacks(lambda: packs_backwards(data.directories), read, file_has, has_files)


def found_lines(inspection: Inspection, data: FileSystemDataHandler, keys: Sequence[str]) -> dict[str, PackPlace]:
    """Return where in the packs the bytes of lost data stand, by key: in a dead range, a tail, or moved by a change."""
    wanted: dict[str, list[str]] = {}
    for key in keys:
        for digest in {digest for digest in inspection.digests_of(key) if digest is not None}:
            wanted.setdefault(digest, []).append(key)
    found: dict[str, PackPlace] = {}
    for _, lines in packs_backwards(data.directories) if wanted else ():
        for place, line in lines:
            found.update(dict.fromkeys(wanted.pop(content_digest(line), ()), place))
            if not wanted:
                return found
    return found


def pack_steps(
    findings: Sequence[Finding], inspection: Inspection, data: FileSystemDataHandler, found: dict[str, PackPlace]
) -> Iterator[RepairStep]:
    """Yield what puts the sizes of packs right, and cuts off what lies behind them.

    Args:
        findings: what verifying has found.
        inspection: the database.
        data: where the packs lie.
        found: where lost data was found: a pack must go as far.
    """
    ends: dict[str, int] = {}
    for place in found.values():
        ends[place.pack] = max(place.end, ends.get(place.pack, 0))
    fills = {fill.pack: fill for fill in inspection.packs()}
    named = (pack_named(finding.subject) for finding in findings if finding.kind in _OF_SIZE)
    for name in sorted({*ends, *(name for name in named if name is not None)}):
        fill = fills.get(name) or PackFill(name, 0, 0, 0)
        try:
            with ScannedPack(data.directories, name) as pack:
                yield from _steps_of(pack, fill, ends.get(name, 0))
        except FileNotFoundError:
            continue  # removed since


def _steps_of(pack: ScannedPack, fill: PackFill, end: int) -> Iterator[RepairStep]:
    key, size, there = pack_key(pack.pack), max(fill.size, fill.last_end, end), pack.size()
    is_short = size > there
    if is_short:
        size = _last_line(pack, there)
    if size != fill.size:
        place = PackPlace(pack.pack, 0, size)
        yield RepairStep("set_pack_size", key, f"{size} bytes of it are committed, not {fill.size}", place)
    if size < there:
        place = PackPlace(pack.pack, size, there - size)
        what = "are the beginning of a line whose end is lost" if is_short else "were never committed"
        yield RepairStep("cut_tail", key, f"its last {there - size} bytes {what}", place)


def _last_line(pack: ScannedPack, size: int) -> int:
    """Return where the last whole line of a pack ends."""
    for start in (max(0, size - _NEAR_END), 0):
        end = pack.read(start, size - start).rfind(b"\n") + 1
        if end:
            return start + end
    return 0


def cut_tail(root: str, tail: PackPlace, copies: str) -> None:
    """Cut off what lies behind the committed end of a pack, once it was copied; nothing, if somebody appends to it.

    Raises:
        StorageIOError: it failed.
    """
    key = pack_key(tail.pack)
    with (
        translated(f"{root}/{key}"),
        closing(Directories(root, FileOperations())) as directories,
        ScannedPack(directories, tail.pack) as pack,
    ):
        if pack.key == key and pack.take():
            target = Path(f"{copies}/{key}:{tail.start}+{tail.length}")
            FileOperations().make_root(str(target.parent))
            target.write_bytes(pack.read(tail.start, tail.length))
            pack.cut(tail.start)
