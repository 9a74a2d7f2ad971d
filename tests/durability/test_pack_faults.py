"""Packs where the disk is full or fails, and where their owners are killed, forked, or short of descriptors."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from durability.faults import fail
from durability.file_systems import Mounted
from durability.pack_store import Store, line, open_files
from durability.processes import start
from starfish_storage import DataNotFoundError, InvalidReferenceError, StorageFullError, StorageIOError
from starfish_storage.data import pack_owning
from starfish_storage.files import atomic, locking
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.keys import PackPlace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def test_what_is_appended_safely_is_synced_with_the_directories_of_a_new_pack(store: Store) -> None:
    packs = store.open()
    store.save(packs, line(1), safe=True)
    assert store.taken()[-5:] == ["append", *["fsync"] * 4]  # the pack, data/packs, data, the root
    store.save(packs, line(2), safe=True)
    assert store.taken() == ["append", "fsync"]


def test_what_this_object_wrote_is_synced_through_its_own_descriptor_and_others_with_their_file_system(
    store: Store,
) -> None:
    packs, other = store.open(), store.open()
    store.save(packs, line(1))
    store.save(other, line(2))
    store.taken()
    packs.sync(["000001"])
    assert store.taken() == ["fsync"] * 4
    store.save(packs, line(1))
    packs.sync(["000001"])
    assert store.taken() == ["append", "fsync"]
    packs.sync(["000001", "000002"])
    assert store.taken() == ["syncfs 000001.jsonl 000002.jsonl"]
    packs.sync([])
    assert store.taken() == []
    # One that was taken over may have parts that its last owner never synced.
    other.close()
    third = store.open()
    store.save(third, line(3))
    assert third.owned() == "000002"
    third.sync(["000002"])
    third.sync(["000002"])
    assert store.taken() == ["append", "syncfs 000002.jsonl", "fsync"]


def test_without_syncfs_every_pack_of_others_and_the_directories_are_synced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = store.open()
    for number in range(2):
        store.save(store.open(), line(number))
    store.taken()
    monkeypatch.setattr(atomic, "_find_syncfs", lambda: None)
    packs.sync(["000001", "000002"])
    assert store.taken() == ["syncfs 000001.jsonl 000002.jsonl", *["fsync"] * 5]


def test_restoring_writes_in_place_and_is_synced_by_what_wrote_it(store: Store) -> None:
    packs = store.open()
    packs.restore(PackPlace("000003", 20, 40), line(2) + line(3))
    packs.restore(PackPlace("000003", 0, 20), line(1))
    assert store.path("000003").read_bytes() == line(1) + line(2) + line(3)
    assert stat.S_IMODE(store.path("000003").stat().st_mode) == 0o600
    packs.restore(PackPlace("000003", 20, 20), line(2))
    store.taken()
    packs.sync(["000003"])
    assert store.taken() == ["fsync"] * 4
    assert str(store.path("000003").resolve()) not in open_files()
    with pytest.raises(InvalidReferenceError, match="20 bytes"):
        packs.restore(PackPlace("000003", 0, 21), line(1))
    # Of the own pack.
    store.save(packs, line(4))
    own = packs.owned() or ""
    store.path(own).write_bytes(b"")
    packs.restore(PackPlace(own, 0, 20), line(4))
    assert store.save(packs, line(5)) == [PackPlace(own, 20, 20)]
    assert store.path(own).read_bytes() == line(4) + line(5)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_append_that_fails_is_cut_off_again(store: Store, number: int) -> None:
    packs = store.open()
    store.save(packs, line(1))
    family = StorageFullError if number == errno.ENOSPC else StorageIOError
    for step in ("append", "fsync"):
        store.steps.before = fail(step, number)
        with pytest.raises(family, match="data/packs"):
            packs.append([line(2)], store.committed, safe=True)
        assert store.path().read_bytes() == line(1)
    # A file whose sync has failed is not gone on with.
    assert store.save(packs, line(3), safe=True) == [PackPlace("000002", 0, 20)]
    assert list(packs.read_each([PackPlace("000001", 0, 20), PackPlace("000002", 0, 20)])) == [line(1), line(3)]
    for step in ("fsync", "syncfs"):
        store.save(packs, line(4))
        store.steps.before = fail(step, number)
        with pytest.raises(family):
            packs.sync(["000002"] if step == "fsync" else ["000001", "000002", "000003"])


def test_where_files_may_not_be_so_large_another_pack_is_begun(store: Store) -> None:
    packs = store.open()
    store.save(packs, line(1))
    packs.sync(["000001"])
    store.steps.before = fail("append", errno.EFBIG)
    assert store.save(packs, line(2), line(3))[0] == PackPlace("000002", 0, 20)
    assert store.path().read_bytes() == line(1)
    store.steps.before = fail("append", errno.EFBIG, for_good=True)
    with pytest.raises(StorageFullError):
        packs.append([line(4)], store.committed, safe=False)
    assert packs.names() == ["000001", "000002", "000003"]


@pytest.mark.parametrize("step", ["create", "mkdir"])
def test_a_pack_that_cannot_be_made_leaves_the_last_one_as_it_is(store: Store, step: str) -> None:
    packs = store.open()
    store.steps.before = fail(step, errno.ENOSPC)
    with pytest.raises(StorageFullError):
        packs.append([line(1)], store.committed, safe=False)
    assert store.save(packs, line(1)) == [PackPlace("000001", 0, 20)]


def test_a_disk_that_is_really_full_takes_what_still_fits(disk: Mounted) -> None:
    store = Store(disk.path / "store")
    try:
        packs = store.open()
        store.save(packs, line(1))
        with pytest.raises(StorageFullError):
            packs.append([line(2, 5_000_000), line(3, 9_000_000)], store.committed, safe=False)
        assert store.path().stat().st_size == 20
        (place,) = store.save(packs, line(2, 5_000_000))
        assert packs.read(place) == line(2, 5_000_000)
    finally:
        store.close()


def test_a_disk_that_cannot_be_written_is_read(disk: Mounted) -> None:
    store = Store(disk.path / "store")
    try:
        places = store.save(store.open(), line(1), line(2))
        store.close()
        store = Store(store.root)
        disk.remount("ro")
        packs = store.open()
        assert list(packs.read_each(places)) == [line(1), line(2)]
        with pytest.raises(StorageIOError):
            packs.append([line(3)], store.committed, safe=False)
    finally:
        store.close()


WRITER = """
import os, sys
from starfish_storage.data.directories import Directories
from starfish_storage.data.pack_files import PackFiles
from starfish_storage.files.atomic import FileOperations

