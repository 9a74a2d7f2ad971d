"""One file that holds a run: it opens elsewhere, and what came from elsewhere is distrusted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from copying import stores
from copying.stores import whole
from maintenance import stores as plain
from starfish_storage import LocalStorage
from starfish_storage.copying import archive, extract, open_archive, unarchive
from starfish_storage.errors import (
    AlreadyExistsError,
    ForeignStoreError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    StoreDamagedError,
    StoreOpenError,
    StoreReadOnlyError,
    StoreVersionError,
)
from starfish_storage.maintenance import verify


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a run."""
    import asyncio

    root = tmp_path_factory.mktemp("archive")

    async def make() -> None:
        async with await stores.make(root / "a") as source:
            await archive(source, "capitals-1", root / "run.zip")

    asyncio.run(make())
    return root / "run.zip"


def names_in(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


async def test_it_opens_elsewhere(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source, LocalStorage((tmp_path / "b").as_uri()) as target:
        expected = await whole(source)
        (tmp_path / "files").mkdir()
        report = await archive(source, "capitals-1", tmp_path / "files" / "run.zip")
        assert (report.manifest.records, report.manifest.execution_jobs, report.manifest.attempts) == (6, 6, 9)
        assert report.manifest.versions == 4
        assert names_in(tmp_path / "files") == ["run.zip"]
        assert stat.S_IMODE((tmp_path / "files" / "run.zip").stat().st_mode) == 0o600
        for _ in range(2):  # into a store, twice, and into one that has others
            await unarchive(tmp_path / "files" / "run.zip", target)
            found = await whole(target)
            assert found == {key: expected[key] for key in found}
        await unarchive(tmp_path / "files" / "run.zip", source)
        assert await whole(source) == expected
        manifest = await extract(tmp_path / "files" / "run.zip", tmp_path / "c")
        assert manifest == report.manifest
    async with LocalStorage((tmp_path / "c").as_uri()) as opened:
        assert await whole(opened) == {key: expected[key] for key in await whole(opened)}
    for name in "bc":
        assert verify((tmp_path / name).as_uri()).findings == ()
        for path in (tmp_path / name).rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert names_in(tmp_path) == ["a", "b", "c", "files"], "nothing is left behind"


async def test_it_is_read_where_it_lies(tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "room").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "room"))
    before = packed.read_bytes(), names_in(packed.parent)
    async with open_archive(packed) as opened:
        assert len(names_in(tmp_path / "room")) == 1
        (job,) = await opened.list_master_jobs()
        assert await opened.count_records_for_master_job(job.master_job_id) == {
            "completed": 2,
            "failed": 2,
            "duplicate": 1,
            "filtered": 1,
        }
        with pytest.raises(StoreReadOnlyError):
            await opened.delete_master_job(job.master_job_id)
    assert names_in(tmp_path / "room") == []
    assert (packed.read_bytes(), names_in(packed.parent)) == before


async def test_what_is_in_it(packed: Path) -> None:
    with zipfile.ZipFile(packed) as file:
        *names, last = file.namelist()
        assert (names, last) == (sorted(names), "archive.json")
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        told = json.loads(file.read("archive.json"))
        contents = {name: file.read(name) for name in names}
    lines = "".join(f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in contents.items())
    assert told == {
        "starfish_storage_archive": 1,
        "master_job_id": "capitals-1",
        "project_id": "geography",
        "execution_jobs": 6,
        "records": 6,
        "attempts": 9,
        "steps": 3,
        "segments": 1,
        "versions": 4,
        "annotations": 5,
        "files": len(contents),
        "bytes": sum(map(len, contents.values())),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


async def test_what_is_there_stays(tmp_path: Path) -> None:
    await plain.make(tmp_path / "a", 8)
    file = tmp_path / "run.zip"
    file.write_bytes(b"somebody else's")
    async with LocalStorage((tmp_path / "a").as_uri()) as source:
        with pytest.raises(AlreadyExistsError, match=r"run\.zip.*--overwrite"):
            await archive(source, "m1", file)
        with pytest.raises(NotFoundError, match="'nowhere'"):
            await archive(source, "nowhere", file, overwrite=True)
        with pytest.raises(InvalidInputError, match="directory does not exist"):
            await archive(source, "m1", tmp_path / "none" / "run.zip")
        plain.file_of(tmp_path / "a", 0).unlink()
        with pytest.raises(StoreDamagedError, match="r0000"):
            await archive(source, "m1", file, overwrite=True)
        assert file.read_bytes() == b"somebody else's"
        report = await archive(source, "m1", file, overwrite=True, skip_damaged=True)
        assert report.copied.lost == 1
        assert file.read_bytes() != b"somebody else's"
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "mine").touch()
        with pytest.raises(StoreOpenError, match="something exists there already"):
            await extract(file, tmp_path / "c")
    assert names_in(tmp_path) == ["a", "c", "run.zip"]


