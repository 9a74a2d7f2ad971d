"""What happens to those who are at work when a store gets another format: they store nothing more, and lose nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import apsw
import pytest

from durability.processes import WARNINGS
from remote.stores import opened, rows
from remote.transactions import Transaction
from servers.postgres import PostgresServer
from servers.processes import wait_until
from starfish_storage import (
    LocalStorage,
    Project,
    Storage,
    StorageBusyError,
    StoreVersionError,
    generate,
    open_storage,
    resume,
)
from starfish_storage.errors import ResultsSpooledError
from starfish_storage.generation import drain, end_drain
from starfish_storage.maintenance import collect, migrate
from starfish_storage.metadata.postgres.migrate import KNOWN_VERSION

INPUTS = [{"n": n} for n in range(6)]
AT_ONCE = 3
LAST_WITHOUT_CHECKS = "d4a7dd24"  # the last commit of schema 5, whose workers know nothing of other versions


class Calls:
    """A function that is paid for, and returns when it is told to."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.may_return = asyncio.Event()

    async def __call__(self, n: int) -> dict[str, int]:
        self.paid.append(n)
        await self.may_return.wait()
        return {"n": n}

    async def begun(self, number: int) -> None:
        while len(self.paid) < number:
            await asyncio.sleep(0.01)


def run_of(storage: Storage, calls: Calls) -> asyncio.Task[Any]:
    return asyncio.ensure_future(
        generate(storage, calls, INPUTS, project="p", master_job_id="r", max_concurrency=AT_ONCE, progress="quiet")
    )


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STARFISH_STORAGE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


SetVersion = Callable[[int], None]


