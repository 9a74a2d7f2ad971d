"""Two stores never share a place of data, whoever comes first, and whether the server obeys conditional puts or not."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from durability.processes import start
from maintenance import stores
from servers.fixtures import BUCKET
from servers.postgres import PostgresServer
from servers.processes import HOST
from servers.s3 import MotoServer
from starfish_storage import Project, StoreOpenError, open_storage
from starfish_storage.interface import DataHandler, Storage
from starfish_storage.interface.marks import owner_key
from starfish_storage.maintenance import collect
from starfish_storage.metadata import data_owner
from starfish_storage.metadata.data_owner import Owner
from starfish_storage.storage.data_place import data_handler

ANOTHER = Owner("f" * 64, "postgresql://elsewhere/db")
TRIES = 2  # each of which was won by both in half of the cases, where the claim only read and put
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("postgres, moto", "sqlite, rclone")]
KINDS = ("postgres, rclone", "postgres, directory", "sqlite, moto", *SLOW)


class Places(NamedTuple):
    """Where stores are made, and their data.

    Attributes:
        server: has the rows; None: they lie in directories.
        root: for what lies in directories.
        is_directory: so does the data.
    """

    server: PostgresServer | None
    root: Path
    is_directory: bool

    def store(self) -> str:
        """Return the URI of a store that is not there yet."""
        name = f"test_{secrets.token_hex(6)}"
        return (self.root / name).as_uri() if self.server is None else self.server.uri(schema=name)

    def empty(self, above: str = "") -> str:
        """Return a place with nothing in it."""
        name = f"{above}{secrets.token_hex(6)}"
        return (self.root / name).as_uri() if self.is_directory else f"s3://{BUCKET}/{name}"


@pytest.fixture(params=KINDS)
def places(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    rows, _, data = request.param.partition(", ")
    if data == "rclone":
        request.getfixturevalue("s3_uri")
    elif data == "moto":
        moto: MotoServer = request.getfixturevalue("moto_server")
        moto.start()
        for name, value in {**moto.environment, "NO_PROXY": HOST, "no_proxy": HOST}.items():
            monkeypatch.setenv(name, value)
        connection = http.client.HTTPConnection(HOST, moto.port)
        connection.request("PUT", f"/{BUCKET}")
        connection.getresponse().read()
        connection.close()
    server: PostgresServer | None = None
    if rows == "postgres":
        running: PostgresServer = request.getfixturevalue("postgres_server")
        running.start()
        server = running
    yield Places(server, tmp_path, data == "directory")
    if server is not None:
        for (name,) in server.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'test\\_%'"):
            server.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture(scope="module")
def openers() -> Iterator[list[subprocess.Popen[str]]]:
    processes = [start(["-m", "remote.claiming_process"]) for _ in "ab"]
    for process in processes:
        assert line_of(process) == "ready"
    yield processes
    for process in processes:
        process.communicate(timeout=60)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def at_once(openers: list[subprocess.Popen[str]], *given: dict[str, str]) -> list[str]:
    """Have two processes open a store each and write to it, and return what became of it."""
    for process, one in zip(openers, given, strict=True):
        assert process.stdin is not None
        process.stdin.write(json.dumps(one) + "\n")
        process.stdin.flush()
    return [line_of(process) for process in openers]


def asked(places: Places, store: str, data: str) -> dict[str, str]:
    """Return what a process is asked for, with the environment that reaches the server of the moment."""
    reach = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name.lower() == "no_proxy"}
    return {"store": store, "data": data, **reach}


def test_of_two_stores_at_once_one_has_the_place(places: Places, openers: list[subprocess.Popen[str]]) -> None:
    for _ in range(TRIES):
        place, these = places.empty(), [places.store(), places.store()]
        said = at_once(openers, *(asked(places, store, place) for store in these))
        assert sorted(one.partition(" ")[0] for one in said) == ["store_open", "written"], said
        refused = next(one for one in said if one != "written")
        assert "belongs to the store" in refused or "claimed this place" in refused
        winner = these[said.index("written")]
        report = collect(winner, place, dry_run=True)
        assert not report.removed


FEW = pytest.mark.parametrize("places", ["postgres, directory", "sqlite, rclone"], indirect=True)


def storage_of(store: str, data: str) -> Storage:
    return open_storage(store, data, layout="files")


async def filled(store: str, data: str) -> DataHandler:
    """Fill a store, and return what reads and puts in its place."""
    await stores.fill(storage_of(store, data), 2)
    handler = data_handler(data)
    handler.setup()
    return handler


async def test_a_claim_that_was_stopped_in_the_middle_finds_another_store(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen nobody, and goes on when another store has the place."""
    usual, asked_before = data_owner._others, list[Owner]()

    def others(owner: Owner, data: DataHandler) -> list[str]:
        asked_before.append(owner)
        if len(asked_before) == 1:
            data_owner._compete(ANOTHER, data, "its place")
            return []  # as it was when it was asked
        return usual(owner, data)

    monkeypatch.setattr(data_owner, "_others", others)
    with pytest.raises(StoreOpenError, match=r"belongs to the store|has claimed this place"):
        await filled(places.store(), places.empty())
    assert len(asked_before) > 1


