"""SQL through every text that a call takes, and as the name of the schema: it stays text."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from remote.stores import opened, rows
from servers.postgres import PostgresServer
from starfish_storage.errors import InvalidUriError, StorageError
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run
from unit import test_injection as local

TEXTS = [*local.INJECTIONS, "x'; DROP SCHEMA public CASCADE; --", "$$; DROP TABLE records; $$", "E'\\\\'", "a\0b", "$1"]
SCHEMAS = [*local.INJECTIONS[::4], 'x"; DROP SCHEMA public CASCADE; --', "$$x$$", "Größe", "a b", "$user"]
COUNTS = (
    "SELECT (SELECT count(*) FROM {0}.projects), (SELECT count(*) FROM {0}.records), (SELECT count(*) FROM {0}.runs)"
)


async def test_calls_take_it_as_text(postgres_server: PostgresServer, postgres_uri: str, memory_path: Path) -> None:
    async with opened(postgres_uri, memory_path) as storage:
        await save_run(storage)
        await storage.save_record(a_record(), {"answer": 42})
        before = rows(postgres_server, postgres_uri, COUNTS)
        for text in TEXTS:
            for read in local.READING.values():
                assert not await read(storage, text)
            for change in (*local.STATUSES.values(), *local.UNKNOWN.values()):
                with pytest.raises(StorageError):
                    await change(storage, text)
            assert await storage.ledger.search_records(MASTER_JOB, error_text=text) == []
        assert rows(postgres_server, postgres_uri, COUNTS) == before


@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_schema_of_any_name(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, name: str
) -> None:
    query = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1"
    before = [row[0] for row in postgres_server.execute(query)]
    uri = f"{postgres_uri.partition('?')[0]}?schema={quote(name, safe='')}"
    try:
        storage = opened(uri, memory_path)
    except InvalidUriError:
        assert len(name.encode()) > 63 or name == "$user"
        return
    async with storage:
        await save_run(storage)
        await storage.save_record(a_record(), {"answer": 42})
    after = [row[0] for row in postgres_server.execute(query)]
    assert sorted([*before, name]) == sorted(after)
    quoted = name.replace('"', '""')
    assert postgres_server.execute(f'SELECT count(*) FROM "{quoted}".records') == [["1"]]
    postgres_server.execute(f'DROP SCHEMA "{quoted}" CASCADE')