@pytest.fixture(params=["postgres", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, SetVersion]:
    """A store, and what gives its database another version, and takes it back."""
    if request.param == "sqlite":
        path = tmp_path / "store" / "metadata.db"

        def set_local(by: int) -> None:
            connection = apsw.Connection(str(path))
            connection.pragma("user_version", connection.pragma("user_version") + by)
            connection.close()

        return LocalStorage(f"file://{tmp_path}/store"), set_local
    uri, server = request.getfixturevalue("postgres_uri"), request.getfixturevalue("postgres_server")

    def set_remote(by: int) -> None:
        rows(server, uri, f"UPDATE {{}}.settings SET value = value::int + {by} WHERE name = 'schema_version'")

    return opened(uri, tmp_path / "data"), set_remote


async def test_a_worker_stores_nothing_in_a_newer_store_and_keeps_what_it_has_paid_for(
    store: tuple[Storage, SetVersion], spool: Path
) -> None:
    storage, set_version = store
    async with storage:
        calls = Calls()
        run = run_of(storage, calls)
        await calls.begun(AT_ONCE)
        set_version(1)
        calls.may_return.set()
        with pytest.raises(ResultsSpooledError, match="another release has migrated it") as ended:
            await run
        assert len(calls.paid) == ended.value.results == AT_ONCE
        assert len(list(spool.iterdir())) == 1
        assert await storage.count_records_for_master_job("r") == {}
        set_version(-1)  # as the next release finds it
        again = await resume(storage, "r", calls, progress="quiet")
        assert (again.status, sorted(calls.paid)) == ("completed", [one["n"] for one in INPUTS])
        assert list(spool.iterdir()) == []


async def test_a_new_connection_is_refused_in_a_newer_store(
    postgres_server: PostgresServer, postgres_uri: str, tmp_path: Path
) -> None:
    async with opened(postgres_uri, tmp_path) as storage:
        await storage.save_project(Project(project_id="p", name="P"))
        newer = KNOWN_VERSION + 1
        rows(postgres_server, postgres_uri, f"UPDATE {{}}.settings SET value = '{newer}' WHERE name = 'schema_version'")
        postgres_server.terminate_connections()
        with pytest.raises(StoreVersionError, match="Install that release"):
            await storage.list_projects()
        with pytest.raises(StoreVersionError, match="Install that release"):
            await storage.save_project(Project(project_id="q", name="Q"))
    with pytest.raises(StoreVersionError, match="upgrade starfish-storage"):
        collect(postgres_uri, tmp_path)


async def test_a_group_that_waits_for_a_migration_sees_it(
    postgres_server: PostgresServer, postgres_uri: str, tmp_path: Path
) -> None:
    """It has begun before the migration commits, and its first statement knows the version of that moment."""
    async with opened(postgres_uri, tmp_path) as storage:
        with Transaction(postgres_uri, tmp_path) as migration:
            migration.execute("UPDATE settings SET value = '99' WHERE name = 'schema_version'")
            waiting = asyncio.ensure_future(storage.ledger.begin_drain())  # one group, which has the store alone
            await asyncio.to_thread(
                wait_until, lambda: migration.make(migration.holds_up_anybody), "a group that waits"
            )
            migration.commit()
            with pytest.raises(StoreVersionError, match=r"from format .* to 99"):
                await waiting


# --- drain ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [None, "r"], ids=["store", "run"])
async def test_a_drain_lets_inputs_end_and_claims_no_more(store: tuple[Storage, SetVersion], of: str | None) -> None:
    storage, _ = store
    async with storage:
        calls, looks = Calls(), list[int]()
        run = run_of(storage, calls)
        await calls.begun(AT_ONCE)
        late = await drain(storage, of, timeout=0)
        assert [(one.worker.master_job_id, one.inputs) for one in late.working] == [("r", AT_ONCE)]
        draining = asyncio.ensure_future(drain(storage, of, look=lambda now: looks.append(len(now.working))))
        while not looks:
            await asyncio.sleep(0.01)
        calls.may_return.set()
        done = await draining
        assert (done.is_done, done.since, looks) == (True, late.since, [1, 0])
        state = await storage.ledger.get_run("r")
        assert state is not None
        assert state.drained_since == done.since
        assert await storage.ledger.list_drains() == {of: done.since}
        assert not run.done()
        assert len(calls.paid) == AT_ONCE
        await end_drain(storage, of)
        assert (await run).status == "completed"
        assert len(calls.paid) == len(INPUTS)


# --- an earlier release -----------------------------------------------------------------------------------------------

WORKER = """
import asyncio, pathlib, sys
from starfish_storage import generate, open_storage

async def call(n):
    with open(sys.argv[3], "a") as paid:
        paid.write(f"{n}\\n")
    while not pathlib.Path(sys.argv[4]).exists():
        await asyncio.sleep(0.02)
    return {"n": n}

async def main():
    async with open_storage(sys.argv[1], sys.argv[2]) as storage:
        inputs = [{"n": n} for n in range(6)]
        await generate(storage, call, inputs, project="p", master_job_id="r", max_concurrency=3, progress="quiet")

asyncio.run(main())
"""


@pytest.fixture
def earlier_release(tmp_path: Path) -> Path:
    """The source of the last release without checks, out of git's history."""
    root = Path(__file__).parents[2]
    packed = subprocess.run(["git", "archive", LAST_WITHOUT_CHECKS, "src"], cwd=root, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip("the history of git is not here, and with it the earlier release")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path / "earlier", filter="data")
    return tmp_path / "earlier" / "src"


async def test_an_earlier_release_at_work_loses_nothing_when_its_store_is_migrated(
    earlier_release: Path, postgres_uri: str, tmp_path: Path, spool: Path
) -> None:
    script, data, paid, go = (tmp_path / name for name in ("worker.py", "data", "paid", "go"))
    script.write_text(WORKER)
    old = subprocess.Popen(
        [sys.executable, str(script), postgres_uri, data.as_uri(), str(paid), str(go)],
        env={**os.environ, "PYTHONPATH": str(earlier_release), "PYTHONWARNINGS": WARNINGS},
        stderr=subprocess.PIPE,
        text=True,
    )
    with old:
        await asyncio.to_thread(wait_until, lambda: paid.exists() and len(paid.read_text().split()) == AT_ONCE, "calls")
        with pytest.raises(StoreVersionError, match="End the workers of that release"):
            await open_storage(postgres_uri, data.as_uri()).setup()
        seen = migrate(postgres_uri, dry_run=True)
        assert (seen.before, seen.latest, len(seen.working)) == (5, KNOWN_VERSION, 1)
        with pytest.raises(StorageBusyError, match="1 worker at work"):
            migrate(postgres_uri)
        assert migrate(postgres_uri, now=True).is_needed
        go.touch()
        _, said = await asyncio.to_thread(old.communicate, timeout=60)
    assert old.returncode
    assert "ResultsSpooledError" in said
    assert len(list(spool.iterdir())) == 1

    async def call(n: int) -> dict[str, int]:
        with open(paid, "a", encoding="utf-8") as more:
            more.write(f"{n}\n")
        return {"n": n}

    async with open_storage(postgres_uri, data.as_uri()) as storage:
        run = await resume(storage, "r", call, on_change="continue", progress="quiet")
        assert run.status == "completed"
    assert sorted(map(int, paid.read_text().split())) == [one["n"] for one in INPUTS]
    assert list(spool.iterdir()) == []
