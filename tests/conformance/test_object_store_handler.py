"""The handler of data in object stores, held to its contract on each server there is."""

from __future__ import annotations

import secrets

import pytest

from servers.fixtures import BUCKET
from servers.s3 import MotoServer
from starfish_storage.data.object_store import ObjectStoreDataHandler
from starfish_storage.testing.suites.handler_tests import DataHandlerTests


class TestRclone(DataHandlerTests):
    @pytest.fixture
    def handler(self, s3_uri: str) -> ObjectStoreDataHandler:
        return ObjectStoreDataHandler(f"{s3_uri}/a prefix/of%20two parts")


class TestMoto(DataHandlerTests):
    @pytest.fixture
    def handler(self, moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> ObjectStoreDataHandler:
        moto_server.make_bucket(BUCKET)
        for name, value in moto_server.environment.items():
            monkeypatch.setenv(name, value)
        return ObjectStoreDataHandler(f"s3://{BUCKET}/{secrets.token_hex(6)}")


class TestMemory(DataHandlerTests):
    @pytest.fixture
    def handler(self) -> ObjectStoreDataHandler:
        return ObjectStoreDataHandler(f"memory://{secrets.token_hex(6)}")