# --- hostile files ----------------------------------------------------------------------------------------------------


class Forged:
    """An archive that is changed in one respect, with a manifest that fits."""

    def __init__(self, packed: Path) -> None:
        with zipfile.ZipFile(packed) as file:
            self.members = {name: file.read(name) for name in file.namelist() if name != "archive.json"}
            self.told = json.loads(file.read("archive.json"))
        self.extra: list[tuple[zipfile.ZipInfo, bytes]] = []

    def add(self, name: str, content: bytes = b"{}\n", **attributes: Any) -> None:
        info = zipfile.ZipInfo("x" * len(name))
        info.filename = name  # past what `ZipInfo` makes of it
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        self.extra.append((info, content))

    def write(self, path: Path) -> Path:
        lines, told = "", self.told
        all_members = self.members | {info.filename: content for info, content in self.extra}
        for name, content in sorted(all_members.items()):
            lines += f"{hashlib.sha256(content).hexdigest()} {name}\n"
        told |= {"files": len(all_members), "bytes": sum(map(len, all_members.values()))}
        told["sha256"] = hashlib.sha256(lines.encode("utf-8", "replace")).hexdigest()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in self.members.items():
                file.writestr(name, content)
            for info, content in self.extra:
                file.writestr(info, content)
            file.writestr("archive.json", json.dumps(told))
        return path


def named(name: str, **attributes: Any) -> Callable[[Forged], None]:
    return lambda forged: forged.add(name, **attributes)


def changed_database(*statements: str) -> Callable[[Forged], None]:
    def change(forged: Forged) -> None:
        connection = apsw.Connection(":memory:")
        content = bytearray(forged.members["metadata.db"])
        content[18:20] = b"\1\1"  # not WAL, which there is none of in memory
        connection.deserialize("main", bytes(content))
        for statement in statements:
            connection.execute(statement)
        forged.members["metadata.db"] = connection.serialize("main")
        connection.close()

    return change


def without(name: str) -> Callable[[Forged], None]:
    def change(forged: Forged) -> None:
        del forged.members[name]

    return change


LINK = (stat.S_IFLNK | 0o777) << 16
RECORD = "data/17/b50c32e9c26800000000953770165fd5-0.json"
HOSTILE: dict[str, Callable[[Forged], None]] = {
    "absolute": named("/tmp/evil.json"),
    "absolute key": named("/data/00/evil.json"),
    "above": named("../evil.json"),
    "above, within": named("data/../../evil.json"),
    "above a shard": named("data/../evil.json"),
    "backslashes": named("data\\00\\evil.json"),
    "backslashes above": named("data/00/..\\..\\evil.json"),
    "a drive": named("C:/evil.json"),
    "a drive in a key": named("data/00/c:evil.json"),
    "a directory": named("data/00/"),
    "outside the layout": named("evil.sh"),
    "a log of SQLite": named("metadata.db-wal"),
    "a journal of SQLite": named("metadata.db-journal"),
    "the row log": named("rows.jsonl"),
    "staging": named("staging/evil"),
    "NUL": named("data/00/evil.json\0.txt"),
    "hidden": named("data/00/.evil.json"),
    "empty": named(""),
    "a link": named("data/00/evil.json", external_attr=LINK),
    "a device": named("data/00/evil.json", external_attr=(stat.S_IFBLK | 0o600) << 16),
    "twice": named(RECORD),
    "twice in another case": named(RECORD.upper().replace("DATA", "data").replace("JSON", "json")),
    "another method": named("data/00/evil.json", compress_type=zipfile.ZIP_BZIP2),
    "no database": without("metadata.db"),
    "a trigger": changed_database(
        "CREATE TRIGGER evil AFTER INSERT ON projects BEGIN DELETE FROM records; END",
    ),
    "a view": changed_database("DROP TABLE settings", "CREATE VIEW settings AS SELECT 'a' AS name, 'b' AS value"),
    "another program's": changed_database("PRAGMA application_id = 1"),
    "a newer release's": changed_database("PRAGMA user_version = 99"),
}
KIND = {
    "a trigger": ForeignStoreError,
    "a view": ForeignStoreError,
    "another program's": ForeignStoreError,
    "a newer release's": StoreVersionError,
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_archive_is_refused(tmp_path: Path, packed: Path, name: str) -> None:
    forged = Forged(packed)
    HOSTILE[name](forged)
    (tmp_path / "room").mkdir()
    file = forged.write(tmp_path / "room" / "evil.zip")
    await refused(file, tmp_path, KIND.get(name, StoreDamagedError))


async def refused(file: Path, tmp_path: Path, kind: type[StorageError]) -> None:
    """See to it that a file is refused, whichever way it is opened, and that nothing of it is left."""
    before = names_in(tmp_path)
    with pytest.raises(kind) as told:
        await extract(file, tmp_path / "room" / "store")
    assert "\n" not in str(told.value)
    assert names_in(tmp_path / "room") == [file.name]
    async with LocalStorage((tmp_path / "room" / "target").as_uri()) as target:
        with pytest.raises(kind):
            await unarchive(file, target)
        assert await target.list_projects() == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "room"))
        with pytest.raises(kind):
            async with open_archive(file):
                pass
    assert names_in(tmp_path / "room") == [file.name, "target"]
    assert names_in(tmp_path) == before, "something was written outside"
    assert not Path("/tmp/evil.json").exists()


