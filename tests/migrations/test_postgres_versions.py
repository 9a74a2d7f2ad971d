"""Stores in PostgreSQL of every version that this library ever had are migrated, read whole, and used."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrations.own_writer import write_master_job
from migrations.reading import asked_of, everything, judged_of, kept_of, runs_of
from migrations.stores import ASSETS, noted
from servers.postgres import PostgresServer
from starfish_storage import StoreOpenError, StoreVersionError, open_storage
from starfish_storage.maintenance import migrate
from starfish_storage.metadata.migrations import migrations
from starfish_storage.runs import this_actor

VERSIONS = {
    "postgres-v1": 1,
    "postgres-v1-run": 1,
    "postgres-v2": 2,
    "postgres-v3": 3,
    "postgres-v4": 4,
    "postgres-v5": 5,
    "postgres-v6": 6,
}
"""The stores, with their versions."""


@pytest.fixture
def schema(postgres_server: PostgresServer) -> Iterator[str]:
    """A name for a schema, which is dropped afterwards."""
    postgres_server.start()
    name = f"test_{secrets.token_hex(6)}"
    yield name
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


def test_every_version_is_frozen() -> None:
    assert set(range(1, len(migrations("postgres")))) <= set(VERSIONS.values())


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_frozen_store_is_read_and_used(
    tmp_path: Path, postgres_server: PostgresServer, schema: str, version: str
) -> None:
    shutil.unpack_archive(ASSETS / f"{version}.zip", tmp_path)
    rows = (tmp_path / "rows.sql").read_text("utf-8")
    postgres_server.execute(f'{rows}; ALTER SCHEMA frozen RENAME TO "{schema}"')
    uri = postgres_server.uri(schema=schema)
    with pytest.raises(StoreVersionError, match=f"its schema is {VERSIONS[version]}, this release needs"):
        await open_storage(uri, tmp_path.as_uri()).setup()  # others may be at work in it
    assert migrate(uri, dry_run=True).before == migrate(uri).before == VERSIONS[version]
    assert not migrate(uri).is_needed
    with pytest.raises(StoreOpenError, match="remove that file"):  # on another server it is another store
        await open_storage(uri, tmp_path.as_uri()).setup()
    (tmp_path / "store.json").unlink()
    async with open_storage(uri, tmp_path.as_uri()) as storage:
        said = noted(version)
        runs = said.pop("runs", {})
        for name, read in (("kept", kept_of), ("asked", asked_of), ("judged", judged_of)):
            if name in said:
                assert await read(storage) == said.pop(name)
        assert (await everything(storage), await runs_of(storage)) == (said, runs)
        (migrated,) = await storage.ledger.list_actions()
        assert (migrated.action, migrated.who) == ("migrate", this_actor())
        await storage.delete_master_job("Master-1")
        await write_master_job(storage, 9, "completed")
        used = await everything(storage)
    async with open_storage(uri, tmp_path.as_uri()) as again:
        assert await everything(again) == used
        assert {one["master_job_id"] for one in used["master_jobs"]} == {
            f"Master-{n}" for n in (0, 2, 3, 4, 5, 9)
        } | set(runs)
    found = postgres_server.execute(f"SELECT value FROM \"{schema}\".settings WHERE name = 'schema_version'")
    assert found == [[str(len(migrations("postgres")))]]