files = FileOperations()
packs = PackFiles(Directories(sys.argv[1], files), files)
packs.append([b'{"torn": 1}\\n', b'{"torn, and longer than what follows it'], lambda names: {}, safe=False)
print(packs.owned(), flush=True)
sys.stdin.read()
"""


def test_a_killed_process_loses_its_pack_and_what_it_did_not_commit(store: Store) -> None:
    with start(["-c", WRITER, str(store.root)]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "000001\n"
        store.ends["000001"] = 12  # of its two lines, the second was not committed
        packs = store.open()
        assert store.save(packs, line(1))[0].pack == "000002"
        packs.close()
        store.ends["000002"] = pack_owning.LARGEST_PACK
        process.send_signal(signal.SIGKILL)
        process.wait()
    packs = store.open()
    assert store.save(packs, line(2)) == [PackPlace("000001", 12, 20)]
    assert store.path().read_bytes() == b'{"torn": 1}\n' + line(2)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # forking with threads is what is tested
def test_a_forked_child_leaves_the_pack_to_its_parent(store: Store) -> None:
    packs = store.open()
    saved = store.save(packs, line(1))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            packs.take_back(saved)
            places = packs.append([line(2)], store.committed, safe=False)
            packs.close()
            os.write(writing, f"{places[0].pack} {packs.owned()}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"000002 None"
    os.close(reading)
    os.close(writing)
    with store.path().open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert store.save(packs, line(3)) == [PackPlace("000001", 20, 20)]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_closed_pack_is_free_though_a_forked_child_lives(store: Store) -> None:
    packs = store.open()
    store.save(packs, line(1))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    packs.close()
    assert store.save(store.open(), line(2)) == [PackPlace("000001", 20, 20)]
    os.close(reading)
    os.close(writing)
    os.waitpid(child, 0)


def test_where_there_are_no_locks_each_makes_packs_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locking.fcntl, "flock", refused)
    one = store.open()
    store.save(one, line(1))
    one.close()
    assert store.save(store.open(), line(2)) == [PackPlace("000002", 0, 20)]


def test_packs_are_read_and_made_with_no_descriptor_left(store: Store) -> None:
    packs = store.open()
    places = [*store.save(packs, line(1)), *store.save(store.open(), line(2))]
    reader, writer = store.open(), store.open()
    with pytest.raises(DataNotFoundError):
        reader.read(PackPlace("000009", 0, 1))  # opens the directories, as a store does
    SPARES.hold()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        assert [reader.read(place) for place in places] == [line(1), line(2)]
        assert store.save(writer, line(3)) == [PackPlace("000003", 0, 20)]
        assert reader.read(PackPlace("000003", 0, 20)) == line(3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)
        SPARES.let_go()