@pytest.mark.parametrize("key", ["../../../../../../etc/hostname", "/etc/hostname", "data/../../secret", "metadata.db"])
async def test_rows_that_point_outside_read_nothing(tmp_path: Path, packed: Path, key: str) -> None:
    forged = Forged(packed)
    changed_database(f"UPDATE records SET output_ref = '{key}', data_sha256 = NULL WHERE output_ref IS NOT NULL")(
        forged
    )
    file = forged.write(tmp_path / "evil.zip")
    (tmp_path / "secret").write_text('{"secret":1}\n')
    async with LocalStorage((tmp_path / "target").as_uri()) as target:
        with pytest.raises(StorageError):
            await unarchive(file, target)
        assert await target.count_records_for_master_job("capitals-1") == {}
    assert names_in(tmp_path) == ["evil.zip", "secret", "target"]


async def test_a_forged_one_that_is_sound_is_taken(tmp_path: Path, packed: Path) -> None:
    """So what is refused above is refused for what it is."""
    forged = Forged(packed)
    changed_database()(forged)
    forged.add("data/00/another.json")
    await extract(forged.write(tmp_path / "fine.zip"), tmp_path / "store")


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :]


def entry(content: bytes, name: str) -> int:
    """Return where the entry of a member in the directory at the end begins."""
    return content.rindex(name.encode()) - 46


def set_field(offset: int, kind: str, value: int, name: str = RECORD) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        at = entry(content, name) + offset
        return content[:at] + struct.pack(kind, value) + content[at + struct.calcsize(kind) :]

    return change


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-100],
    "cut in the middle": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "no zip file": lambda _: b"PK, but not a zip file\n" * 100,
    "content": lambda content: flip(content, content.index(RECORD.encode()) + len(RECORD) + 5),
    "wrong CRC": set_field(16, "<L", 0xDEADBEEF),
    "encrypted": set_field(8, "<H", 1),
    "longer than it says": set_field(24, "<L", 3),
    "shorter than it says": set_field(24, "<L", 5000),
    "overlapping": set_field(20, "<L", 2**31),
    "a bomb": set_field(24, "<L", 2**31 - 1),
    "elsewhere": set_field(42, "<L", 0),
    "a manifest that lies": lambda content: content.replace(b'"records":6', b'"records":7'),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_a_damaged_archive_is_refused(tmp_path: Path, packed: Path, name: str) -> None:
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "damaged.zip"
    file.write_bytes(DAMAGED[name](packed.read_bytes()))
    if name == "a manifest that lies":
        forged = Forged(packed)
        forged.write(file)
        with zipfile.ZipFile(file) as made:
            members = {one: made.read(one) for one in made.namelist()}
        members[RECORD] = members[RECORD].replace(b"Fra", b"fra")
        with zipfile.ZipFile(file, "w") as made:
            for one, content in members.items():
                made.writestr(one, content)
    await refused(file, tmp_path, StoreDamagedError)


async def test_a_real_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, packed: Path) -> None:
    forged = Forged(packed)
    forged.add("data/00/bomb.json", b"0" * (80 << 20), compress_type=zipfile.ZIP_DEFLATED)
    (tmp_path / "room").mkdir()
    file = forged.write(tmp_path / "room" / "bomb.zip")
    assert file.stat().st_size < 1 << 20
    await refused(file, tmp_path, StoreDamagedError)
    manifest = await extract(file, tmp_path / "trusted", most_bytes=100 << 20)
    assert manifest.bytes > 80 << 20
    shutil.rmtree(tmp_path / "trusted")


async def test_another_version_is_refused(tmp_path: Path, packed: Path) -> None:
    forged = Forged(packed)
    forged.told["starfish_storage_archive"] = 2
    with pytest.raises(StoreOpenError, match="version '2'"):
        await extract(forged.write(tmp_path / "new.zip"), tmp_path / "store")
    with pytest.raises(StoreOpenError, match="cannot be read"):
        await extract(tmp_path / "none.zip", tmp_path / "store")
