"""Starts servers, prints their processes and directories, and never ends by itself."""

from __future__ import annotations

import sys

from servers.postgres import PostgresServer
from servers.s3 import S3Server

if __name__ == "__main__":
    with PostgresServer() as first, S3Server() as second:
        for server in (first, second):
            sys.stdout.write(f"{server.pid} {server.directory}\n")
        sys.stdout.flush()
        sys.stdin.read()
