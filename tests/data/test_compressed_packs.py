"""Compressed packs: any range of them, what damage does, and how they take the place of plain ones."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durability.faults import RecordedFiles, Steps
from durability.pack_store import Store, line
from starfish_storage.data.compressed_packs import (
    FRAME_CONTENT,
    CompressedPack,
    RecentFrames,
    compressed_frames,
    frame_chunks,
)
from starfish_storage.data.directories import Directories
from starfish_storage.data.pack_compression import Compressed, PackCompression
from starfish_storage.data.staging import Staging
from starfish_storage.errors import MissingExtraError, StorageIOError, StoreDamagedError
from starfish_storage.extras import zstd
from starfish_storage.files.atomic import FileOperations

KEY = "data/packs/000001.jsonl"
LINES = b"".join(b'{"number": %d, "text": "%s"}\n' % (number, b"word " * (number % 300)) for number in range(1500))


def packed(content: bytes) -> bytes:
    position = 0

    def read(length: int) -> bytes:
        nonlocal position
        found = content[position : position + length]
        position += len(found)
        return found

    return b"".join(compressed_frames(frame_chunks(read)))


@contextmanager
def opened(path: Path) -> Iterator[CompressedPack]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield CompressedPack(descriptor, str(path), RecentFrames())
    finally:
        os.close(descriptor)


@pytest.fixture(name="path")
def a_compressed_pack(tmp_path: Path) -> Path:
    path = tmp_path / "000001.jsonl.zst"
    path.write_bytes(packed(LINES))
    return path


@given(
    lines=st.lists(st.integers(0, 3 * FRAME_CONTENT // 2), max_size=6),
    ranges=st.lists(st.tuples(st.integers(0, 1 << 21), st.integers(0, 1 << 21)), max_size=10),
    seed=st.integers(0, 9),
)
def test_any_range_is_that_of_the_content(
    lines: list[int], ranges: list[tuple[int, int]], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    noise = random.Random(seed).randbytes(1 << 20).replace(b"\n", b" ")
    content = b"".join(noise[:length] + b"\n" for length in lines)
    path = tmp_path_factory.mktemp("pack") / "a.jsonl.zst"
    path.write_bytes(packed(content))
    with opened(path) as pack:
        assert pack.size == len(content)
        assert pack.read(0, len(content)) == content
        for start, length in ranges:
            assert pack.read(start, length) == content[start : start + length]
    with zstd().open(path) as stream:  # as every other program reads it
        assert stream.read() == content


def test_frames_are_small_and_end_with_lines(path: Path) -> None:
    with opened(path) as pack:
        parts = list(pack.parts(0, len(LINES)))
    assert len(parts) > 3
    assert all(part.endswith(b"\n") and len(part) <= FRAME_CONTENT for part in parts)
    assert path.stat().st_size < len(LINES) / 10


@pytest.mark.skipif(shutil.which("zstdcat") is None, reason="zstd's own program is not installed")
def test_zstdcat_reads_it(path: Path) -> None:
    assert subprocess.run(["zstdcat", path], capture_output=True, check=True).stdout == LINES


def test_a_flipped_bit_is_one_damaged_frame(path: Path) -> None:
    whole = path.read_bytes()
    with opened(path) as pack:
        parts = list(pack.parts(0, len(LINES)))
    begins = at = 0
    for number, part in enumerate(parts):
        length = zstd().get_frame_size(whole[at:])
        middle = at + length // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :])
        rest = begins + len(part)
        with opened(path) as pack:
            with pytest.raises(StoreDamagedError, match=rf"000001\.jsonl\.zst' is damaged: frame {number} ") as raised:
                pack.read(begins + 5, 10)
            assert raised.value.path == str(path)
            assert pack.read(0, begins) == LINES[:begins]
            assert pack.read(rest, len(LINES)) == LINES[rest:]
        begins, at = rest, at + length


def table_of(frames: list[tuple[int, int]], *, described: int = 0, magic: int = 0x8F92EAB1, head: int = 0) -> bytes:
    entries = b"".join(struct.pack("<II", *frame) for frame in frames)
    content = entries + struct.pack("<IBI", len(frames), described, magic)
    return struct.pack("<II", 0x184D2A5E, head or len(content)) + content


def frame_of(content: bytes) -> bytes:
    return zstd().compress(content)


ZEROS = frame_of(bytes(1 << 27))
SMALL = frame_of(b"{}\n")
DAMAGED = {
    "empty": (b"", "too short"),
    "cut off": (SMALL + table_of([(len(SMALL), 3)])[:-1], "may be cut off"),
    "no table": (SMALL, "may be cut off"),
    "other bits": (SMALL + table_of([(len(SMALL), 3)], described=4), "may be cut off"),
    "more frames than bytes": (SMALL + struct.pack("<IBI", 1 << 15, 0, 0x8F92EAB1), "does not begin"),
    "too many frames": (SMALL + struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1), "may be cut off"),
    "another length": (SMALL + table_of([(len(SMALL), 3)], head=77), "does not begin"),
    "wrong end": (SMALL + b"abc" + table_of([(len(SMALL), 3)]), "disagree"),
    "wrong sizes": (SMALL * 2 + table_of([(len(SMALL), 3), (len(SMALL), 4)]), "frame 1 is not what"),
    "no frame": (SMALL + table_of([(len(SMALL) - 3, 3), (3, 3)]), "no frame begins"),
    "a bomb, honestly": (ZEROS + table_of([(len(ZEROS), 1 << 27)]), "frame 0 is larger"),
    "a bomb, lying": (ZEROS + table_of([(len(ZEROS), 200)]), "frame 0 is not what"),
    "a large frame": (SMALL + table_of([(0xFFFFFFFF, 3)]), "disagree"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_pack_is_refused_before_anything_is_decoded(name: str, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match=message) as raised, opened(path):
        pass
    assert raised.value.path == str(path)


def test_a_frame_that_lies_about_its_own_size_is_refused_with_little_memory(tmp_path: Path) -> None:
    claimed = bytearray(ZEROS)
    head = claimed[4]  # the frame header descriptor: which fields follow
    assert head >> 6 == 2, "a size of four bytes follows"
    at = 5 if head & 0x20 else 6
    struct.pack_into("<I", claimed, at, 200)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(bytes(claimed) + table_of([(len(claimed), 200)]))
    with opened(path) as pack, pytest.raises(StoreDamagedError, match="frame 0"):
        pack.read(0, 10)


def test_a_table_with_checksums_is_read(tmp_path: Path) -> None:
    content = struct.pack("<III", len(SMALL), 3, 12345) + struct.pack("<IBI", 1, 0x80, 0x8F92EAB1)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(SMALL + struct.pack("<II", 0x184D2A5E, len(content)) + content)
    with opened(path) as pack:
        assert pack.read(0, 100) == b"{}\n"


def test_without_the_library_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    message = r"Compressed packs need .* pip install 'starfish-storage\[zstd\]'"
    with pytest.raises(MissingExtraError, match=message), opened(path):
        pass


# --- in place of a plain one ------------------------------------------------------------------------------------------


def compression(root: Path, files: FileOperations | None = None) -> tuple[PackCompression, Staging, Directories]:
    files = files or FileOperations()
    directories = Directories(str(root), files)
    staging = Staging(directories, files)
    return PackCompression(directories, staging, files), staging, directories


@pytest.fixture(name="plain")
def a_plain_pack(tmp_path: Path) -> Path:
    plain = tmp_path / KEY
    plain.parent.mkdir(parents=True)
    plain.write_bytes(LINES + b'{"of a group that was never')
    return plain


def content_of(plain: Path) -> bytes:
    """Return the content as readers find it: in the plain form, or else in the compressed one."""
    if plain.exists():
        return plain.read_bytes()[: len(LINES)]
    with opened(plain.with_name(plain.name + ".zst")) as pack:
        return pack.read(0, len(LINES) + 1)


def test_it_takes_the_place_of_the_plain_one_up_to_the_committed_end(tmp_path: Path, plain: Path) -> None:
    packs, staging, directories = compression(tmp_path)
    before = plain.stat().st_size
    done = packs.compress(KEY, lambda: len(LINES))
    compressed = plain.with_name("000001.jsonl.zst")
    assert done == Compressed(before, compressed.stat().st_size)
    assert not plain.exists()
    assert compressed.stat().st_mode & 0o777 == 0o600
    assert content_of(plain) == LINES
    assert packs.compress(KEY, lambda: len(LINES)) is None  # again
    staging.close()
    directories.close()
    assert os.listdir(tmp_path / "staging") == []


def test_what_somebody_appends_to_stays(tmp_path: Path, plain: Path) -> None:
    packs, _, _ = compression(tmp_path)
    with plain.open("rb") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert packs.compress(KEY, lambda: len(LINES)) is None
    assert packs.compress(KEY, lambda: None) is None  # the journal holds some of it
    assert plain.exists()
    with pytest.raises(StoreDamagedError, match=r"of the .* that were committed"):
        packs.compress(KEY, lambda: len(LINES) + 1000)
    assert os.listdir(plain.parent) == [plain.name]


def test_wherever_it_ends_one_whole_form_is_there_and_the_next_call_goes_on(tmp_path: Path, plain: Path) -> None:
    """Each step fails once; and a step that a power cut could leave out comes after what makes it harmless is safe."""
    steps = Steps()
    while plain.exists():
        ended = len(steps.taken) + 1

        def end(number: int, step: str, last: int = ended) -> None:
            if number == last:
                raise OSError(5, step)

        steps = Steps(before=end)
        packs, staging, directories = compression(tmp_path, RecordedFiles(steps))
        with pytest.raises(StorageIOError):
            packs.compress(KEY, lambda: len(LINES))
        assert len(steps.taken) >= ended
        assert content_of(plain) == LINES
        staging.close()
        directories.close()
        assert not list(tmp_path.glob("staging/*/*"))
    renamed, removed = steps.first("rename 000001.jsonl.zst"), steps.first("remove 000001.jsonl")
    syncs = [number for number, step in enumerate(steps.taken) if step == "fsync"]
    assert [(number > renamed) + (number > removed) for number in syncs] == [0, 1, 2]


@pytest.fixture(name="store")
def a_store_of_packs(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def test_readers_do_not_notice_and_writers_go_on_in_another_pack(store: Store) -> None:
    packs, early, late = store.open(), store.open(), store.open()
    lines = [line(number, 1000) for number in range(1000)]
    places = store.save(packs, *lines, safe=True)
    assert list(early.read_each(places)) == lines
    packs.close()
    compression(store.root)[0].compress(KEY, lambda: store.ends["000001"])
    assert not store.path().exists()
    for reader in (early, late):
        assert list(reader.read_each(places)) == lines
        assert reader.read(places[7]) == lines[7]
        assert b"".join(reader.read_parts(places[8], 300)) == lines[8]
        assert reader.holds(places[-1])
        assert not reader.holds(places[-1]._replace(length=1001))
    assert store.save(packs, line(1))[0].pack == "000002"
    assert late.names() == ["000001", "000002"]
    packs.restore(places[3], lines[3])  # as a journal may say whose emptying a power cut has undone
    packs.sync(["000001"])
    assert not store.path().exists()
    assert late.read(places[4]) == lines[4]


def test_of_a_damaged_frame_the_other_places_are_read(store: Store) -> None:
    packs = store.open()
    lines = [line(number, 1000) for number in range(1000)]
    places = store.save(packs, *lines, safe=True)
    packs.close()
    compression(store.root)[0].compress(KEY, lambda: store.ends["000001"])
    path = store.path().with_name("000001.jsonl.zst")
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 255]) + whole[41:])
    found = list(store.open().read_each(places))
    damaged = found.count(None)
    assert damaged == FRAME_CONTENT // 1000
    assert found == [None] * damaged + lines[damaged:]
    with pytest.raises(StoreDamagedError, match=r"000001\.jsonl\.zst' is damaged: frame 0"):
        store.open().read(places[0])
