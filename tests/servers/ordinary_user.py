"""Starts PostgreSQL as whoever runs this, and prints what it answers."""

from __future__ import annotations

import os
import sys

from servers.postgres import PostgresServer

if __name__ == "__main__":
    with PostgresServer() as server:
        ((answer,),) = server.execute("SELECT current_setting('max_connections')")
        sys.stdout.write(f"{os.geteuid()} {os.stat(server.data).st_uid} {answer}\n")
