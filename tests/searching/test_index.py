"""The index of a local store: where it lies, who keeps it up, and what becomes of it when it is damaged or removed."""

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from durability import processes
from starfish_storage import Storage, StorageIOError, open_storage
from starfish_storage.interface import Layout, SearchState
from starfish_storage.maintenance import verify
from starfish_storage.metadata.search.index import IndexState, SearchIndex
from starfish_storage.metadata.search.place import CACHE_VARIABLE, IndexPlace
from starfish_storage.storage.searching import TextSearch
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run

INDEXING = """
import asyncio, sys
from starfish_storage import open_storage

async def main():
    async with open_storage(sys.argv[1], read_only=True) as storage:
        while True:
            print(*await storage.index_records(0), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "search"


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    assert not cache.exists()
    return tmp_path / "store"


@pytest_asyncio.fixture
async def storage(root: Path) -> AsyncIterator[Storage]:
    async with open_storage(root, durability="process") as storage:
        await save_run(storage)
        await save(storage, 20)
        yield storage


async def save(storage: Storage, number: int, first: int = 0, text: str = "word") -> None:
    await storage.save_records((a_record(f"r{at}"), {"text": f"{text}{at} all"}) for at in range(first, first + number))


async def found(storage: Storage, query: str) -> set[str]:
    return {hit.record.record_uid for hit in (await storage.search_records(query)).hits}


def files(place: Path) -> dict[str, bytes]:
    """Return what lies in a directory, but for the locks of who reads."""
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file() and path.suffix != ".db-shm"}


async def test_the_store_has_nothing_of_it(storage: Storage, root: Path, cache: Path) -> None:
    """A store opened for reading alone is searched, and not a byte of it changes; the index is its owner's only."""
    before = files(root)
    async with open_storage(root, read_only=True) as reader:
        assert await found(reader, "word7") == {"r7"}
        assert files(root) == before
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in cache.iterdir()} == {0o600}
        await reader.drop_search_index()
        assert list(cache.iterdir()) == []
    await storage.close()
    assert not verify(str(root)).damage


async def test_a_store_that_is_not_searched_has_no_index(storage: Storage, cache: Path) -> None:
    await storage.delete_master_job(MASTER_JOB)
    assert not cache.exists()


@pytest.mark.parametrize("how", ["removed", "cut", "overwritten", "older"])
async def test_a_damaged_index_is_made_anew(storage: Storage, root: Path, cache: Path, how: str) -> None:
    """Also while it is open elsewhere, and without a word but in the log."""
    async with open_storage(root, read_only=True) as reader:
        assert await found(reader, "word7") == {"r7"}
        assert await found(storage, "word7") == {"r7"}
        await storage.close()
        (path,) = cache.glob("*.index")
        log = path.with_name(f"{path.name}-wal")
        if how == "removed":
            path.unlink()
        elif how == "cut":
            os.truncate(path, 5000)
        else:
            payload = bytearray(path.read_bytes())
            start, end = (60, 64) if how == "older" else (4096, len(payload))  # user_version; all but the first page
            payload[start:end] = b"\x07" * (end - start)
            path.write_bytes(payload)
        if how != "removed" and log.exists():
            log.unlink()
        async with open_storage(root) as again:
            assert await found(again, "word8") == {"r8"}
            assert await again.index_records() == SearchState(20, 0)
        assert await found(reader, "word9") == {"r9"}


