"""Packs on disk: appended to by their owner, and read by anybody."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from durability.faults import fail
from durability.pack_store import Store, line, open_files
from starfish_storage import DataNotFoundError, InvalidReferenceError, StorageIOError
from starfish_storage.data import open_packs, pack_owning, pack_reading
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.keys import PackPlace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


def test_a_group_is_one_write_behind_the_last_and_read_back_by_anybody(store: Store) -> None:
    packs, reader = store.open(), store.open()
    assert packs.owned() is None
    first = store.save(packs, line(1), line(2))
    second = store.save(packs, line(3))
    assert first == [PackPlace("000001", 0, 20), PackPlace("000001", 20, 20)]
    assert second == [PackPlace("000001", 40, 20)]
    assert packs.owned() == "000001"
    assert packs.names() == ["000001"]
    assert reader.owned() is None
    assert store.path().read_bytes() == line(1) + line(2) + line(3)
    assert stat.S_IMODE(store.path().stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path().parent.stat().st_mode) == 0o700
    assert [step for step in store.taken() if not step.startswith("mkdir")] == ["create 000001.jsonl", *["append"] * 2]
    assert [reader.read(place) for place in (*second, *first)] == [line(3), line(1), line(2)]
    assert b"".join(reader.read_parts(second[0], 7)) == line(3)
    assert reader.holds(second[0])
    assert not reader.holds(PackPlace("000001", 40, 21))


def test_neighbours_are_read_in_one_call_and_returned_in_the_order_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = store.open()
    places = store.save(packs, *(line(number) for number in range(50)))
    far = store.save(packs, line(50, 40_000), line(51))[1]
    calls: list[tuple[int, int]] = []
    pread = os.pread

    def counted(descriptor: int, length: int, start: int) -> bytes:
        calls.append((start, length))
        return pread(descriptor, length, start)

    monkeypatch.setattr(open_packs, "read_at", counted)
    missing = [PackPlace("000001", far.end - 5, 10), PackPlace("000007", 0, 10)]
    asked = [places[30], far, *missing, places[2], places[30]]
    assert list(packs.read_each(asked)) == [line(30), line(51), None, None, line(2), line(30)]
    assert calls == [(40, 29 * 20), (far.start, 20)]
    calls.clear()
    monkeypatch.setattr(pack_reading, "_LARGEST_READ", 100)
    assert list(packs.read_each(places)) == [line(number) for number in range(50)]
    assert len(calls) == 10
    assert list(packs.read_each([])) == []


@pytest.mark.parametrize(
    "place",
    [
        PackPlace("000002", 0, 5),
        PackPlace("000001", 15, 10),
        PackPlace("000001", 10**17, 5),
        PackPlace("000001", 0, 10**17),
    ],
)
def test_what_is_not_there_is_said_so(store: Store, place: PackPlace) -> None:
    packs = store.open()
    store.save(packs, line(1))
    for read in (packs.read, lambda place: list(packs.read_parts(place, 4))):
        with pytest.raises(DataNotFoundError, match=place.pack):
            read(place)
    assert list(packs.read_each([place])) == [None]
    assert not packs.holds(place)


def test_what_is_taken_back_leaves_no_trace(store: Store) -> None:
    packs = store.open()
    places = packs.append([line(1)], store.committed, safe=False)
    packs.take_back(places)
    packs.take_back(places)
    assert store.path().read_bytes() == b""
    store.save(packs, line(2))
    # Several appends at a time, and none that another follows.
    several = [place for n in (3, 4) for place in packs.append([line(n), line(n)], store.committed, safe=False)]
    last = packs.append([line(5)], store.committed, safe=False)
    packs.take_back(several)
    assert store.path().read_bytes() == line(2) + 2 * line(3) + 2 * line(4) + line(5)
    packs.take_back([*last, *several])
    assert store.path().read_bytes() == line(2)
    # What cannot be cut off is written over.
    places = packs.append([line(4)], store.committed, safe=False)
    store.steps.before = fail("truncate")
    packs.take_back(places)
    assert store.save(packs, line(5)) == [PackPlace("000001", 20, 20)]
    assert store.path().read_bytes() == line(2) + line(5)


def test_a_writer_goes_on_with_the_last_pack_that_nobody_has(store: Store) -> None:
    one, other = store.open(), store.open()
    store.save(one, line(1))
    store.save(other, line(2))
    assert (one.owned(), other.owned()) == ("000001", "000002")
    one.append([line(9)], store.committed, safe=False)  # not committed
    one.close()
    other.close()
    third, fourth, fifth = store.open(), store.open(), store.open()
    assert store.save(third, line(3)) == [PackPlace("000002", 20, 20)]
    assert store.save(fourth, line(4)) == [PackPlace("000001", 20, 20)]
    assert store.path().read_bytes() == line(1) + line(4)
    assert store.save(fifth, line(5)) == [PackPlace("000003", 0, 20)]


def test_what_is_not_known_or_not_whole_or_not_a_file_of_ours_is_left_alone(store: Store) -> None:
    packs = store.open()
    store.save(packs, line(1))
    packs.close()
    outside = store.root / "outside"
    outside.write_bytes(line(7))
    shorter, unknown, link, fifo, directory, compressed, shared = (store.path(f"00000{n}") for n in range(2, 9))
    shorter.write_bytes(line(2)[:10])
    unknown.write_bytes(line(3))
    link.symlink_to(outside)
    os.mkfifo(fifo)
    directory.mkdir()
    compressed.write_bytes(line(1))
    compressed.with_suffix(".jsonl.zst").write_bytes(b"")
    os.link(outside, shared)
    store.ends |= {path.stem: 20 for path in (shorter, link, fifo, directory, compressed, shared)}
    store.ends["000010"] = 30  # lost: its number is not given again
    store.path("000009").write_bytes(b"")
    store.path().unlink()
    store.path().write_bytes(line(1)[:-1] + b"x")  # as long as is known
    packs = store.open()
    store.save(packs, bytes(pack_owning.LARGEST_PACK - 20))
    assert packs.owned() == "000001"
    store.save(packs, line(2))
    assert packs.owned() == "000011"
    assert outside.read_bytes() == line(7)
    assert packs.names() == [f"00000{n}" for n in range(1, 10)] + ["000011"]


def test_readers_follow_no_link_and_wait_for_no_fifo(store: Store) -> None:
    packs = store.open()
    store.save(packs, line(1))
    outside = store.root / "outside"
    outside.write_bytes(line(7))
    store.path("000002").symlink_to(outside)
    os.mkfifo(store.path("000003"))
    store.path("000004").mkdir()
    for name in ("000002", "000003", "000004"):
        place = PackPlace(name, 0, 20)
        for read in (
            packs.read,
            packs.holds,
            lambda place: list(packs.read_each([place])),
            lambda place: list(packs.read_parts(place, 5)),
        ):
            with pytest.raises(InvalidReferenceError, match=name):
                read(place)
        with pytest.raises(StorageIOError, match=name):
            packs.restore(place, line(2))
    assert outside.read_bytes() == line(7)


def test_a_directory_of_packs_that_is_a_link_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (store.root / "data").mkdir()
    (store.root / "data" / "packs").symlink_to(tmp_path / "elsewhere")
    packs = store.open()
    for act in (lambda: store.save(packs, line(1)), packs.names, lambda: packs.read(PackPlace("000001", 0, 5))):
        with pytest.raises(InvalidReferenceError):
            act()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_pack_that_was_removed_or_replaced_is_opened_anew(store: Store) -> None:
    packs, reader = store.open(), store.open()
    (place,) = store.save(packs, line(1))
    assert reader.read(place) == line(1)
    store.path().unlink()
    store.path().write_bytes(line(2) + line(3))
    assert reader.read(PackPlace("000001", 20, 20)) == line(3)  # behind the end of the one that was open
    assert reader.read(place) == line(2)
    # Its owner does not write into a file that nobody can reach.
    store.ends.clear()
    store.ends["000001"] = 40
    store.save(packs, line(4))
    assert store.path().read_bytes() == line(2) + line(3) + line(4)
    store.save(store.open(), line(5))
    # Nor do readers keep removed files open once they open another.
    store.path().unlink()
    reader.read(PackPlace("000002", 0, 20))
    with pytest.raises(DataNotFoundError):
        reader.read(place)
    # The whole directory.
    store.path().parent.rename(store.root / "old")
    store.path().parent.mkdir()
    store.path("000002").write_bytes(line(5) + line(6))
    assert reader.read(PackPlace("000002", 20, 20)) == line(6)


def test_a_copy_made_with_hard_links_is_not_written_into(store: Store, tmp_path: Path) -> None:
    packs = store.open()
    store.save(packs, line(1))
    os.link(store.path(), tmp_path / "copy")
    store.save(packs, line(2))
    assert packs.owned() == "000002"
    assert (tmp_path / "copy").read_bytes() == line(1)


def test_a_full_pack_is_followed_by_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_owning, "LARGEST_PACK", 100)
    packs = store.open()
    places = [store.save(packs, *(line(n) for n in range(3 * group, 3 * group + 3))) for group in range(4)]
    assert [group[0].pack for group in places] == ["000001", "000002", "000003", "000004"]
    assert store.save(packs, line(13, 200)) == [PackPlace("000005", 0, 200)]
    assert store.save(packs, line(14)) == [PackPlace("000006", 0, 20)]
    assert list(packs.read_each([place for group in places for place in group])) == [line(n) for n in range(12)]
    # What was not synced when it was full is synced when it is asked for, and let go.
    assert os.path.realpath(store.path()) in open_files()
    packs.sync(["000001", "000006"])
    packs.close()
    other = store.open()
    store.save(other, line(15))
    assert other.owned() == "000006"
    assert store.save(other, line(16, 90))[0].pack == "000007"
    again = store.open()
    assert store.save(again, line(17))[0] == PackPlace("000004", 60, 20)


@pytest.mark.parametrize("most", [2, 0])  # kept open
def test_threads_read_each_what_they_ask_for_while_packs_are_filled_and_closed(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A descriptor that one thread gives up may be another's file a moment later."""
    monkeypatch.setattr(pack_owning, "LARGEST_PACK", 2000)
    monkeypatch.setattr(pack_reading, "_MOST_KEPT_OPEN", most)
    packs = store.open()
    places = [place for n in range(0, 300, 10) for place in store.save(packs, *map(line, range(n, n + 10)))]
    assert len(packs.names()) > 2

    def read(first: int) -> None:
        for round_ in range(3):
            for number in range(first, 300, 7):
                assert packs.read(places[number]) == line(number)
            some = range(first, 300, 40 + round_)
            assert list(packs.read_each([places[number] for number in some])) == [line(number) for number in some]

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read, first) for first in range(4)]
        more = [place for n in range(300, 600, 10) for place in store.save(packs, *map(line, range(n, n + 10)))]
        packs.sync(packs.names())
        for one in reading:
            one.result()
    assert list(packs.read_each(more)) == [line(number) for number in range(300, 600)]


