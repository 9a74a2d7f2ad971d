"""Where a store lies in PostgreSQL: a server, a database, and a schema of its own in it."""

from __future__ import annotations

import hashlib
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from starfish_storage.errors import InvalidUriError
from starfish_storage.metadata.postgres.parameters import ConnectionParameters, parameters_of
from starfish_storage.uri import POSTGRES_SCHEMES, without_password

DEFAULT_SCHEMA = "starfish_storage"

_ESCAPE = "it cannot be read as a URI; write '/', '#', '?', '@' and '%' in the password as '%2F', '%23', '%3F', ..."
_LONGEST_SCHEMA = 63  # bytes, as PostgreSQL has it
_NOT_FOR_STORES = frozenset({"public", "information_schema"})


class PostgresAddress(NamedTuple):
    """Where a store lies.

    Attributes:
        dsn: what the driver connects to, with the password if there was one: never shown.
        schema: the schema that holds the store's tables.
        uri: the same without a password, as it may be stored and shown.
        parameters: what the URI asks for beside that.
    """

    dsn: str
    schema: str
    uri: str
    parameters: ConnectionParameters = ConnectionParameters()

    @classmethod
    def of_uri(cls, uri: object) -> PostgresAddress:
        """Read a URI such as ``postgresql://user@host/database?schema=my_store``.

        Everything but ``schema`` is as libpq has it: hosts, ``sslmode``, ``connect_timeout``, ``keepalives`` and the
        rest; what libpq does not know is a setting of the session. What the URI leaves out comes from ``PGHOST``,
        ``PGUSER``, ``PGPASSWORD``, ``PGPASSFILE``, ``PGSSLMODE`` and their like.

        Raises:
            InvalidUriError: it is not such a URI, its schema cannot be used, or a parameter is not taken.

        >>> PostgresAddress.of_uri("postgresql://me:secret@db.example/runs?schema=store&sslmode=require").uri
        'postgresql://me@db.example/runs?schema=store&sslmode=require'
        """
        if not isinstance(uri, str) or not uri.startswith(POSTGRES_SCHEMES):
            raise InvalidUriError(uri, "write 'postgresql://user@host/database?schema=my_store'")
        try:
            parts = urlsplit(uri)
            given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            _ = parts.port if "," not in parts.netloc else None
        except ValueError:
            parts, given = None, []
        if parts is None or parts.fragment or "@" in parts.path:
            # It is not shown, and the parser's reason neither: what was read wrongly may be the password.
            raise InvalidUriError(f"{POSTGRES_SCHEMES[0]}...", _ESCAPE)
        schemas = [value for name, value in given if name == "schema"]
        if len(schemas) > 1:
            raise InvalidUriError(without_password(uri), "it names more than one schema")
        if any("password" in name.lower() for name, _ in given):
            raise InvalidUriError(
                f"{POSTGRES_SCHEMES[0]}...", "give the password before the host, in PGPASSWORD or in a password file"
            )
        schema = schemas[0] if schemas else DEFAULT_SCHEMA
        reason = _reason_against(schema)
        if reason is not None:
            raise InvalidUriError(without_password(uri), f"its schema {schema!a} cannot be used: {reason}")
        others = [(name, value) for name, value in given if name != "schema"]
        parameters = parameters_of(others, lambda reason: InvalidUriError(without_password(uri), reason))
        dsn = urlunsplit(parts._replace(query=parameters.query, fragment=""))
        return cls(dsn, schema, without_password(uri), parameters)

    @property
    def search_path(self) -> str:
        """The setting that makes the store's schema the only one that is looked at."""
        return '"' + self.schema.replace('"', '""') + '"'

    def lock(self, name: str) -> int:
        """Return the number of an advisory lock: 64 bits of a hash, of the schema and the name."""
        digest = hashlib.sha256(f"starfish-storage\0{self.schema}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def _reason_against(schema: str) -> str | None:
    if not schema or "\0" in schema or not schema.isprintable():
        return "it is empty or has a character that cannot be printed"
    if len(schema.encode(errors="replace")) > _LONGEST_SCHEMA:
        return f"it is longer than {_LONGEST_SCHEMA} bytes"
    if schema == "$user":
        return "PostgreSQL takes it for the name of the user"
    if schema in _NOT_FOR_STORES or schema.startswith("pg_"):
        return "other things lie there; give the store a schema of its own"
    return None