async def test_two_at_once_take_turns(storage: Storage, root: Path) -> None:
    """Each in a process or a storage of its own: nothing is lost, nothing is there twice."""
    async with open_storage(root, read_only=True) as reader:
        for first in range(20, 100, 20):
            await asyncio.gather(save(storage, 20, first), reader.index_records(), storage.index_records())
        states = await asyncio.gather(reader.index_records(), storage.index_records())
        assert states == [SearchState(100, 0), SearchState(100, 0)]
        assert (await reader.search_records("all", limit=200)).found == 100


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
async def test_it_survives_being_killed(storage: Storage, root: Path, kills: int) -> None:
    """A process that indexes is killed in the middle, again and again; the next one goes on."""
    await save(storage, 700)
    indexed = [0]
    for _ in range(kills):
        with processes.start(["-c", INDEXING, str(root)]) as process:
            assert process.stdout is not None
            indexed.append(int(process.stdout.readline().split()[0]))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    assert indexed == sorted(indexed)
    assert indexed[-1] > 0
    assert await storage.index_records() == SearchState(700, 0)
    for at in (0, 350, 699):
        assert await found(storage, f"word{at}") == {f"r{at}"}


async def test_deleted_text_leaves_the_file(storage: Storage, cache: Path) -> None:
    """At once, where the run is deleted by the user who has searched."""
    await save_run(storage, "master-2", "job-2")
    await storage.save_records(
        (a_record(f"s{at}", "job-2", "master-2"), {"text": f"qzjxk{at} all"}) for at in range(300)
    )
    assert (await storage.index_records()).remaining == 0  # a search has a tenth of a second for it
    assert len(await found(storage, "qzjxk7")) == 1
    assert any(b"qzjxk" in payload for payload in files(cache).values())
    await storage.delete_master_job("master-2")
    assert not any(b"qzjxk" in payload for payload in files(cache).values())
    assert (await storage.search_records("all", limit=1)).found == 20


