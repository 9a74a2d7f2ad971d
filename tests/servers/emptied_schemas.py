"""Schemas that tests have used, emptied for the next: making and dropping one costs more than most tests."""

from __future__ import annotations

import secrets

from servers.postgres import PostgresServer
from starfish_storage.metadata.migrations import migrations
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.migrate import migrate
from starfish_storage.metadata.queries import postgres_queries

_GIVE_BACK = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend';
DO $$
DECLARE
    named text;
BEGIN
    IF ({structure}) <> '{usual}' THEN
        EXECUTE 'DROP SCHEMA IF EXISTS "{schema}" CASCADE';
        RETURN;
    END IF;
    SET LOCAL session_replication_role = replica;  -- no foreign keys and no triggers
    FOR named IN SELECT tablename FROM pg_tables WHERE schemaname = '{schema}' LOOP
        EXECUTE format('DELETE FROM %I.%I', '{schema}', named);
    END LOOP;
    INSERT INTO "{schema}".settings VALUES ('schema_version', '{version}');
    ALTER SCHEMA "{schema}" RENAME TO "{new}";
END $$;
SELECT count(*) FROM pg_namespace WHERE nspname = '{new}';
"""
"""In one call of `psql`, which takes longer to start than to do this."""
_STRUCTURE = """
SELECT coalesce(md5(string_agg(line, ' ' ORDER BY line)), '') FROM (
    SELECT relname || relkind::text || coalesce(string_agg(attname::text || atttypid::text, ',' ORDER BY attnum), '')
        AS line
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND NOT attisdropped
    WHERE nspname = '{schema}' GROUP BY relname, relkind
) AS lines
"""


class EmptiedSchemas:
    """Gives a schema to a test, and takes it back.

    What does not look as a store of this release has made it is dropped, so that no test meets what another has made
    of a schema.

    Args:
        server: where they are.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._emptied: list[str] = []
        self._structure: str | None = None

    def take(self) -> str:
        """Return the name of a schema that no test has known: there is none, or it holds an empty store."""
        return self._emptied.pop() if self._emptied else _new_name()

    def give_back(self, schema: str) -> None:
        """Empty a schema for the next test, or drop it, whoever uses it. The server runs afterwards."""
        self._server.start()
        new = _new_name()
        given = {"schema": schema, "new": new, "version": len(migrations("postgres"))}
        structure = _STRUCTURE.format(schema=schema)
        *_, (is_there,) = self._server.execute(
            _GIVE_BACK.format(structure=structure, usual=self._usual_structure(), **given)
        )
        if is_there == "1":
            self._emptied.append(new)

    def _usual_structure(self) -> str:
        if self._structure is None:
            schema = _new_name()
            address = PostgresAddress.of_uri(self._server.uri(schema=schema))
            connection = PostgresConnection(address, 60)
            connection.open()
            migrate(connection, postgres_queries(), address)
            connection.close()
            self._structure = self._structure_of(schema)
            self._server.execute(f'DROP SCHEMA "{schema}" CASCADE')
        return self._structure

    def _structure_of(self, schema: str) -> str:
        return self._server.execute(_STRUCTURE.format(schema=schema))[0][0]


def _new_name() -> str:
    return f"test_{secrets.token_hex(6)}"
