"""A real PgBouncer before a PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import socket

from servers import postgres
from servers.postgres import PostgresServer
from servers.processes import HOST, ServerProcess


def unavailable() -> str | None:
    """Return why there can be no pooler here."""
    if shutil.which("pgbouncer") is None and not os.access("/usr/sbin/pgbouncer", os.X_OK):
        return "no pgbouncer; Debian's package has it"
    return postgres.unavailable()


class PgBouncer(ServerProcess):
    """A pooler for every database of a server, with its users' passwords.

    Args:
        server: what it stands before.
        mode: `session` or `transaction`.
        settings: others, as its file has them.
    """

    name = "pgbouncer"

    def __init__(self, server: PostgresServer, mode: str, **settings: str) -> None:
        super().__init__()
        self._server = server
        if os.geteuid() == 0:
            self.identity = postgres.unprivileged()
        users = self.directory / "users.txt"
        users.write_text(f'"{server.user}" "{server.password}"\n')
        given = {
            "listen_addr": HOST,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "pool_mode": mode,
            "max_client_conn": "100",
            "default_pool_size": "20",
            **settings,
        }
        lines = [f"{name} = {value}\n" for name, value in given.items()]
        file = self.directory / "pgbouncer.ini"
        file.write_text(f"[databases]\n* = host={HOST} port={server.port}\n[pgbouncer]\n{''.join(lines)}")
        for made in (self.directory, users, file):
            if self.identity is not None:
                os.chown(made, *self.identity)

    def command(self) -> list[str]:
        return [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", str(self.directory / "pgbouncer.ini")]

    def ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def uri(self, schema: str) -> str:
        """Return the URI of a schema of the server, through the pooler."""
        return self._server.uri(schema=schema, port=self.port)
