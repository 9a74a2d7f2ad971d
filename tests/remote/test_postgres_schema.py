"""PostgreSQL's schema file, its migrations, its queries, and how it goes about them."""

import asyncio
import re
import secrets
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

import starfish_storage.metadata
from remote.postgres_schemas import QUERIES, texts_of
from servers.postgres import PostgresServer
from starfish_storage import keys, open_storage
from starfish_storage.metadata.migrations import migrations
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.migrate import migrate
from starfish_storage.runs import Action

SQL = files(starfish_storage.metadata).joinpath("sql", "postgres")
NO_PLAN = frozenset(
    {"begin", "commit", "rollback", "begin_operation", "end_operation", "undo_operation"} | {"commit_to_disk"}
)
BEFORE_THERE_ARE_TABLES = frozenset({"create_schema"})
SENT_TOGETHER = frozenset({"begin_known_group", "begin_resting"})  # as text: nothing of it is prepared

OBJECTS = """
SELECT 'column', c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
       a.attcollation::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'index', c.relname, pg_get_indexdef(c.oid), '', '', '' FROM pg_class c
WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'i'
UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid), '', '', '' FROM pg_constraint
WHERE connamespace = '{schema}'::regnamespace
UNION ALL SELECT 'function', proname, prosrc, '', '', '' FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace
UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(t.oid), '', '', '' FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = '{schema}'::regnamespace AND NOT tgisinternal
ORDER BY 1, 2, 3
"""


def objects_of(server: PostgresServer, schema: str) -> list[list[str]]:
    """Return what a schema consists of, whatever it is called."""
    found = server.execute(OBJECTS.format(schema=schema))
    return [[" ".join(re.sub(r"--.*", "", value).replace(f"{schema}.", "").split()) for value in row] for row in found]


def test_the_migrations_together_give_the_schema(
    postgres_server: PostgresServer, by_migrations: PostgresAddress
) -> None:
    by_file = f"test_{secrets.token_hex(6)}"
    script = SQL.joinpath("schema.sql").read_text("utf-8")
    postgres_server.execute(f"CREATE SCHEMA {by_file}; SET search_path TO {by_file}; {script}")
    found = objects_of(postgres_server, by_file)
    postgres_server.execute(f"DROP SCHEMA {by_file} CASCADE")
    assert found == objects_of(postgres_server, by_migrations.schema)
    assert len(found) > 150
    assert {row[0] for row in found} == {"column", "index", "constraint", "function", "trigger"}


def test_migrations_are_numbered_without_gaps() -> None:
    names = sorted(entry.name for entry in SQL.joinpath("migrations").iterdir() if entry.name.endswith(".sql"))
    assert (
        [int(name[:4]) for name in names]
        == list(range(1, len(names) + 1))
        == list(range(1, len(migrations("postgres")) + 1))
    )


def test_a_migration_that_fails_leaves_nothing(
    postgres_server: PostgresServer, postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (migrations("postgres")[0] + "; CREATE TABLE projects (x INTEGER)",)
    monkeypatch.setattr("starfish_storage.metadata.postgres.migrate.migrations", lambda _: broken)
    address = PostgresAddress.of_uri(postgres_uri)
    connection = PostgresConnection(address, 60)
    connection.open()
    with pytest.raises(asyncpg.DuplicateTableError):
        migrate(connection, QUERIES, address)
    connection.close()
    assert postgres_server.execute(f"SELECT 1 FROM pg_namespace WHERE nspname = '{address.schema}'") == []


async def test_every_query_fits_the_schema(connection: asyncpg.Connection) -> None:
    for name in QUERIES.names():
        if name not in BEFORE_THERE_ARE_TABLES | SENT_TOGETHER:
            for text in texts_of(name):
                await connection.prepare(text)


async def test_every_text_is_compared_byte_by_byte(
    postgres_server: PostgresServer, by_migrations: PostgresAddress
) -> None:
    collations = {
        (row[1], row[2]): row[5] for row in objects_of(postgres_server, by_migrations.schema) if row[3] == "text"
    }
    of_c = postgres_server.execute("SELECT oid FROM pg_collation WHERE collname = 'C'")[0][0]
    assert {place for place, collation in collations.items() if collation != of_c} == set()


def test_postgres_and_python_agree_on_keys(by_migrations: PostgresAddress) -> None:
    uids = ("r1", "1", "r1.0af3", "\u00fc b'%_", "a" * 200)
    of_records = [keys.record_key(uid) for uid in uids]
    data = [*of_records, *(keys.version_key(key, "0af3") for key in of_records), "data/ab/cd/r1.json"]
    given = [(uid, key, version) for uid in uids for key in data for version in (None, "0af3")]
    of_data = QUERIES.expanded(
        "SELECT {has_own_data own}, {borrows_data own}, {owner_uid own}, {named_version own} "
        "FROM unnest($1::text[], $2::text[], $3::text[]) AS own (record_uid, output_ref, data_version)"
    )
    configs = ["configs/m1.request.json", "configs/m1.json", "elsewhere/m1.json", "configs.json", "a/configs/m1.json"]
    of_configs = QUERIES.expanded("SELECT {has_request_config own} FROM unnest($1::text[]) AS own (request_config_ref)")
    connection = PostgresConnection(by_migrations, 10)
    connection.open()
    found = connection.execute(of_data, tuple(map(list, zip(*given, strict=True)))).fetchall()
    are_configs = connection.execute(of_configs, (configs,)).fetchall()
    connection.close()
    for (uid, key, version), row in zip(given, found, strict=True):
        owner = keys.owner_uid(key)
        assert row == (owner == uid, owner != uid, owner, keys.named_version(key, version))
    assert are_configs == [(key.startswith("configs/"),) for key in configs]


async def test_openings_at_once_make_a_store_once_and_migrate_none(postgres_uri: str, tmp_path: Path) -> None:
    async def opened() -> list[Action]:
        async with open_storage(postgres_uri, tmp_path.as_uri()) as storage:
            return await storage.ledger.list_actions()

    assert await asyncio.gather(*(opened() for _ in range(4))) == [[]] * 4