@FEW
async def test_a_mark_of_another_store_stops_the_first_rows_and_collecting(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_owner, "_LOOKS", 1)
    store, place, key = places.store(), places.empty(), owner_key(ANOTHER.identity, "01")
    async with storage_of(store, place) as storage:
        handler = data_handler(place)
        handler.marks.put(key, b"{}")
        with pytest.raises(StoreOpenError, match="has claimed this place") as refused:
            await storage.save_project(Project(project_id="p", name="P"))
        assert handler.to_reference(key) in str(refused.value)
        assert await storage.list_projects() == []
        handler.marks.remove(key)  # as the error says
        await storage.save_project(Project(project_id="p", name="P"))
    assert collect(store, place).removed == []
    handler.marks.put(key, b"{}")
    with pytest.raises(StoreOpenError, match="has claimed this place"):
        collect(store, place)
    handler.marks.remove(key)
    foreign = {"store": ANOTHER.identity, "uri": ANOTHER.uri, "place": "its place"}
    handler.marks.remove("store.json")
    assert handler.marks.put_if_absent("store.json", json.dumps(foreign).encode())
    with pytest.raises(StoreOpenError, match="belongs to the store"):
        collect(store, place)


@FEW
async def test_the_first_rows_name_the_place(places: Places) -> None:
    store, here, elsewhere = places.store(), places.empty(), places.empty()
    async with storage_of(store, here) as one, storage_of(store, elsewhere) as other:
        await one.save_project(Project(project_id="p", name="P"))
        with pytest.raises(StoreOpenError, match=r"lies in .*pass that place"):
            await other.save_project(Project(project_id="q", name="Q"))
        assert [project.project_id for project in await other.list_projects()] == ["p"]
        await one.save_project(Project(project_id="r", name="R"))
    for place in (elsewhere, places.empty()):
        with pytest.raises(StoreOpenError, match=r"lies in .*pass that place") as refused:
            await storage_of(store, place).setup()
        assert here.removeprefix("file://") in str(refused.value)
    with pytest.raises(StoreOpenError, match="pass that place"):
        collect(store, elsewhere)
    await filled(store, here)


@pytest.mark.parametrize("places", ["postgres, directory"], indirect=True)
async def test_a_place_that_was_moved_stays_the_stores(places: Places) -> None:
    store, here, there = places.store(), places.empty(), places.empty()
    await filled(store, here)
    os.rename(here.removeprefix("file://"), there.removeprefix("file://"))
    async with storage_of(store, there) as storage:
        await storage.save_project(Project(project_id="q", name="Q"))
    assert collect(store, there).removed == []


@FEW
async def test_no_place_lies_inside_another(places: Places) -> None:
    outer = places.empty()
    inner, innermost = f"{outer}/a", f"{outer}/a/data/b"
    await filled(places.store(), inner)
    for place in (outer, innermost):
        with pytest.raises(StoreOpenError, match="one inside the other") as refused:
            await filled(places.store(), place)
        assert f"{inner.removeprefix('file://')}/store.json" in str(refused.value)
    beside = places.store()
    await filled(beside, f"{outer}/b")
    assert collect(beside, f"{outer}/b").removed == []
    deep = data_handler(f"{outer}/b/deep/down")
    deep.setup()
    deep.marks.put("store.json", b"{}")  # by a release that does not look
    with pytest.raises(StoreOpenError, match="one inside the other"):
        collect(beside, f"{outer}/b")