def test_places_in_packs_stand_where_keys_of_files_may_stand(tmp_path: Path) -> None:
    data = FileSystemDataHandler(str(tmp_path))
    data.setup()
    data.put_new([("data/aa/a.json", b"file\n"), ("configs/m.request.json", b"config\n")])
    small, large = (place.key for place in data.append([b"small\n", b"much larger\n"], safe=True))
    gone = ["data/bb/b.json", PackPlace("000009", 0, 5).key, PackPlace("000001", 15, 50).key]
    asked = [large, gone[0], "data/aa/a.json", gone[1], small, "configs/m.request.json", gone[2], large]
    found = [b"much larger\n", None, b"file\n", None, b"small\n", b"config\n", None, b"much larger\n"]
    assert list(data.read_each(asked)) == found
    sizes = {b"much larger\n": 12, b"config\n": 7}
    assert list(data.read_small(asked, 6)) == [content and sizes.get(content, content) for content in found]
    assert data.existing(asked) == set(asked) - set(gone)
    assert [data.exists(key) for key in (small, gone[1])] == [True, False]
    assert data.read(large) == b"".join(data.read_parts(large, 5)) == b"much larger\n"
    assert sorted(size for page in data.sizes() for size in page) == [5, 7, 18]
    for refused in (small, "data/packs/000001.jsonl"):
        with pytest.raises(InvalidReferenceError):
            data.remove(refused)
    data.sync(asked)
    data.close()
