"""PostgresStorage against a plain dict model, in random histories: with packs, and for longer with both layouts."""

from pathlib import Path

import pytest
from hypothesis import settings

from conformance.packed_remote_stores import PackedPostgresDirectoryStore
from conformance.postgres_stores import PostgresDirectoryStore, Schema
from servers.postgres import PostgresServer
from starfish_storage.testing.machine.state_machine import StorageMachine


class PostgresMachine(StorageMachine):
    server: PostgresServer

    def make_store(self, directory: Path) -> PostgresDirectoryStore:
        return PackedPostgresDirectoryStore(directory, Schema(self.server))


class PostgresMachineForLonger(PostgresMachine):
    pass


class PostgresFilesMachineForLonger(PostgresMachine):
    def make_store(self, directory: Path) -> PostgresDirectoryStore:
        return PostgresDirectoryStore(directory, Schema(self.server))


@pytest.fixture(autouse=True, scope="module")
def server(postgres_server: PostgresServer) -> None:
    postgres_server.start()
    PostgresMachine.server = postgres_server


TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = settings(max_examples=8, stateful_step_count=30)

TestPostgresMachineForLonger = pytest.mark.slow(PostgresMachineForLonger.TestCase)
TestPostgresMachineForLonger.settings = settings(max_examples=300, stateful_step_count=60)

TestPostgresFilesMachineForLonger = pytest.mark.slow(PostgresFilesMachineForLonger.TestCase)
TestPostgresFilesMachineForLonger.settings = settings(max_examples=300, stateful_step_count=60)
