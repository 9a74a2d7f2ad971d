"""Before and during an upgrade: `drain` and `migrate`, on a server and in a directory."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import apsw
import pytest

from cli import stores
from cli.calling import call, call_json
from migrations.stores import ASSETS
from servers.postgres import PostgresServer
from starfish_storage import LocalStorage
from starfish_storage.metadata.migrations import latest_version, migrations
from starfish_storage.runs import Worker

NEWEST = len(migrations("postgres"))


@pytest.fixture
def filled(empty: Path) -> Path:
    asyncio.run(stores.make(empty / "store"))
    return empty / "store"


def test_a_drain_is_seen_and_ended(filled: Path) -> None:
    ended = call("drain")
    assert (ended.status, ended.out) == (0, "")
    assert "No worker is at an input, and none claims one" in ended.err
    assert "starfish-storage drain --end" in call("runs").err
    assert "drained since" in call("show", stores.DESERTED).out
    assert "claims nothing since" in call("watch", stores.DESERTED, "--once").out
    (run,) = [one["run"] for one in call_json("runs") if one["master_job_id"] == stores.DESERTED]
    assert run["drained_since"]
    assert call("drain", stores.DESERTED).status == 0
    assert "Inputs are claimed again" in call("drain", "--end").err
    assert call("runs").err == ""
    assert call("drain", "--end", "--timeout", "1").status == 2


def test_a_drain_that_takes_too_long_says_who_is_at_work(filled: Path) -> None:
    asyncio.run(begin_an_input(filled))
    ended = call("drain", stores.DESERTED, "--timeout", "0")
    assert ended.status == 3
    assert "1 worker still at 1 input: busy" in ended.err
    ended = call("drain", stores.DESERTED, "--timeout", "0", "--json")
    said = json.loads(ended.out)
    assert (ended.status, said["is_done"], said["working"][0]["inputs"]) == (3, False, 1)
    assert f"of run {stores.DESERTED}" in call("runs").err


async def begin_an_input(root: Path) -> None:
    """Have a worker of another machine claim an input."""
    async with LocalStorage(root.as_uri()) as storage:
        ledger = storage.ledger
        now = await ledger.now()
        await ledger.save_worker(Worker("busy", stores.DESERTED, "elsewhere/1/1/1", now, now.replace(year=2999)))
        await ledger.reset_inputs(stores.DESERTED, ["completed", "failed"])
        assert len(await ledger.claim_inputs(stores.DESERTED, "busy", 1, now)) == 1


def test_a_store_on_a_server_is_migrated_when_asked_to(
    postgres_server: PostgresServer, postgres_uri: str, tmp_path: Path
) -> None:
    shutil.unpack_archive(ASSETS / "postgres-v5.zip", tmp_path)
    schema = postgres_uri.rpartition("=")[2]
    statements = (tmp_path / "rows.sql").read_text("utf-8")
    postgres_server.execute(f'{statements}; ALTER SCHEMA frozen RENAME TO "{schema}"')
    (tmp_path / "store.json").unlink()
    where = ("--store", postgres_uri, "--data-uri", str(tmp_path))
    for words in (("runs",), ("verify",), ("collect",)):
        refused = call(*words, *where)
        assert refused.status == 2
        assert "run 'starfish-storage migrate'" in refused.err
    looked = call("migrate", "--dry-run", *where)
    assert (looked.status, f"this release needs {NEWEST}. Nothing was changed." in looked.out) == (1, True)
    assert f"was migrated from format 5 to {NEWEST}" in call("migrate", *where).out
    again = call_json("migrate", "--dry-run", *where)
    assert (again["before"], again["is_needed"], again["working"]) == (NEWEST, False, [])
    call("drain", *where)
    call("migrate", *where)
    listed = call("runs", *where)
    assert ("Run-1" in listed.out, listed.err) == (True, "")
    assert call("migrate", "--store", f"{postgres_uri}_none").status == 2


def test_a_store_in_a_directory_is_migrated_as_by_opening_it(empty: Path) -> None:
    shutil.unpack_archive(ASSETS / "v6.zip", empty / "store")
    assert call("migrate", "--dry-run").status == 1
    assert "from format 6" in call("migrate").out
    assert call("drain").status == 0
    assert call_json("migrate")["is_needed"] is False
    assert call("runs").err == ""  # which has ended the drain
    connection = apsw.Connection(str(empty / "store" / "metadata.db"))
    assert connection.pragma("user_version") == latest_version()
    connection.close()
    assert call("migrate", "--store", str(empty / "nowhere")).status == 2