async def test_a_search_never_takes_long(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has no time for remains, and it says so."""
    monkeypatch.setattr("starfish_storage.storage.searching._SEARCH_SECONDS", 0.0)
    await save(storage, 600)
    page = await storage.search_records("all")
    assert (page.indexed, page.remaining, page.found) == (100, 500, 100)
    assert await storage.index_records() == SearchState(600, 0)
    page = await storage.search_records("all", limit=1)
    assert (page.remaining, page.found, page.has_more) == (0, 600, True)


async def test_hits_are_compared_with_the_store(storage: Storage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that is behind makes hits late, never wrong."""
    async with open_storage(root, read_only=True) as reader:
        assert await found(reader, "word1 OR word2 OR word3") == {"r1", "r2", "r3"}

        async def nothing_is_taken_in(_self: TextSearch, _seconds: float) -> SearchState:
            return SearchState(20, 0)

        monkeypatch.setattr(TextSearch, "bring_up_to_date", nothing_is_taken_in)
        await save(storage, 1, 1, "another")
        assert await found(reader, "word1 OR word2 OR word3") == {"r2", "r3"}
        page = await reader.search_records("word1 OR word2 OR word3", limit=1)
        assert (len(page.hits), page.has_more) == (1, True)
        await save(storage, 18, 2, "another")
        assert await found(reader, "all") == {"r0"}
        monkeypatch.setattr("starfish_storage.storage.searching._SPARE", 0)
        assert [hit.record.record_uid for hit in (await reader.search_records("all", limit=2)).hits] == ["r0"]
        await storage.delete_master_job(MASTER_JOB)
        assert await found(reader, "all") == set()


async def test_the_newest_are_ranked_where_too_many_match(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starfish_storage.metadata.search.index.MOST_RANKED", 10)
    await save(storage, 10, first=20)  # of what is saved together, none is newer
    page = await storage.search_records("all", limit=50)
    assert (page.found, page.is_cut, page.has_more) == (10, True, False)
    assert {hit.record.record_uid for hit in page.hits} == {f"r{at}" for at in range(20, 30)}


async def test_fields_without_a_column_of_their_own_are_found(storage: Storage) -> None:
    """The first fields of a store have columns; what is found in the last one is looked for in the data."""
    await storage.save_records(
        (a_record(f"w{at}"), {f"field{number}": f"{'this' if number == at else 'that'} one" for number in range(60)})
        for at in range(60)
    )
    for number in (0, 29, 30, 31, 59):
        assert await found(storage, f"field{number}:this") == {f"w{number}"}
    assert (await storage.search_records("field59:absent")).hits == []


async def test_unused_indexes_are_removed(tmp_path: Path, cache: Path) -> None:
    """Those of local stores that are gone, and those that nobody has opened for a month."""
    places = [IndexPlace(f"file://{tmp_path}/gone"), IndexPlace("postgresql://old"), IndexPlace("postgresql://new")]
    gone, old, new = (place.made() for place in places)
    os.utime(old, (0, 0))
    IndexPlace("postgresql://another").made()
    assert (os.path.exists(gone), os.path.exists(old), os.path.exists(new)) == (False, False, True)
    assert len(list(cache.glob("*.store"))) == 2


async def test_where_nothing_can_be_written(storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error says what to do; nothing else fails."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(StorageIOError, match=CACHE_VARIABLE):
        await storage.search_records("word7")
    await storage.delete_master_job(MASTER_JOB)


async def test_without_a_home_the_directory_of_temporary_files_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spare = tmp_path / f"starfish-storage-{os.geteuid()}"
    assert Path(IndexPlace("postgresql://x").made()).parent == spare / "search"
    spare.chmod(0o777)  # as another user may have made it
    with pytest.raises(StorageIOError, match="another user"):
        IndexPlace("postgresql://x").made()


def test_what_is_older_is_not_taken_in(tmp_path: Path) -> None:
    """Two read the same record; who is second may have read it first."""
    (tmp_path / "index").touch()
    first, second = SearchIndex(str(tmp_path / "index")), SearchIndex(str(tmp_path / "index"))
    state = first.state()
    assert state == second.state() == IndexState(0, None)
    assert first.take_in(state, "next") == IndexState(1, "next")
    assert second.take_in(state, "before") is None
    assert second.state() == IndexState(1, "next")
    first.close()
    second.close()


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_data_that_cannot_be_read_ends_nothing(root: Path, layout: Layout) -> None:
    """A record whose data is damaged or lost has no words."""
    async with open_storage(root, durability="process", layout=layout) as storage:
        await save_run(storage)
        await save(storage, 20)
    if layout == "files":
        next(root.glob("data/*/r3.json")).write_text("{")
        next(root.glob("data/*/r19.json")).unlink()
    else:
        pack = root / "data/packs/000001.jsonl"
        lines = pack.read_bytes().splitlines(keepends=True)
        pack.write_bytes(b"".join([*lines[:3], b"{" * len(lines[3]), *lines[4:19]]))
    async with open_storage(root, durability="process") as storage:
        assert await storage.index_records() == SearchState(20, 0)
        assert await found(storage, "word3 OR word5 OR word19") == {"r5"}


async def test_records_of_any_shape(storage: Storage) -> None:
    """Deep, wide, long and strange data is indexed, as far as it goes."""
    deep: Any = "bottom"
    for _ in range(100):
        deep = {"down": [deep]}
    data: dict[str, Any] = {
        "deep": deep,
        "": "unnamed",
        "a.b": "dotted",
        "n": 10**30,
        "\ud800name": {"\udfff": "lone"},
        "long": "x " * 600_000 + "beyond",
    }
    await storage.save_record(a_record("strange"), data)
    assert await found(storage, "unnamed dotted 1000000000000000000000000000000") == {"strange"}
    assert await found(storage, "a.b:dotted") == {"strange"}
    (hit,) = (await storage.search_records("lone")).hits
    assert hit.field == "\ufffdname.\ufffd"
    assert (await storage.search_records("lone", fields=[hit.field])).hits == [hit]
    assert await found(storage, "beyond") == await found(storage, "bottom") == set()


@pytest.fixture(autouse=True)
def _no_index_is_left_open(tmp_path: Path) -> Iterator[None]:
    """Each storage closes its index: no log is left beside it."""
    yield
    assert list((tmp_path / "cache").rglob("*-wal")) == []
